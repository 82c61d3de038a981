"""Lines and totals are exact (SA-5), for all inputs."""

import uuid
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_kernel.money import MAX_MINOR, Money
from crm_records.lines import (
    Line,
    LineGiven,
    LinesInvalid,
    Offer,
    line_of,
    lines_json,
    settle_lines,
    totals_json,
    totals_of,
)

PRODUCTS = [uuid.UUID(int=n) for n in range(1, 5)]
ids = st.uuids()
percents = st.decimals(0, 100, places=4)
quantities = st.decimals("0.000001", 10_000, places=6)
prices = st.integers(0, 10**10).map(lambda minor: Money(minor, "USD"))


@st.composite
def lines(draw: st.DrawFn) -> Line:
    return Line(
        id=draw(ids),
        product_id=draw(st.sampled_from(PRODUCTS)),
        quantity=draw(quantities),
        list_price=draw(prices),
        unit_price=draw(prices),
        discount=draw(percents),
        tax=draw(percents),
    )


def rounded(amount: Fraction) -> int:
    """Half to even, written once more."""
    floor = amount.numerator // amount.denominator
    rest = amount - floor
    return floor + (1 if rest > Fraction(1, 2) or (rest == Fraction(1, 2) and floor % 2) else 0)


@pytest.mark.requirement("SA-5")
@given(lines())
def test_a_line_is_reckoned_exactly_and_rounded_once(line: Line) -> None:
    exact = line.unit_price.minor * Fraction(line.quantity) * (1 - Fraction(line.discount) / 100)
    assert line.net.minor == rounded(exact)
    assert line.tax_amount.minor == rounded(line.net.minor * Fraction(line.tax) / 100)
    assert line.total.minor == line.net.minor + line.tax_amount.minor


@pytest.mark.requirement("SA-5")
@given(st.lists(lines(), min_size=1, max_size=6))
def test_totals_are_the_sums_of_what_is_shown(some: list[Line]) -> None:
    totals = totals_of(some)
    shown = lines_json(some)
    for name in ("net", "tax", "total"):
        added = sum(Decimal(line[name]["amount"]) for line in shown)
        assert Decimal(getattr(totals, name).amount) == added
    assert totals.net + totals.tax == totals.total
    assert totals_json([]) is None


@given(st.lists(lines(), max_size=5))
def test_lines_survive_their_json(some: list[Line]) -> None:
    assert [line_of(state) for state in lines_json(some)] == some


OFFERS = {
    PRODUCTS[0]: Offer(PRODUCTS[0], "GTX", True, Money(100_00, "USD")),
    PRODUCTS[1]: Offer(PRODUCTS[1], "Old", False, Money(50_00, "USD")),
    PRODUCTS[2]: Offer(PRODUCTS[2], "Free", True, None),
    PRODUCTS[3]: Offer(PRODUCTS[3], "Won", True, Money(1000, "KRW")),
}


def given_line(product: int, **more: object) -> LineGiven:
    return LineGiven(product_id=PRODUCTS[product], quantity=Decimal(1), **more)  # type: ignore[arg-type]


def settle(
    given: list[LineGiven], present: tuple[Line, ...] = (), offers: dict[uuid.UUID, Offer] | None = None
) -> tuple[Line, ...]:
    return settle_lines(given, present, OFFERS if offers is None else offers, [uuid.uuid4() for _ in given])


def refused(given: list[LineGiven], present: tuple[Line, ...] = ()) -> list[tuple[str, str]]:
    with pytest.raises(LinesInvalid) as found:
        settle(given, present)
    return [(error.pointer, error.code) for error in found.value.errors]


@pytest.mark.requirement("SA-5", "SA-10")
def test_new_lines_need_a_product_on_sale_with_a_price() -> None:
    missing = LineGiven(product_id=uuid.UUID(int=99), quantity=Decimal(1))
    assert refused([given_line(0), given_line(1), given_line(2), missing]) == [
        ("/lines/1/product_id", "line.product_off_sale"),
        ("/lines/2/product_id", "line.price_missing"),
        ("/lines/3/product_id", "line.product_unknown"),
    ]


def test_lines_are_in_one_currency() -> None:
    assert refused([given_line(0), given_line(3)]) == [("/lines/1/unit_price", "line.currency_mixed")]
    (first, second) = settle([given_line(0), given_line(3, unit_price=Money(90, "USD"))])
    assert (second.list_price.currency, second.unit_price.currency, first.net.currency) == ("KRW", "USD", "USD")


def test_too_much_money_is_refused_not_lost() -> None:
    huge = Money(MAX_MINOR, "USD")
    one = LineGiven(PRODUCTS[0], Decimal(2), unit_price=huge)
    assert refused([one]) == [("/lines/0", "money.out_of_range")]
    whole = LineGiven(PRODUCTS[0], Decimal(1), unit_price=huge)
    assert refused([whole, whole]) == [("/lines", "money.out_of_range")]


@pytest.mark.requirement("SA-5")
def test_a_present_line_keeps_its_list_price_and_may_stay_off_sale() -> None:
    (line,) = settle([given_line(0)])
    later = {PRODUCTS[0]: Offer(PRODUCTS[0], "GTX", False, Money(999_00, "USD"))}
    assert settle([given_line(0)], (line,), later) == (line,)
    (changed,) = settle([given_line(0, id=line.id, discount=Decimal(10))], (line,), later)
    assert (changed.id, changed.list_price, changed.net) == (line.id, Money(100_00, "USD"), Money(90_00, "USD"))
    with pytest.raises(LinesInvalid):
        settle([given_line(0), given_line(0)], (line,), later)


@given(st.lists(lines(), max_size=5, unique_by=lambda line: line.id))
def test_the_same_input_again_changes_nothing(present: list[Line]) -> None:
    """With ids in any order, or without ids in the same order."""
    again = [LineGiven(x.product_id, x.quantity, x.id, x.unit_price, x.discount, x.tax) for x in present]
    for one in present[1:]:
        assert one.unit_price.currency == present[0].unit_price.currency
    assert settle(again[::-1], tuple(present)) == tuple(present[::-1])
    without = [LineGiven(x.product_id, x.quantity, None, x.unit_price, x.discount, x.tax) for x in present]
    assert settle(without, tuple(present)) == tuple(present)


def test_lines_of_elsewhere_are_refused() -> None:
    (line,) = settle([given_line(0)])
    assert refused([given_line(0, id=uuid.uuid4())]) == [("/lines/0/id", "line.unknown")]
    assert refused([given_line(1, id=line.id)], (line,)) == [("/lines/0/product_id", "line.unknown")]
    assert refused([given_line(0, id=line.id), given_line(0, id=line.id)], (line,)) == [("/lines/1/id", "line.unknown")]

from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crm_kernel import (
    MAX_MINOR,
    MINOR_DIGITS,
    AmountOutOfRange,
    CurrencyMismatch,
    MalformedAmount,
    Money,
    MoneyError,
    OverPrecise,
    UnknownCurrency,
    minor_digits,
)

currencies = st.sampled_from(sorted(MINOR_DIGITS))
minors = st.integers(-MAX_MINOR, MAX_MINOR)
small = st.integers(-(10**12), 10**12)


# --- reading and writing -------------------------------------------------------------------------------------------


@pytest.mark.requirement("PL-10")
@pytest.mark.parametrize(
    ("text", "currency", "minor", "canonical"),
    [
        ("1234.50", "USD", 123450, "1234.50"),
        ("1234.5", "USD", 123450, "1234.50"),
        ("1234", "USD", 123400, "1234.00"),
        ("0.05", "USD", 5, "0.05"),
        ("-0.05", "USD", -5, "-0.05"),
        ("-0.00", "USD", 0, "0.00"),
        ("1234", "KRW", 1234, "1234"),
        ("-1", "KRW", -1, "-1"),
        ("0.005", "KWD", 5, "0.005"),
        ("1.0001", "CLF", 10001, "1.0001"),
        ("92233720368547758.07", "USD", MAX_MINOR, "92233720368547758.07"),
        ("-9223372036854775807", "KRW", -MAX_MINOR, "-9223372036854775807"),
    ],
)
def test_an_amount_is_read_exactly_and_written_canonically(
    text: str, currency: str, minor: int, canonical: str
) -> None:
    money = Money.parse(text, currency)
    assert money == Money(minor, currency)
    assert money.amount == canonical
    assert str(money) == f"{canonical} {currency}"


@pytest.mark.requirement("PL-10")
@given(minors, currencies)
def test_reading_what_was_written_gives_the_same_money(minor: int, currency: str) -> None:
    money = Money(minor, currency)
    assert Money.parse(money.amount, currency) == money
    assert Decimal(money.amount) == Decimal(minor).scaleb(-minor_digits(currency))


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("1.005", "USD"),
        ("1.000", "USD"),
        ("1.5", "KRW"),
        ("1234.50", "KRW"),
        ("1.0", "JPY"),
        ("1." + "0" * 10_000, "USD"),
    ],
)
def test_more_decimals_than_the_currency_has_are_refused_even_zeros(text: str, currency: str) -> None:
    with pytest.raises(OverPrecise) as refusal:
        Money.parse(text, currency)
    assert refusal.value.code == "money.over_precise"


@pytest.mark.parametrize(
    "text",
    [
        "", "-", ".", "1.", ".5", "+1", "--1", "1,000.00", "1_000", "1 000", " 1", "1 ", "1\n", "\t1", "1\u00a0", "01", "-00",
        "00.5", "1e3", "1E3", "NaN", "nan", "Infinity", "-Infinity", "sNaN", "0x10", "１２", "١٢", "१", "²", "1２", "1.2５", "1.٥",
        "1.5.0", "$1", "1 USD",
        "−1", "1\0", "null",
    ],
)  # fmt: skip
def test_what_is_not_a_plain_decimal_number_is_malformed(text: str) -> None:
    with pytest.raises(MalformedAmount) as refusal:
        Money.parse(text, "USD")
    assert refusal.value.code == "money.malformed"


@pytest.mark.parametrize("value", [1, 1.5, None, Decimal("1.5"), b"1.50", ["1"]])
def test_an_amount_that_is_not_a_string_is_malformed(value: Any) -> None:
    with pytest.raises(MalformedAmount):
        Money.parse(value, "USD")


@given(st.text(max_size=30), currencies)
@example("1" * 5000, "USD")
@example("-" + "9" * 5000 + ".99", "USD")
def test_any_text_is_either_money_or_a_refusal(text: str, currency: str) -> None:
    try:
        money = Money.parse(text, currency)
    except MoneyError:
        return
    assert Decimal(money.amount) == Decimal(text)


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("92233720368547758.08", "USD"),
        ("-92233720368547758.08", "USD"),
        ("9223372036854775808", "KRW"),
        ("9" * 5000, "KRW"),
    ],
)
def test_an_amount_that_bigint_cannot_hold_is_refused(text: str, currency: str) -> None:
    with pytest.raises(AmountOutOfRange) as refusal:
        Money.parse(text, currency)
    assert refusal.value.code == "money.out_of_range"


def test_an_unknown_currency_is_refused_however_money_is_made() -> None:
    ways: list[Callable[[], Money]] = [
        lambda: Money(1, "usd"),
        lambda: Money.parse("1", "ABC"),
        lambda: Money.zero(""),
        lambda: Money.total([], "X"),
    ]
    for make in ways:
        with pytest.raises(UnknownCurrency) as refusal:
            make()
        assert refusal.value.code == "money.unknown_currency"


@pytest.mark.parametrize("minor", [1.0, True, "1", Decimal(1), None])
def test_minor_units_that_are_not_an_int_are_a_programming_error(minor: Any) -> None:
    with pytest.raises(TypeError):
        Money(minor, "USD")


# --- reckoning -----------------------------------------------------------------------------------------------------


@pytest.mark.requirement("SA-5")
@given(small, small, st.integers(-1000, 1000), currencies)
def test_sum_difference_and_multiple_are_those_of_the_minor_units(a: int, b: int, count: int, currency: str) -> None:
    x, y = Money(a, currency), Money(b, currency)
    assert x + y == Money(a + b, currency)
    assert x - y == Money(a - b, currency)
    assert -x == Money(-a, currency)
    assert abs(x) == Money(abs(a), currency)
    assert x * count == count * x == Money(a * count, currency)
    assert Money.total([x, y, x], currency) == Money(a + b + a, currency)
    assert (x < y, x <= y, x > y, x >= y, x == y) == (a < b, a <= b, a > b, a >= b, a == b)


def test_a_total_of_nothing_is_zero() -> None:
    assert Money.total([], "KRW") == Money.zero("KRW") == Money(0, "KRW")


@pytest.mark.parametrize("operator", ["__add__", "__sub__", "__lt__", "__le__", "__gt__", "__ge__"])
def test_two_currencies_are_never_reckoned_together(operator: str) -> None:
    with pytest.raises(CurrencyMismatch) as refusal:
        getattr(Money(1, "USD"), operator)(Money(1, "KRW"))
    assert refusal.value.code == "money.currency_mismatch"


def test_a_total_of_two_currencies_is_refused() -> None:
    with pytest.raises(CurrencyMismatch):
        Money.total([Money(1, "USD"), Money(1, "KRW")], "USD")


def test_zero_of_two_currencies_is_not_equal() -> None:
    assert Money.zero("USD") != Money.zero("KRW")
    assert len({Money.zero("USD"), Money.zero("KRW"), Money(0, "USD")}) == 2


@pytest.mark.parametrize("other", [1, 0, 1.5, Decimal(1), "1", None])
def test_money_and_a_bare_number_do_not_mix(other: Any) -> None:
    money: Any = Money(100, "USD")
    operations: list[Callable[[], object]] = [
        lambda: money + other,
        lambda: money - other,
        lambda: other + money,
        lambda: money < other,
    ]
    for operation in operations:
        with pytest.raises(TypeError):
            operation()
    assert money != other


@pytest.mark.parametrize("factor", [1.5, Decimal("1.5"), True, "2"])
def test_only_a_whole_number_multiplies_without_saying_how_to_round(factor: Any) -> None:
    money: Any = Money(100, "USD")
    with pytest.raises(TypeError):
        money * factor


def test_a_result_that_bigint_cannot_hold_is_refused() -> None:
    most = Money(MAX_MINOR, "USD")
    operations: list[Callable[[], Money]] = [
        lambda: most + Money(1, "USD"),
        lambda: -most - Money(1, "USD"),
        lambda: most * 2,
        lambda: most.times(Decimal("1.1")),
        lambda: Money.total([most, most], "USD"),
    ]
    for operation in operations:
        with pytest.raises(AmountOutOfRange):
            operation()
    least = -most
    assert -least == most


@pytest.mark.parametrize(
    ("minor", "ratio", "expected"),
    [
        (100, "0.125", 12), (100, "0.375", 38), (100, "0.005", 0), (100, "0.015", 2), (-100, "0.125", -12), (-100, "0.375", -38),
        (1000, "1.1", 1100), (1999, "0.1", 200), (3, "-0.5", -2), (1, "0.5", 0), (1, "0.50000000000000000000000000000000001", 1),
    ],
)  # fmt: skip
def test_times_rounds_a_half_to_the_even_unit(minor: int, ratio: str, expected: int) -> None:
    assert Money(minor, "USD").times(Decimal(ratio)) == Money(expected, "USD")


@pytest.mark.requirement("SA-5")
@given(small, st.decimals(-1000, 1000, places=40), currencies)
def test_times_is_exact_before_its_one_rounding(minor: int, ratio: Decimal, currency: str) -> None:
    with localcontext(prec=200):
        expected = int((minor * ratio).to_integral_value(ROUND_HALF_EVEN))
    assert Money(minor, currency).times(ratio) == Money(expected, currency)


@pytest.mark.parametrize(
    "ratio", ["NaN", "sNaN", "Infinity", "-Infinity", "1E+1000000", "1E-1000000", "0E+1000000", "1E+101"]
)
def test_a_ratio_that_is_no_ordinary_number_is_refused_before_it_costs_anything(ratio: str) -> None:
    with pytest.raises(MalformedAmount):
        Money(100, "USD").times(Decimal(ratio))
    with pytest.raises(MalformedAmount):
        Money(100, "USD").allocate([Decimal(ratio)])

"""Parting an amount: nothing is lost, nothing is made up, and it is the same every time."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_kernel import MAX_MINOR, Money, UnusableWeights

minors = st.integers(-MAX_MINOR, MAX_MINOR)
weight = st.one_of(st.integers(0, 10**9), st.decimals(0, 10**6, places=6))
weights = st.lists(weight, min_size=1, max_size=20).filter(lambda values: any(values))


@pytest.mark.requirement("SA-5")
@given(minors, weights)
def test_the_parts_sum_to_the_whole_and_none_is_a_unit_off(minor: int, values: list[Decimal | int]) -> None:
    parts = Money(minor, "USD").allocate(values)
    assert len(parts) == len(values)
    assert Money.total(parts, "USD") == Money(minor, "USD")
    whole = sum(map(Fraction, values))
    for part, value in zip(parts, values, strict=True):
        assert abs(part.minor - Fraction(value) * minor / whole) < 1


@given(minors, weights)
def test_a_weight_of_zero_gets_nothing(minor: int, values: list[Decimal | int]) -> None:
    parts = Money(minor, "USD").allocate([0, *values, 0])
    assert parts[0] == parts[-1] == Money.zero("USD")
    assert parts[1:-1] == Money(minor, "USD").allocate(values)


@given(minors, weights)
def test_a_negative_amount_is_parted_like_the_positive_one(minor: int, values: list[Decimal | int]) -> None:
    assert (-Money(minor, "USD")).allocate(values) == [-part for part in Money(minor, "USD").allocate(values)]


@given(minors, weights, st.integers(1, 1000))
def test_only_the_proportion_of_the_weights_matters(minor: int, values: list[Decimal | int], factor: int) -> None:
    scaled = [value * factor for value in values]
    assert Money(minor, "USD").allocate(scaled) == Money(minor, "USD").allocate(values)


@pytest.mark.parametrize(
    ("minor", "values", "expected"),
    [
        (100, [1, 1, 1], [34, 33, 33]),
        (-100, [1, 1, 1], [-34, -33, -33]),
        (5, [1, 1], [3, 2]),
        (100, [1, 2, 4], [14, 29, 57]),  # shares 14.29, 28.57, 57.14: the largest remainder is the second's
        (1, [Decimal("0.1"), Decimal("0.2"), Decimal("0.7")], [0, 0, 1]),
        (0, [3, 4], [0, 0]),
        (7, [5], [7]),
    ],
)
def test_left_over_units_go_to_the_largest_remainders_of_equal_ones_to_the_earliest(
    minor: int, values: list[Decimal | int], expected: list[int]
) -> None:
    assert Money(minor, "USD").allocate(values) == [Money(part, "USD") for part in expected]


@pytest.mark.parametrize("values", [[], [0], [0, Decimal(0)], [1, -1], [-1], [5, Decimal("-0.01")]])
def test_weights_that_say_nothing_are_refused(values: list[Decimal | int]) -> None:
    with pytest.raises(UnusableWeights) as refusal:
        Money(100, "USD").allocate(values)
    assert refusal.value.code == "money.unusable_weights"


@given(minors, st.integers(1, 100))
def test_a_split_is_as_even_as_it_can_be_larger_parts_first(minor: int, count: int) -> None:
    parts = [abs(part.minor) for part in Money(minor, "KRW").split(count)]
    assert sum(parts) == abs(minor)
    assert parts == sorted(parts, reverse=True)
    assert parts[0] - parts[-1] <= 1


@pytest.mark.parametrize("count", [0, -1])
def test_a_split_into_no_parts_is_refused(count: int) -> None:
    with pytest.raises(UnusableWeights):
        Money(100, "KRW").split(count)

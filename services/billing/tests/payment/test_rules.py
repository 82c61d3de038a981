"""For which instalments a payment is, and when it counts."""

import datetime as dt
import itertools
import uuid
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_billing.payment.rules import (
    Allocation,
    AllocationInvalid,
    ExceedsOpen,
    NotPending,
    Open,
    PaymentFixed,
    Status,
    allocate,
    check_move,
    check_removable,
    check_same,
    same_allocations,
)
from crm_kernel import new_id
from crm_kernel.money import Money

DAY = dt.date(2026, 11, 23)
FIRST, SECOND, THIRD = (uuid.UUID(int=number) for number in (1, 2, 3))
# The second is due first; the first and the third on the same day.
OPENS = [
    Open(FIRST, DAY + dt.timedelta(1), 1, 100),
    Open(SECOND, DAY, 2, 50),
    Open(THIRD, DAY + dt.timedelta(1), 3, 100),
]
STATUSES: tuple[Status, ...] = get_args(Status)


def usd(minor: int) -> Money:
    return Money(minor, "USD")


def asked(*some: tuple[uuid.UUID, int]) -> list[Allocation]:
    return [Allocation(key, usd(minor)) for key, minor in some]


@pytest.mark.requirement("BI-21")
@pytest.mark.parametrize(
    ("amount", "parts"),
    [
        (1, [(SECOND, 1)]),
        (50, [(SECOND, 50)]),
        (51, [(SECOND, 50), (FIRST, 1)]),
        (250, [(SECOND, 50), (FIRST, 100), (THIRD, 100)]),
    ],
)
def test_what_is_due_first_is_paid_first(amount: int, parts: list[tuple[uuid.UUID, int]]) -> None:
    assert allocate(usd(amount), OPENS, None) == tuple(asked(*parts))


@pytest.mark.requirement("BI-21")
def test_nothing_is_paid_beyond_what_is_open() -> None:
    with pytest.raises(ExceedsOpen):
        allocate(usd(251), OPENS, None)
    with pytest.raises(ExceedsOpen):
        allocate(usd(51), OPENS, asked((SECOND, 51)))
    assert allocate(usd(50), OPENS, asked((SECOND, 50))) == tuple(asked((SECOND, 50)))


@pytest.mark.parametrize(
    ("parts", "pointer", "code"),
    [
        ([(uuid.UUID(int=9), 100)], "/allocations/0/instalment_id", "allocation.instalment"),
        ([(FIRST, 50), (FIRST, 50)], "/allocations/1/instalment_id", "allocation.instalment"),
        ([(FIRST, 100), (SECOND, 0)], "/allocations/1/amount", "allocation.amount"),
        ([(FIRST, 99)], "/allocations", "allocation.sum"),
        ([(FIRST, 100), (SECOND, 1)], "/allocations", "allocation.sum"),
    ],
)
def test_allocations_are_the_payment(parts: list[tuple[uuid.UUID, int]], pointer: str, code: str) -> None:
    with pytest.raises(AllocationInvalid) as refused:
        allocate(usd(100), OPENS, asked(*parts))
    assert [(error.pointer, error.code) for error in refused.value.errors] == [(pointer, code)]


@given(st.lists(st.integers(0, 50), max_size=6), st.integers(1, 300))
def test_allocations_come_to_the_payment_and_stay_within_what_is_open(open_amounts: list[int], amount: int) -> None:
    opens = [Open(uuid.UUID(int=n + 1), DAY, n, one) for n, one in enumerate(open_amounts)]
    if amount > sum(open_amounts):
        with pytest.raises(ExceedsOpen):
            allocate(usd(amount), opens, None)
        return
    found = allocate(usd(amount), opens, None)
    assert sum(one.amount.minor for one in found) == amount
    limits = {one.instalment_id: one.amount for one in opens}
    assert all(0 < one.amount.minor <= limits[one.instalment_id] for one in found)


@pytest.mark.parametrize(("current", "target"), list(itertools.product(STATUSES, STATUSES)))
def test_a_payment_is_decided_once(current: Status, target: Status) -> None:
    if current == "pending" and target != "pending":
        check_move(current, target)
        return
    with pytest.raises(NotPending):
        check_move(current, target)


@pytest.mark.parametrize("status", STATUSES)
def test_what_counts_or_may_count_is_not_deleted(status: Status) -> None:
    if status in ("rejected", "withdrawn"):
        check_removable(status)
        return
    with pytest.raises(PaymentFixed):
        check_removable(status)


@pytest.mark.requirement("BI-21")
@pytest.mark.parametrize("status", get_args(Status))
def test_a_payment_stays_what_it_is_and_gives_its_reference_up_only_when_it_never_counts(status: Status) -> None:
    check_same(status, same=True, gives_up_reference=False)
    for same, gives_up in ((False, False), (False, True), (True, True)):
        if same and status in ("rejected", "withdrawn"):
            check_same(status, same=same, gives_up_reference=gives_up)
        else:
            with pytest.raises(PaymentFixed):
                check_same(status, same=same, gives_up_reference=gives_up)


def test_allocations_are_the_same_in_whatever_order() -> None:
    first, second = (Allocation(new_id(), Money(amount, "USD")) for amount in (100, 200))
    assert same_allocations([second, first], [first, second])
    assert same_allocations([], [])
    other = Allocation(first.instalment_id, Money(100, "EUR"))
    for asked in ([first], [first, first], [first, second, second], [other, second], []):
        assert not same_allocations(asked, [first, second])

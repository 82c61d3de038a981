"""Instalment plans: what may stand in one, how it changes, the status of each by day."""

import datetime as dt
import itertools
import uuid
from typing import get_args

import pytest

from crm_billing.contract.plan import (
    Instalment,
    InstalmentGiven,
    InstalmentPaid,
    InstalmentStatus,
    PlanInvalid,
    SumDiffers,
    check_kept,
    check_sum,
    settle_plan,
    status_of,
    whole_plan,
)
from crm_billing.contract.rules import Status
from crm_kernel import new_id
from crm_kernel.money import MAX_MINOR, Money

TODAY = dt.date(2026, 11, 23)
DAY = dt.timedelta(days=1)


def given(
    minor: int, *, currency: str = "USD", id: uuid.UUID | None = None, due_on: dt.date = TODAY
) -> InstalmentGiven:
    return InstalmentGiven(Money(minor, currency), due_on, id=id)


def settled(*some: InstalmentGiven, present: tuple[Instalment, ...] = ()) -> tuple[Instalment, ...]:
    return settle_plan(some, present, [new_id() for _ in some])


def codes(refused: pytest.ExceptionInfo[PlanInvalid]) -> list[tuple[str, str]]:
    return [(error.pointer, error.code) for error in refused.value.errors]


@pytest.mark.requirement("BI-20")
def test_instalments_are_numbered_in_their_order_and_keep_their_ids() -> None:
    first = settled(given(100), given(200))
    assert [one.number for one in first] == [1, 2]
    second = settled(given(200, id=first[1].id), given(50), given(50, id=first[0].id), present=first)
    assert [(one.number, one.amount.minor) for one in second] == [(1, 200), (2, 50), (3, 50)]
    assert (second[0].id, second[2].id) == (first[1].id, first[0].id)
    assert second[1].id not in {one.id for one in first}
    assert settled() == ()


def test_an_instalment_that_is_not_there_or_stands_twice_is_refused() -> None:
    (present,) = settled(given(100))
    with pytest.raises(PlanInvalid) as refused:
        settled(given(50, id=present.id), given(50, id=present.id), given(1, id=new_id()), present=(present,))
    assert codes(refused) == [("/instalments/1/id", "instalment.unknown"), ("/instalments/2/id", "instalment.unknown")]


def test_an_instalment_is_more_than_nothing_and_all_are_in_one_currency() -> None:
    with pytest.raises(PlanInvalid) as refused:
        settled(given(0), given(100, currency="EUR"), given(1))
    assert codes(refused) == [
        ("/instalments/0/amount", "instalment.amount"),
        ("/instalments/1/amount", "instalment.currency"),
    ]


def test_a_sum_beyond_what_money_can_be_is_refused() -> None:
    with pytest.raises(PlanInvalid) as refused:
        settled(given(MAX_MINOR), given(1))
    assert codes(refused) == [("/instalments", "money.out_of_range")]


@pytest.mark.requirement("BI-20")
@pytest.mark.parametrize("parts", [(999,), (1001,), (500, 499), ()])
def test_a_plan_comes_to_exactly_the_value(parts: tuple[int, ...]) -> None:
    check_sum(settled(given(1), given(999)), Money(1000, "USD"))
    with pytest.raises(SumDiffers):
        check_sum(settled(*map(given, parts)), Money(1000, "USD"))
    with pytest.raises(SumDiffers):
        check_sum(settled(given(1000)), Money(1000, "EUR"))


def test_no_instalment_falls_below_what_payments_are_for() -> None:
    present = settled(given(600), given(400))
    received, waiting = {present[0].id: 200}, {present[0].id: 100}
    check_kept(settled(given(300, id=present[0].id), given(700), present=present), present, received, waiting)
    for some in ((given(299, id=present[0].id), given(701)), (given(1000),), ()):
        with pytest.raises(InstalmentPaid):
            check_kept(settled(*some, present=present), present, received, waiting)


def test_a_paid_instalment_stays_as_it_is() -> None:
    present = settled(given(600), given(400))
    paid = {present[0].id: 600}
    check_kept(settled(given(600, id=present[0].id), given(100), given(300), present=present), present, paid, {})
    for changed in (given(700, id=present[0].id), given(600, id=present[0].id, due_on=TODAY + DAY)):
        with pytest.raises(InstalmentPaid):
            check_kept(settled(changed, given(300), present=present), present, paid, {})


@pytest.mark.parametrize(
    ("ends_on", "starts_on", "due_on"),
    [
        (TODAY + 9 * DAY, TODAY + DAY, TODAY + 9 * DAY),
        (None, TODAY + DAY, TODAY + DAY),
        (None, None, TODAY),
    ],
)
def test_without_a_plan_everything_is_due_at_once(
    ends_on: dt.date | None, starts_on: dt.date | None, due_on: dt.date
) -> None:
    (one,) = whole_plan(Money(7, "KRW"), new_id(), ends_on=ends_on, starts_on=starts_on, today=TODAY)
    assert (one.number, one.amount, one.due_on) == (1, Money(7, "KRW"), due_on)


@pytest.mark.requirement("BI-20")
@pytest.mark.parametrize(
    ("contract", "received", "late"), list(itertools.product(get_args(Status), (0, 1, 99, 100), (-1, 0, 1)))
)
def test_the_status_of_an_instalment_follows_from_contract_payments_and_day(
    contract: Status, received: int, late: int
) -> None:
    status = status_of(contract, 100, received, TODAY, TODAY + late * DAY)
    expected: InstalmentStatus
    if contract in ("draft", "in_approval"):
        expected = "waiting"
    elif contract == "void":
        expected = "void"
    elif received == 100:
        expected = "paid"
    elif contract == "terminated":
        expected = "void"
    elif late == 1:
        expected = "overdue"
    elif received:
        expected = "part_paid"
    else:
        expected = {-1: "waiting", 0: "due"}[late]
    assert status == expected

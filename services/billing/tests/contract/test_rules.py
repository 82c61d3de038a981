"""What a contract may become, what it comes to, and when."""

import datetime as dt
import itertools
from decimal import Decimal
from typing import get_args

import pytest

from crm_billing.contract.rules import (
    MOVES,
    CustomerUnknown,
    EndsBeforeStart,
    NotActive,
    NotDraft,
    NotInApproval,
    Status,
    ValueFromLines,
    ValueMissing,
    check_days,
    check_draft,
    check_move,
    check_removable,
    check_value,
    pointed,
    value_of,
)
from crm_kernel import new_id
from crm_kernel.errors import Refusal
from crm_kernel.money import Money
from crm_records.lines import Line

STATUSES: tuple[Status, ...] = get_args(Status)
DAY = dt.date(2026, 11, 23)
ALLOWED = {
    ("draft", "in_approval"),
    ("draft", "void"),
    ("in_approval", "active"),
    ("in_approval", "draft"),
    ("active", "terminated"),
}


@pytest.mark.requirement("BI-1", "BI-2")
@pytest.mark.parametrize(("current", "target"), list(itertools.product(STATUSES, STATUSES)))
def test_a_contract_goes_only_the_ways_that_are_said(current: Status, target: Status) -> None:
    if (current, target) in ALLOWED:
        check_move(current, target)
        return
    with pytest.raises(Refusal) as refused:
        check_move(current, target)
    expected = {
        "in_approval": NotDraft,
        "void": NotDraft,
        "active": NotInApproval,
        "draft": NotInApproval,
        "terminated": NotActive,
    }
    assert type(refused.value) is expected[target]
    assert refused.value.extra == {"status": current}


def test_every_status_can_be_reached_from_a_draft() -> None:
    reached: set[Status] = {"draft"}
    for _ in STATUSES:
        reached |= {target for status in reached for target in MOVES[status]}
    assert reached == set(STATUSES) == set(MOVES)


@pytest.mark.parametrize("status", STATUSES)
def test_only_drafts_are_changed_and_only_drafts_and_void_ones_deleted(status: Status) -> None:
    if status == "draft":
        check_draft(status)
    else:
        with pytest.raises(NotDraft):
            check_draft(status)
    if status in ("draft", "void"):
        check_removable(status)
    else:
        with pytest.raises(NotDraft):
            check_removable(status)


def test_a_contract_ends_on_or_after_the_day_it_starts() -> None:
    later = DAY + dt.timedelta(days=1)
    for starts, ends in ((None, None), (DAY, None), (None, DAY), (DAY, DAY), (DAY, later)):
        check_days(starts, ends)
    with pytest.raises(EndsBeforeStart) as refused:
        check_days(later, DAY)
    assert refused.value.errors[0].pointer == "/ends_on"


def line(price: int, quantity: str, discount: str = "0", tax: str = "0") -> Line:
    money = Money(price, "USD")
    return Line(new_id(), new_id(), Decimal(quantity), money, money, Decimal(discount), Decimal(tax))


@pytest.mark.requirement("BI-1")
def test_the_value_is_what_the_lines_come_to_with_discounts_and_taxes() -> None:
    lines = [line(10_000, "2", discount="5", tax="10"), line(333, "3")]
    # 2 · 100.00 less 5 % is 190.00, tax 19.00; 3 · 3.33 is 9.99.
    summed = Money(20_900 + 999, "USD")
    assert value_of(lines, None) == summed
    assert value_of(lines, summed) == summed
    for other in (Money(summed.minor - 1, "USD"), Money(summed.minor, "EUR")):
        with pytest.raises(ValueFromLines):
            value_of(lines, other)


def test_without_lines_the_value_is_as_given() -> None:
    assert value_of([], None) is None
    assert value_of([], Money(5, "KRW")) == Money(5, "KRW")


def test_what_is_submitted_is_worth_something() -> None:
    assert check_value(Money(1, "USD")) == Money(1, "USD")
    for value in (None, Money(0, "USD"), Money(-1, "USD")):
        with pytest.raises(ValueMissing):
            check_value(value)


def test_a_pointed_refusal_says_where() -> None:
    (error,) = pointed(CustomerUnknown, "/customer_id").errors
    assert (error.pointer, error.code) == ("/customer_id", "contract.customer_unknown")

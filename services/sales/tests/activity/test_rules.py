"""When an activity can have happened, and whose it is: pure decisions (SA-30)."""

import datetime as dt
import uuid

import pytest

from crm_records import FieldProblem
from crm_records.refusals import OccurredInFuture
from crm_sales.activity.links import Link, Links
from crm_sales.activity.rules import (
    LinkUnknown,
    ParticipantUnknown,
    check_links,
    check_participants,
    customer_of,
    needs_backdate,
)

NOW = dt.datetime(2026, 11, 23, 3, 0, tzinfo=dt.UTC)
FIRST, SECOND = (Link("customers.customer", uuid.UUID(int=n)) for n in (1, 2))
FIELD = Links("links", types=("customers.customer", "sales.opportunity"))


@pytest.mark.requirement("SA-30")
def test_thirty_days_back_are_free_and_the_future_is_refused() -> None:
    assert not needs_backdate(NOW, NOW)
    assert not needs_backdate(NOW - dt.timedelta(days=30), NOW)
    assert needs_backdate(NOW - dt.timedelta(days=30, seconds=1), NOW)
    # Another machine's clock may run ahead by a minute.
    assert not needs_backdate(NOW + dt.timedelta(minutes=1), NOW)
    with pytest.raises(OccurredInFuture) as refused:
        needs_backdate(NOW + dt.timedelta(minutes=1, seconds=1), NOW)
    assert refused.value.errors[0].pointer == "/happened_at"


def test_each_unknown_link_is_pointed_at_and_present_ones_may_stay() -> None:
    check_links([FIRST, SECOND], {FIRST}, [SECOND])
    with pytest.raises(LinkUnknown) as refused:
        check_links([FIRST, SECOND], {FIRST}, [])
    assert [error.pointer for error in refused.value.errors] == ["/links/1"]


def test_each_unknown_participant_is_pointed_at_and_present_ones_may_stay() -> None:
    known, gone, nobody = (uuid.UUID(int=n) for n in (1, 2, 3))
    check_participants([known, gone], {known}, [gone])
    with pytest.raises(ParticipantUnknown) as refused:
        check_participants([known, nobody], {known}, [gone])
    assert [error.pointer for error in refused.value.errors] == ["/participants/1"]


def test_the_customer_is_the_first_links_that_has_one() -> None:
    first, second = uuid.UUID(int=11), uuid.UUID(int=12)
    assert customer_of([FIRST, SECOND], {FIRST: first, SECOND: second}) == first
    assert customer_of([FIRST, SECOND], {SECOND: second}) == second
    assert customer_of([FIRST], {}) is None


def test_links_are_one_to_five_and_each_once() -> None:
    given = {"type": "customers.customer", "id": str(uuid.UUID(int=1))}
    assert FIELD.parse([given, given]) == (FIRST,)
    wrong = {
        "field.type": ["x", [given["id"]], [{**given, "name": "x"}], [{**given, "id": 1}]],
        "field.required": [[]],
        "field.too_long": [[given] * 6],
        "field.choice": [[{**given, "type": "support.ticket"}]],
    }
    for code, values in wrong.items():
        for value in values:
            with pytest.raises(FieldProblem) as refused:
                FIELD.parse(value)
            assert refused.value.code == code, value


@pytest.mark.parametrize("raw", [7, None, "", str(FIRST.id), f"support.ticket:{FIRST.id}", "customers.customer:x"])
def test_what_names_no_record_is_no_operand(raw: object) -> None:
    with pytest.raises(FieldProblem):
        FIELD.operand(raw)
    assert FIELD.operand(f"customers.customer:{FIRST.id}") == FIRST.id

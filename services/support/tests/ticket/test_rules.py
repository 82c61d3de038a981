"""Every move from every status, replies, requesters (SU-1, SU-2)."""

import datetime as dt
import itertools
import uuid

import pytest

from crm_support.ticket.rules import (
    MoveNotAllowed,
    NotAssigned,
    Progress,
    ReopenTooLate,
    RequesterInternal,
    RequesterMissing,
    Status,
    TicketClosed,
    check_assigned,
    check_requester,
    moved,
    replied,
    taken,
)

NOW = dt.datetime(2026, 11, 23, 3, 0, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
FIRST = NOW - 9 * DAY

#: Written out, not taken from the rules: from → to.
ALLOWED = {
    *(("new", "open"), ("new", "pending"), ("new", "on_hold"), ("new", "solved")),
    *(("open", "pending"), ("open", "on_hold"), ("open", "solved")),
    *(("pending", "open"), ("pending", "on_hold"), ("pending", "solved")),
    *(("on_hold", "open"), ("on_hold", "pending"), ("on_hold", "solved")),
    *(("solved", "open"), ("solved", "closed")),
}
STATUSES: tuple[Status, ...] = ("new", "open", "pending", "on_hold", "solved", "closed")


def at(status: Status, solved: dt.datetime | None = None) -> Progress:
    done = solved or NOW - DAY if status in ("solved", "closed") else None
    return Progress(status, done, FIRST)


@pytest.mark.requirement("SU-1")
@pytest.mark.parametrize(("current", "target"), list(itertools.product(STATUSES, STATUSES)))
def test_every_move_from_every_status(current: Status, target: Status) -> None:
    before = at(current)
    if current == target:
        assert moved(before, target, NOW) is before
    elif (current, target) not in ALLOWED:
        with pytest.raises(MoveNotAllowed):
            moved(before, target, NOW)
    else:
        solved_at = {"solved": NOW, "closed": before.solved_at}.get(target)
        assert moved(before, target, NOW) == Progress(target, solved_at, FIRST)


@pytest.mark.requirement("SU-1")
def test_a_solved_ticket_is_opened_again_within_thirty_days() -> None:
    assert moved(at("solved", NOW - 30 * DAY), "open", NOW).status == "open"
    with pytest.raises(ReopenTooLate):
        moved(at("solved", NOW - 30 * DAY - dt.timedelta(microseconds=1)), "open", NOW)
    # Closing one is never too late.
    assert moved(at("solved", NOW - 300 * DAY), "closed", NOW).status == "closed"


@pytest.mark.parametrize("status", STATUSES)
def test_only_a_new_ticket_opens_when_somebody_takes_it(status: Status) -> None:
    assert taken(at(status)).status == ("open" if status == "new" else status)


#: What a public reply makes of each status: by staff, by the requester.
AFTER: dict[Status, tuple[Status, Status]] = {
    "new": ("open", "new"),
    "open": ("open", "open"),
    "pending": ("pending", "open"),
    "on_hold": ("on_hold", "on_hold"),
    "solved": ("solved", "open"),
}


@pytest.mark.requirement("SU-2")
@pytest.mark.parametrize("status", STATUSES)
def test_what_replies_do(status: Status) -> None:
    before = Progress(status, at(status).solved_at, None)
    assert replied(before, "staff", "internal", NOW) is before
    if status == "closed":
        for author in ("staff", "requester"):
            with pytest.raises(TicketClosed):
                replied(before, author, "public", NOW)
        return
    by_staff, by_requester = (replied(before, author, "public", NOW) for author in ("staff", "requester"))
    assert (by_staff.status, by_requester.status) == AFTER[status]
    assert (by_staff.first_response_at, by_requester.first_response_at) == (NOW, None)
    assert by_staff.solved_at == before.solved_at
    assert by_requester.solved_at is None
    # The first response stays the first.
    assert replied(by_staff, "staff", "public", NOW + DAY).first_response_at == NOW


def test_a_requester_neither_writes_internally_nor_opens_what_is_long_solved() -> None:
    with pytest.raises(RequesterInternal):
        replied(at("open"), "requester", "internal", NOW)
    with pytest.raises(ReopenTooLate):
        replied(at("solved", NOW - 31 * DAY), "requester", "public", NOW)


@pytest.mark.requirement("SU-3")
@pytest.mark.parametrize("status", STATUSES)
def test_only_what_is_somebodys_is_over(status: Status) -> None:
    check_assigned(status, True)
    if status in ("solved", "closed"):
        with pytest.raises(NotAssigned):
            check_assigned(status, False)
    else:
        check_assigned(status, False)


def test_a_ticket_is_somebodys() -> None:
    with pytest.raises(RequesterMissing):
        check_requester(None, None, None, "", None)
    someone = uuid.uuid4()
    check_requester(someone, None)
    check_requester(None, someone)
    for position in range(3):
        check_requester(None, None, *("x" if n == position else None for n in range(3)))

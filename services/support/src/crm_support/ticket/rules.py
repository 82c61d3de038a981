"""Tickets' decisions: statuses and what moves them, replies, requesters (SU-1, SU-2). Pure."""

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Final, Literal

from crm_kernel.errors import Conflict, FieldError, Invalid

Status = Literal["new", "open", "pending", "on_hold", "solved", "closed"]
Author = Literal["staff", "requester"]
Visibility = Literal["public", "internal"]

STATUSES: Final[tuple[Status, ...]] = ("new", "open", "pending", "on_hold", "solved", "closed")

#: What still waits for somebody: a solved or closed ticket is in no queue.
UNDONE: Final[tuple[Status, ...]] = ("new", "open", "pending", "on_hold")

#: What is over: such a ticket is somebody's, who can be asked.
DONE: Final[tuple[Status, ...]] = ("solved", "closed")

#: How long after it was solved a ticket can be opened again.
REOPENING: Final = dt.timedelta(days=30)

#: From which status one may go to which. Nothing becomes new again, and closed is the end.
MOVES: Final[dict[Status, frozenset[Status]]] = {
    "new": frozenset({"open", "pending", "on_hold", "solved"}),
    "open": frozenset({"pending", "on_hold", "solved"}),
    "pending": frozenset({"open", "on_hold", "solved"}),
    "on_hold": frozenset({"open", "pending", "solved"}),
    "solved": frozenset({"open", "closed"}),
    "closed": frozenset(),
}


class MoveNotAllowed(Conflict):
    """409: from its present status the ticket can't get this one."""

    code = "ticket.move_not_allowed"
    title = "The ticket can't get this status now"


class ReopenTooLate(Conflict):
    """409: it was solved more than 30 days ago; what is asked now is a ticket of its own."""

    code = "ticket.reopen_too_late"
    title = "The ticket was solved too long ago"


class TicketClosed(Conflict):
    """409: a closed ticket is not answered any more."""

    code = "ticket.closed"
    title = "The ticket is closed"


class NotAssigned(Conflict):
    """409: what is solved or closed was seen to by somebody; it has an owner, and keeps one."""

    code = "ticket.not_assigned"
    title = "Somebody must see to the ticket; claim it, or assign it to somebody"


class AlreadyAssigned(Conflict):
    """409: the ticket left the queue; somebody else was faster."""

    code = "ticket.already_assigned"
    title = "Somebody sees to the ticket already"


class RequesterMissing(Invalid):
    """422: a ticket is a customer's, a contact's, or a stranger's with name, e-mail address or telephone number."""

    code = "ticket.requester_missing"
    title = "Who asks? A customer, a contact, or a stranger's name, e-mail address or telephone number"


class CustomerUnknown(Invalid):
    """422: no such customer here (yet), or the caller may not see it. Send the Consistency-Token of the customer's creation."""

    code = "ticket.customer_unknown"
    title = "There is no such customer"


class ContactUnknown(Invalid):
    """422: no such contact here (yet), or the caller may not see it."""

    code = "ticket.contact_unknown"
    title = "There is no such contact"


class ContactElsewhere(Invalid):
    """422: the contact is another customer's."""

    code = "ticket.contact_elsewhere"
    title = "The contact belongs to another customer"


class QueueByAssign(Invalid):
    """422: an existing ticket changes its queue by being assigned, with its own event; not as a field."""

    code = "ticket.queue_by_assign"
    title = "The queue changes by assigning the ticket"


class RequesterInternal(Invalid):
    """422: what a requester writes is never internal."""

    code = "ticket.requester_internal"
    title = "What the requester writes is public"


@dataclass(frozen=True)
class Progress:
    """How far a ticket is. solved_at: since when it is solved; None unless it is solved or closed."""

    status: Status
    solved_at: dt.datetime | None = None
    first_response_at: dt.datetime | None = None


def pointed(refusal: type[Invalid], pointer: str, detail: str | None = None) -> Invalid:
    """A refusal that says at which member of the input."""
    return refusal(errors=[FieldError(pointer, refusal.code, detail or refusal.title)])


def check_requester(customer_id: uuid.UUID | None, contact_id: uuid.UUID | None, *stranger: str | None) -> None:
    """Whether a ticket says who asks. stranger: name, address, number. Raises RequesterMissing."""
    if customer_id is None and contact_id is None and not any(stranger):
        raise pointed(RequesterMissing, "/customer_id")


def moved(before: Progress, target: Status, now: dt.datetime) -> Progress:
    """The ticket after it was given a status; as it is when it has it already. Raises MoveNotAllowed, ReopenTooLate."""
    if target == before.status:
        return before
    if target not in MOVES[before.status]:
        raise MoveNotAllowed(f"It is {_words(before.status)}; it can't become {_words(target)}")
    if target == "closed":
        return Progress(target, before.solved_at, before.first_response_at)
    if target == "solved":
        return Progress(target, now, before.first_response_at)
    if before.solved_at is not None and now - before.solved_at > REOPENING:
        raise ReopenTooLate(f"It was solved more than {REOPENING.days} days ago")
    return Progress(target, None, before.first_response_at)


def check_assigned(status: Status, assigned: bool) -> None:
    """Raise NotAssigned for a ticket that would be over without having been anybody's: nobody would find it again."""
    if status in DONE and not assigned:
        raise NotAssigned


def taken(before: Progress) -> Progress:
    """The ticket after somebody was made to see to it: a new one is open."""
    return Progress("open", None, before.first_response_at) if before.status == "new" else before


def replied(before: Progress, author: Author, visibility: Visibility, now: dt.datetime) -> Progress:
    """The ticket after a reply.

    Staff's first public one is the first response, and opens a new ticket; the requester's opens one that is pending or solved.
    Internal ones change nothing, and are the only ones that a closed ticket takes. Raises TicketClosed, ReopenTooLate, RequesterInternal.
    """
    if visibility == "internal":
        if author == "requester":
            raise pointed(RequesterInternal, "/visibility")
        return before
    if before.status == "closed":
        raise TicketClosed
    if author == "requester":
        return moved(before, "open", now) if before.status in ("pending", "solved") else before
    after = taken(before)
    return Progress(after.status, after.solved_at, before.first_response_at or now)


def _words(status: Status) -> str:
    return status.replace("_", " ")

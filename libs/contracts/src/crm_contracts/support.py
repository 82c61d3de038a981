"""Events of the support service: tickets, and the queues in which they wait."""

import datetime as dt
import uuid
from typing import Literal

from pydantic import Field

from crm_contracts.events import Event, Part
from crm_contracts.examples import CONTACT, CUSTOMER, USER, owned, sample
from crm_contracts.hand_overs import hand_over_events
from crm_contracts.operations import operation_events
from crm_contracts.records import RecordState, standard_events
from crm_contracts.registry import Topic, registry

TICKET_TOPIC = registry.topic(
    Topic(
        name="crm.support.ticket",
        producer="support",
        consumers=("customers", "sales", "analytics"),
        description="Tickets: who asks for what, who sees to it, how far it is, what was answered.",
        partitions=3,
    )
)
QUEUE_TOPIC = registry.topic(
    Topic(
        name="crm.support.queue",
        producer="support",
        consumers=("analytics",),
        description="The queues in which tickets wait, and their members.",
        partitions=1,
    )
)
SUPPORT_OPERATIONS = operation_events("support")
SUPPORT_HAND_OVERS = hand_over_events("support")

Channel = Literal["phone", "email", "web", "chat", "api"]
Priority = Literal["low", "normal", "high", "urgent"]
TicketStatus = Literal["new", "open", "pending", "on_hold", "solved", "closed"]
ReplyAuthor = Literal["staff", "requester"]
ReplyVisibility = Literal["public", "internal"]


class TicketState(RecordState):
    """A request for help (SU-1). Who asks: a customer, a contact, or a stranger. owner_id: who sees to it; None: it waits in `queue`.

    first_response_at: the first public reply of staff. solved_at: since when it is solved; None unless it is solved or closed.
    """

    number: str
    subject: str
    description: str | None = None
    channel: Channel
    customer_id: uuid.UUID | None = None
    contact_id: uuid.UUID | None = None
    stranger_name: str | None = None
    stranger_email: str | None = None
    stranger_phone: str | None = None
    category: str | None = None
    priority: Priority = "normal"
    status: TicketStatus = "new"
    queue: str
    tags: list[str] = Field(default_factory=list)
    first_response_at: dt.datetime | None = None
    solved_at: dt.datetime | None = None


class QueueState(Part):
    """A queue. key: how tickets name it; it stays. Members see what waits in it; open_to_all: whoever may see queues is one."""

    key: str
    name: str
    member_user_ids: list[uuid.UUID] = Field(default_factory=list)
    member_department_ids: list[uuid.UUID] = Field(default_factory=list)
    open_to_all: bool = False
    deleted: bool = False


_ticket = {
    "number": "TCK-2603-00001",
    "subject": "로그인이 되지 않습니다",
    "channel": "phone",
    "customer_id": CUSTOMER,
    "contact_id": CONTACT,
    "status": "open",
    "queue": "general",
    "owner_id": USER,
    "created_at": "2026-03-01T09:00:00Z",
    "updated_at": "2026-03-01T09:00:00Z",
}
_queue = {"key": "general", "name": "General", "open_to_all": True}
_REPLY = "01900000-0000-7000-8000-0000000000a1"

TICKET_EVENTS = standard_events(TICKET_TOPIC, TicketState, _ticket)


@registry.event(
    "crm.support.ticket.assigned.v1",
    TICKET_TOPIC,
    example=owned(
        _ticket,
        version=2,
        from_user_id=None,
        to_user_id=USER,
        from_queue="general",
        to_queue="general",
        reason="Knows the product",
    ),
)
class TicketAssigned(Event[TicketState]):
    """Somebody else sees to the ticket, nobody does any more (to_user_id is None), or it waits in another queue (SU-3)."""

    from_user_id: uuid.UUID | None
    to_user_id: uuid.UUID | None
    from_queue: str
    to_queue: str
    reason: str | None = None


@registry.event(
    "crm.support.ticket.moved.v1",
    TICKET_TOPIC,
    example=owned({**_ticket, "status": "pending"}, version=3, from_status="open", to_status="pending", reason=None),
)
class TicketMoved(Event[TicketState]):
    """The ticket has another status."""

    from_status: TicketStatus
    to_status: TicketStatus
    reason: str | None = None


@registry.event(
    "crm.support.ticket.replied.v1",
    TICKET_TOPIC,
    example=owned(
        {**_ticket, "first_response_at": "2026-03-01T09:00:00Z"},
        version=4,
        reply_id=_REPLY,
        author="staff",
        visibility="public",
        text="Please try again now.",
        length=21,
    ),
)
class TicketReplied(Event[TicketState]):
    """Somebody wrote in a ticket (SU-2). length: in characters. text: None for internal ones: they stay in the support service."""

    reply_id: uuid.UUID
    author: ReplyAuthor
    visibility: ReplyVisibility
    text: str | None
    length: int


@registry.event("crm.support.queue.created.v1", QUEUE_TOPIC, example=sample(_queue))
class QueueCreated(Event[QueueState]):
    """A queue was set up."""


@registry.event(
    "crm.support.queue.changed.v1", QUEUE_TOPIC, example=sample({**_queue, "member_user_ids": [USER]}, version=2)
)
class QueueChanged(Event[QueueState]):
    """A queue's name or members changed."""

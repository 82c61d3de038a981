"""Bodies and answers of the ticket's own operations."""

import datetime as dt
import uuid
from typing import Annotated

from pydantic import BaseModel, ConfigDict, WithJsonSchema

from crm_records import OptionalId
from crm_records.annotations import OptionalReason, reads_text
from crm_support.ticket.rules import Author, Status, Visibility

_STRICT = ConfigDict(extra="forbid")
#: The longest text of one reply, in characters.
MAX_TEXT = 20_000

_Text = Annotated[str, reads_text(MAX_TEXT), WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_TEXT})]
_Queue = Annotated[
    str | None, reads_text(40, optional=True), WithJsonSchema({"type": ["string", "null"], "maxLength": 40})
]


class MoveBody(BaseModel):
    """Which status, and why."""

    model_config = _STRICT

    status: Status
    reason: OptionalReason = None


class AssignBody(BaseModel):
    """To whom; null: nobody sees to it any more, it waits. queue: the key of the queue, as it is unless given. reason: why."""

    model_config = _STRICT

    user_id: OptionalId
    queue: _Queue = None
    reason: OptionalReason = None


class ReplyBody(BaseModel):
    """What was written. author: `requester` when you enter what they wrote or said. visibility: internal ones are for staff alone."""

    model_config = _STRICT

    text: _Text
    visibility: Visibility = "public"
    author: Author = "staff"


class ReplyView(BaseModel):
    """A reply. position: 1, 2, … in its ticket. author_id: who of staff wrote it, or entered what the requester wrote."""

    id: uuid.UUID
    ticket_id: uuid.UUID
    position: int
    author: Author
    author_id: uuid.UUID | None
    visibility: Visibility
    text: str
    created_at: dt.datetime


class ReplyList(BaseModel):
    """A page of replies, oldest first. next: the cursor of the next page, or null."""

    items: list[ReplyView]
    next: str | None


class CustomerView(BaseModel):
    """A customer, as far as support knows it."""

    id: uuid.UUID
    number: str
    name: str


class ContactView(BaseModel):
    """A contact, as far as support knows it."""

    id: uuid.UUID
    name: str
    email: str | None
    phone: str | None


class StrangerView(BaseModel):
    """Somebody who is no customer or contact yet."""

    name: str | None
    email: str | None
    phone: str | None


class RequesterView(BaseModel):
    """Who asks. customer, contact: null too when you may not see them; the ticket has their ids."""

    customer: CustomerView | None
    contact: ContactView | None
    stranger: StrangerView | None

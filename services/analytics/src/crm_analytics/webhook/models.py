"""What the operations of webhooks take and answer."""

import datetime as dt
import uuid
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from crm_analytics.feed.rules import MAX_TYPES
from crm_analytics.webhook.addresses import MAX_URL
from crm_analytics.webhook.rules import Reason, State, Status

Url = Annotated[str, Field(min_length=1, max_length=MAX_URL)]
Types = Annotated[list[Annotated[str, Field(min_length=1, max_length=200)]], Field(max_length=MAX_TYPES)]
Description = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]

WEBHOOK = "01900000-0000-7000-8000-0000000000cc"
EVENT = "01900000-0000-7000-8000-000000000099"
WEBHOOK_EXAMPLE: dict[str, Any] = {
    "id": WEBHOOK,
    "version": 1,
    "owner_id": "01900000-0000-7000-8000-000000000002",
    "url": "https://receiver.example/hooks/crm",
    "types": ["crm.sales.opportunity.*"],
    "description": "Won deals for the ERP",
    "status": "active",
    "reason": None,
    "status_since": "2026-03-01T09:00:00Z",
    "secret_since": "2026-03-01T09:00:00Z",
    "previous_secret_until": None,
    "created_at": "2026-03-01T09:00:00Z",
    "updated_at": "2026-03-01T09:00:00Z",
}
READ_EXAMPLE: dict[str, Any] = {**WEBHOOK_EXAMPLE, "pending": 2, "position": 4711, "head": 4713}
MADE_EXAMPLE: dict[str, Any] = {**WEBHOOK_EXAMPLE, "secret": "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="}
DELIVERY_EXAMPLE: dict[str, Any] = {
    "event_id": EVENT,
    "position": 4711,
    "subject": "01900000-0000-7000-8000-000000000010",
    "type": "crm.sales.opportunity.won.v1",
    "state": "pending",
    "attempts": 1,
    "taken_at": "2026-03-01T09:00:01Z",
    "first_attempt_at": "2026-03-01T09:00:01Z",
    "next_attempt_at": "2026-03-01T09:00:06Z",
    "settled_at": None,
}
_ATTEMPT: dict[str, Any] = {
    "number": 1,
    "at": "2026-03-01T09:00:01Z",
    "seconds": 0.052,
    "status": 503,
    "answer": "busy",
    "error": None,
}


class _Strict(BaseModel):
    """A request's body: unknown members are refused."""

    model_config = ConfigDict(extra="forbid")


class WebhookBody(_Strict):
    """A new webhook. url: where events are sent to. types: event types or patterns such as `crm.sales.opportunity.*`; none: every type."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"url": "https://receiver.example/hooks/crm", "types": ["crm.sales.opportunity.*"]}]
        },
    )

    url: Url
    types: Types = Field(default_factory=list)
    description: Description | None = None


class WebhookPatch(_Strict):
    """What is to change. status: `paused` sends nothing, and what happens meanwhile is sent afterwards; `active` also after `disabled`."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"status": "paused"}]})

    url: Url = ""
    types: Types = Field(default_factory=list)
    description: Description | None = None
    status: Literal["active", "paused"] = "active"


class ReplayBody(_Strict):
    """From where on everything is sent again, as far as the owner may read it now: an event, a position of the log (feed and deliveries
    show it), or an instant of recording. Exactly one."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"since": "2026-03-01T00:00:00Z"}]})

    event_id: uuid.UUID | None = None
    position: Annotated[int, Field(ge=1, le=2**62)] | None = None
    since: AwareDatetime | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(value is not None for value in (self.event_id, self.position, self.since)) != 1:
            raise ValueError("exactly one of event_id, position and since")
        return self


class WebhookView(BaseModel):
    """A webhook. reason, status_since: why it is disabled, and since when it has its status. previous_secret_until: until then messages
    are signed with the secret before as well."""

    model_config = ConfigDict(json_schema_extra={"examples": [WEBHOOK_EXAMPLE]})

    id: uuid.UUID
    version: int
    owner_id: uuid.UUID
    url: str
    types: list[str]
    description: str | None
    status: Status
    reason: Reason | None
    status_since: dt.datetime
    secret_since: dt.datetime
    previous_secret_until: dt.datetime | None
    created_at: dt.datetime
    updated_at: dt.datetime


class WebhookStanding(WebhookView):
    """The same, and how far it is. pending: deliveries that wait. position: up to where the log was taken in; head: how far the log is."""

    model_config = ConfigDict(json_schema_extra={"examples": [READ_EXAMPLE]})

    pending: int
    position: int
    head: int


class WebhookMade(WebhookView):
    """The same with its secret, which is shown this once."""

    model_config = ConfigDict(json_schema_extra={"examples": [MADE_EXAMPLE]})

    secret: str


class WebhookList(BaseModel):
    """A page, the newest first. next: the cursor of the next page, or null."""

    items: list[WebhookView]
    next: str | None


class Tested(BaseModel):
    """What came of the request. seconds: how long it took. status: of the answer; null: there was none, and `error` says why."""

    succeeded: bool
    seconds: float
    status: int | None
    answer: str | None
    error: str | None


class Replayed(BaseModel):
    """Everything from the first to the last position is sent again, in order per record."""

    first: int
    last: int


class DeliveryView(BaseModel):
    """An event that was, or is to be, sent. position: its place in the log. state: `pending`; `delivered`; `withheld`: when its turn
    came, the owner might no longer read the record. attempts: requests made so far."""

    model_config = ConfigDict(json_schema_extra={"examples": [DELIVERY_EXAMPLE]})

    event_id: uuid.UUID
    position: int
    subject: uuid.UUID
    type: str
    state: State
    attempts: int
    taken_at: dt.datetime
    first_attempt_at: dt.datetime | None
    next_attempt_at: dt.datetime | None
    settled_at: dt.datetime | None


class DeliveryItem(DeliveryView):
    """The same with what came of the last attempt."""

    status: int | None
    error: str | None


class DeliveryList(BaseModel):
    """A page, those of the newest events first. next: the cursor of the next page, or null."""

    items: list[DeliveryItem]
    next: str | None


class AttemptView(BaseModel):
    """One request. answer: the first 1,024 bytes of its text."""

    number: int
    at: dt.datetime
    seconds: float
    status: int | None
    answer: str | None
    error: str | None


class DeliveryDetail(DeliveryView):
    """The same with its attempts, the newest first; at most 200."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**DELIVERY_EXAMPLE, "log": [_ATTEMPT]}]})

    log: list[AttemptView]

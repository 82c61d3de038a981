"""What the operations of operators take and answer."""

import datetime as dt
import uuid
from typing import Annotated, Any, Literal

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from crm_events.letter_box import DeadLetter, LetterState
from crm_events.standing import Standing

#: Why somebody did it; kept in the audit for good.
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]

EVENT = "01900000-0000-7000-8000-000000000099"
_LETTER: dict[str, Any] = {
    "event_id": EVENT,
    "group": "support.customers",
    "topic": "crm.customers.customer",
    "partition": 1,
    "number": 4711,
    "subject_id": "01900000-0000-7000-8000-000000000006",
    "type": "crm.customers.customer.changed.v1",
    "reason": "ValueError: no such lifecycle",
    "attempts": 3,
    "failed_at": "2026-03-01T09:00:00Z",
    "state": "waiting",
    "settled_at": None,
    "parked": 2,
}
LETTERS_EXAMPLE: dict[str, Any] = {"items": [_LETTER], "next": None}
LETTER_EXAMPLE: dict[str, Any] = {
    "event_id": EVENT,
    "letters": [
        {
            **_LETTER,
            "trace": "Traceback (most recent call last): …",
            "headers": {"ce_type": "crm.customers.customer.changed.v1", "ce_source": "/crm/customers"},
            "data": {"version": 2, "state": {"name": "Example"}},
        }
    ],
}
ASKED_EXAMPLE: dict[str, Any] = {"event_id": EVENT, "state": "retry", "groups": ["support.customers"]}
CONSUMERS_EXAMPLE: dict[str, Any] = {
    "items": [
        {
            "group": "support.customers",
            "topic": "crm.customers.customer",
            "partition": 1,
            "stream": "01900000-0000-7000-8000-0000000000aa",
            "watermark": 4713,
            "blocked": 1,
            "parked": 2,
            "head": None,
            "lag": None,
            "updated_at": "2026-03-01T09:00:05Z",
        }
    ]
}
RESYNC_EXAMPLE: dict[str, Any] = {
    "id": "01900000-0000-7000-8000-0000000000bb",
    "group": "support.customers",
    "topic": "crm.customers.customer",
    "kind": "state",
    "reason": "operator",
    "prune": False,
    "state": "running",
    "applied": 1500,
    "refused": 0,
    "unknown": 0,
    "total": None,
    "problem": None,
    "asked_at": "2026-03-01T09:00:00Z",
    "finished_at": None,
}


class Strict(BaseModel):
    """A request's body: unknown members are refused."""

    model_config = ConfigDict(extra="forbid")


class RetryBody(Strict):
    """group: only this group's dead letter; all that wait unless given."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "The reaction was corrected"}]}
    )

    group: Name | None = None
    reason: Reason | None = None


class DiscardBody(Strict):
    """group: only this group's dead letter; all that wait unless given. reason: the event is never applied, so say why."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"group": "support.customers", "reason": "The record is gone"}]},
    )

    group: Name | None = None
    reason: Reason


class DeadLetterItem(BaseModel):
    """An event that a consumer group could not apply. number: its publication number. subject_id: the record that it is about.

    parked: how many later events of that record wait behind it. state: `retry` and `discard` were asked for and are carried out by the
    worker; a retry that fails is `waiting` again.
    """

    model_config = ConfigDict(from_attributes=True)

    event_id: uuid.UUID
    group: str
    topic: str
    partition: int
    number: int
    subject_id: uuid.UUID = Field(validation_alias="key")
    type: str
    reason: str
    attempts: int
    failed_at: dt.datetime
    state: LetterState
    settled_at: dt.datetime | None
    parked: int


class DeadLetterDetail(DeadLetterItem):
    """The same whole. trace: where it failed. headers: as received. data: the event's; a text where it isn't JSON."""

    trace: str
    headers: dict[str, str]
    data: Any


class DeadLetterList(BaseModel):
    """A page, those that failed last first. next: the cursor of the next page, or null."""

    items: list[DeadLetterItem]
    next: str | None


class DeadLettersOfEvent(BaseModel):
    """An event's dead letters, one per group that could not apply it."""

    event_id: uuid.UUID
    letters: list[DeadLetterDetail]


class Asked(BaseModel):
    """What was asked for; the service's worker carries it out within seconds. groups: whose dead letters."""

    event_id: uuid.UUID
    state: Literal["retry", "discard"]
    groups: list[str]


class ConsumerView(BaseModel):
    """A consumer group on a partition. watermark: the last publication number that it dealt with, of the numbering `stream`.

    blocked: dead letters that wait. parked: events that wait behind them. head, lag: the highest number given, and how many are not dealt
    with; null for topics of other services, whose numbers this one doesn't know. updated_at: when the watermark last rose.
    """

    model_config = ConfigDict(from_attributes=True)

    group: str
    topic: str
    partition: int
    stream: str
    watermark: int
    blocked: int
    parked: int
    head: int | None
    lag: int | None
    updated_at: dt.datetime


class ConsumerList(BaseModel):
    """All groups on all partitions."""

    items: list[ConsumerView]


class ResyncBody(Strict):
    """What is to be told again; everything that takes a resync unless said.

    kind: `journal` for every fact; null: what each group needs. since: only facts recorded from then on. prune: rows that the owner doesn't
    know are removed afterwards.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"topics": ["crm.identity.user"], "reason": "A row was removed by hand"}]},
    )

    groups: Annotated[list[Name], Field(min_length=1, max_length=50)] | None = None
    topics: Annotated[list[Name], Field(min_length=1, max_length=50)] | None = None
    kind: Literal["journal"] | None = None
    since: AwareDatetime | None = None
    types: Annotated[list[Name], Field(min_length=1, max_length=50)] | None = None
    prune: bool = False
    reason: Reason | None = None


class ResyncsAsked(BaseModel):
    """requests: ids of the resyncs that came of it; `GET …/operations/resyncs` shows how far they are."""

    requests: list[uuid.UUID]
    groups: list[str]
    topics: list[str]


class ResyncView(BaseModel):
    """A resync as it stands. reason: `operator`, or `gap` or `prune` when it was made by itself. applied: records taken, those refused and
    unknown to the owner included. total: of all, once it is complete."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    group: str
    topic: str
    kind: str
    reason: str
    prune: bool
    state: str
    applied: int
    refused: int
    unknown: int
    total: int | None
    problem: str | None
    asked_at: dt.datetime
    finished_at: dt.datetime | None


class ResyncList(BaseModel):
    """The newest first."""

    items: list[ResyncView]


def item(letter: DeadLetter) -> DeadLetterItem:
    """A dead letter as lists show it."""
    return DeadLetterItem.model_validate(letter)


def detail(letter: DeadLetter) -> DeadLetterDetail:
    """A dead letter whole."""
    try:
        data: Any = orjson.loads(letter.data)
    except orjson.JSONDecodeError:
        data = letter.data
    shown = item(letter).model_dump(exclude={"subject_id"})
    return DeadLetterDetail(**shown, key=letter.key, trace=letter.trace, headers=letter.headers, data=data)


def consumer(one: Standing) -> ConsumerView:
    """A group's standing as it is shown."""
    return ConsumerView.model_validate(one)

"""Bodies and answers of the standard operations that are the same for every record type."""

import uuid
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from crm_records.asked import DEFAULT_LIMIT, MAX_LIMIT
from crm_records.models import MAX_JOB_ROWS, Id, Instant, OptionalInstant, Reason, left_out

_STRICT = ConfigDict(extra="forbid")

FILTER_WORDS = (
    "Conditions `{field, op, value}` joined by `and`, `or`, `not`. Operators by kind: eq, ne, in, is_empty, contains, starts_with, "
    "gt, gte, lt, lte, between, within_last and before_next (whole days of the company; 1 is today), me, my_team."
)
SORT_WORDS = "Fields, descending with a minus; empty values come last. At most three."


class SearchBody(BaseModel):
    """What a list is asked for, in a body: for filters that are too long for an address."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"filter": {"field": "owner_id", "op": "me"}, "sort": "-updated_at", "limit": 20}]
        },
    )

    filter: dict[str, Any] | None = Field(None, description=FILTER_WORDS)
    q: str | None = Field(
        None, description="Text that is looked for in the searchable fields, as a part, in any script."
    )
    sort: str | None = Field(None, max_length=300, description=SORT_WORDS)
    fields: list[str] | None = Field(None, max_length=100, description="Only these members, and the id.")
    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT, strict=True)
    cursor: str | None = Field(None, max_length=4000)
    count: Literal["exact", "estimate", "none"] = "none"
    deleted: Literal["exclude", "only", "include"] = "exclude"


class TransferBody(BaseModel):
    """To whom, and why. stay: what access the old owner keeps, as a member."""

    model_config = _STRICT

    to_user_id: Id
    stay: Literal["none", "read", "write"] = "none"
    reason: Reason = None


class TransferManyBody(TransferBody):
    """Which records, by ids or by filter (exactly one of both), to whom, and why."""

    ids: Annotated[list[Id], Field(min_length=1, max_length=MAX_JOB_ROWS)] | None = None
    filter: dict[str, Any] | None = Field(None, description=FILTER_WORDS)


class MemberBody(BaseModel):
    """The access. expires_at: from that instant on there is none."""

    model_config = _STRICT

    right: Literal["read", "write"]
    expires_at: OptionalInstant = None


class MemberView(BaseModel):
    """One user's access to one record. An expired one counts no more."""

    user_id: uuid.UUID
    right: Literal["read", "write"]
    expires_at: OptionalInstant = None


class MembersView(BaseModel):
    """Who shares in the record."""

    items: list[MemberView]


class RevertBody(BaseModel):
    """Which fields to set back; left out: all that the entry changed."""

    model_config = _STRICT

    fields: Annotated[list[str], Field(min_length=1, max_length=100)] | None = None


class ActorView(BaseModel):
    """Who did it."""

    kind: str
    id: uuid.UUID | None = None


class OriginView(BaseModel):
    """Through which door, from which network address."""

    channel: str
    address: str | None = None


class ChangeView(BaseModel):
    """One field before and after."""

    old: Any = None
    new: Any = None


class HistoryEntry(BaseModel):
    """One event. occurred_at: when it happened; recorded_at: when it was entered. reason: null unless one was given with it."""

    event_id: uuid.UUID
    version: int
    type: str
    fact: str
    occurred_at: Instant
    recorded_at: Instant
    actor: ActorView
    origin: OriginView
    changes: dict[str, ChangeView]
    reason: str | None = left_out()


class HistoryPage(BaseModel):
    """Newest first. `next`: the cursor of the next page, null on the last."""

    items: list[HistoryEntry]
    next: str | None


class OwnerEntry(BaseModel):
    """One change of owner; the first is the creation."""

    version: int
    fact: str
    from_user_id: uuid.UUID | None
    to_user_id: uuid.UUID | None
    reason: str | None
    by: ActorView
    occurred_at: Instant
    recorded_at: Instant


class OwnersPage(BaseModel):
    """Newest first. `next`: the cursor of the next page, null on the last."""

    items: list[OwnerEntry]
    next: str | None

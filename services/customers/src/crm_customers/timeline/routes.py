"""The timeline over HTTP."""

import datetime as dt
import uuid
from typing import Annotated, Any

import asyncpg
from fastapi import Query
from pydantic import BaseModel

from crm_customers.customer.actions import CUSTOMER
from crm_customers.timeline.page_store import Window, branches_of, read_page
from crm_customers.timeline.sources_store import SOURCES
from crm_kernel import FieldError, Invalid, NotFound
from crm_records import Id, Instant, read_record
from crm_web import ReadUnit, Router

router = Router("customers", tag="timeline", module="customers", scoped=True)

_TYPES = ", ".join(SOURCES)


class TypeUnknown(Invalid):
    """422: no such type of record stands in timelines."""

    code = "timeline.type_unknown"
    title = "Timelines have no such records"


class TimelineRecord(BaseModel):
    """The record that an entry is about, as it is called now. number: None where such records have none; name likewise."""

    type: str
    id: uuid.UUID
    number: str | None
    name: str | None


class TimelineEntry(BaseModel):
    """What happened. kind: `created`, `won`, `noted`, …; at: when; recorded_at: when it was entered. actor_id: who did it; None: the
    product itself. summary: small facts, by kind."""

    id: uuid.UUID
    at: dt.datetime
    recorded_at: dt.datetime
    kind: str
    record: TimelineRecord
    actor_id: uuid.UUID | None
    summary: dict[str, Any]


class TimelinePage(BaseModel):
    """A page of a timeline, newest first. next: the cursor of the next page, or null."""

    items: list[TimelineEntry]
    next: str | None


@router.get(
    "/customers/{id}/timeline",
    permission="customers.customer:read",
    summary="What happened with a customer, newest first, as far as you may see the records",
    errors=[NotFound, TypeUnknown],
)
async def read_customer_timeline(
    id: Id,
    unit: ReadUnit,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=4000)] = None,
    types: Annotated[
        str | None, Query(max_length=400, description=f"Only about these, separated by commas: {_TYPES}")
    ] = None,
    first: Annotated[Instant | None, Query(alias="from", description="At or after this instant")] = None,
    before: Annotated[Instant | None, Query(description="Before this instant")] = None,
) -> TimelinePage:
    asked = _asked(types)
    await read_record(unit.session, CUSTOMER, unit.scope(CUSTOMER.key, "read"), id)
    bound = ["timeline", str(id), asked, first, before]
    after = None
    if cursor is not None:
        at, last = unit.open_cursor(cursor, query=bound)
        after = (dt.datetime.fromisoformat(at), uuid.UUID(last))
    window = Window(first, before, after)
    rows = await read_page(unit.session, branches_of(unit, asked), id, window, limit + 1)
    following = None
    if len(rows) > limit:
        last_one = rows[limit - 1]
        following = unit.sign_cursor([last_one["at"].isoformat(), str(last_one["id"])], query=bound)
    return TimelinePage(items=[_shown(row) for row in rows[:limit]], next=following)


def _asked(types: str | None) -> list[str]:
    """The types that are asked for, each once. Raises TypeUnknown."""
    if types is None:
        return list(SOURCES)
    named = types.split(",")
    if not set(named) <= set(SOURCES):
        detail = f"Timelines have: {_TYPES}"
        raise TypeUnknown(detail, errors=[FieldError("query:types", TypeUnknown.code, detail)])
    return sorted(set(named))


def _shown(row: asyncpg.Record) -> TimelineEntry:
    record = TimelineRecord(type=row["record_type"], id=row["record_id"], number=row["number"], name=row["name"])
    return TimelineEntry(
        id=row["id"],
        at=row["at"],
        recorded_at=row["recorded_at"],
        kind=row["kind"],
        record=record,
        actor_id=row["actor_id"],
        summary=row["summary"],
    )

"""GET /events: the log of all events, as an audit trail and as a feed."""

import datetime as dt
import uuid
from typing import Annotated, Any

from fastapi import Query
from pydantic import AwareDatetime

from crm_analytics.log import store
from crm_analytics.log.models import EventPage
from crm_analytics.log.store import Wanted
from crm_kernel import FieldError, Forbidden, Invalid
from crm_web import ReadUnit, Router

router = Router("analytics", tag="events", module="analytics", scoped=True)


class LogNeedsEverything(Forbidden):
    """403: the log has no owners; who does not reach everything, reaches nothing of it."""

    code = "events.everything_needed"
    title = "The log is for those whose data scope reaches everything"


class TimesRefused(Invalid):
    """422: no range of times: it ends before it begins, or lies outside the years 1 to 9999."""

    code = "events.times_refused"
    title = "The range of times can't be asked for"


@router.get(
    "/events",
    permission="analytics.event:read",
    summary="The log of all events, in a stable order",
    response=EventPage,
    errors=[LogNeedsEverything, TimesRefused],
)
async def list_events(
    unit: ReadUnit,
    type: Annotated[str | None, Query(max_length=200, description="`crm.sales.opportunity.won.v1`")] = None,
    subject: Annotated[uuid.UUID | None, Query(description="The record")] = None,
    actor: Annotated[uuid.UUID | None, Query(description="Who did it")] = None,
    recorded_from: Annotated[AwareDatetime | None, Query(description="Recorded at or after this instant")] = None,
    recorded_before: Annotated[AwareDatetime | None, Query(description="Recorded before this instant")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=2048)] = None,
) -> dict[str, Any]:
    """Every event of the product, oldest first; whoever follows `next` and later `resume` sees each event once and misses none.

    Only for those whose data scope for `analytics.event` reaches everything: events have no owners to limit it by.
    """
    if not unit.scope("analytics.event", "read").everything:
        raise LogNeedsEverything
    start, end = _utc("recorded_from", recorded_from), _utc("recorded_before", recorded_before)
    if start is not None and end is not None and end < start:
        raise _refused("recorded_before", "`recorded_before` is before `recorded_from`")
    wanted = Wanted(type, subject, actor, start, end)
    asked = [str(value) if value is not None else None for value in vars(wanted).values()]
    position = int(unit.open_cursor(cursor, query=asked)[0]) if cursor is not None else 0
    rows = await store.after(unit.session, position, limit + 1, wanted)
    items = [dict(row) for row in rows[:limit]]
    resume = unit.sign_cursor([items[-1]["position"]], query=asked) if items else cursor
    return {"items": items, "next": resume if len(rows) > limit else None, "resume": resume}


def _utc(name: str, instant: dt.datetime | None) -> dt.datetime | None:
    try:
        return None if instant is None else instant.astimezone(dt.UTC)
    except OverflowError:
        raise _refused(name, "The instant is outside the years 1 to 9999") from None


def _refused(name: str, detail: str) -> TimesRefused:
    return TimesRefused(detail, errors=[FieldError(f"query:{name}", TimesRefused.code, detail)])

"""GET /api/events/v1/feed: the product's events for systems that can't read the bus, a page at a time or as a stream."""

from typing import Annotated, Final, Literal

from fastapi import Query

from crm_analytics.access.rules import hearing_of
from crm_analytics.access.store import heard_up_to
from crm_analytics.feed.actions import look
from crm_analytics.feed.models import PAGE_EXAMPLE, FeedPage
from crm_analytics.feed.rules import MAX_TYPES, TypeUnknown, checked_types
from crm_analytics.feed.streaming import follow
from crm_contracts import registry
from crm_kernel import FieldError, Invalid
from crm_web import CursorInvalid, Json, Limits, ReadUnit, Router, Stream

#: Not below the service's own address: what it tells is of all services. No module opens it and no scope of its own counts: each event is
#: told by the permission and the scope of the record that it is about.
router = Router("analytics", prefix="/api/events/v1", tag="feed")

PERMISSION: Final = "analytics.feed:read"
Types = Annotated[
    str | None,
    Query(
        max_length=4000,
        description="Event types or patterns, with commas: `crm.sales.opportunity.won.v1,crm.customers.*`",
    ),
]
After = Annotated[str | None, Query(max_length=2048, description="The `cursor` of the page before; none: see `start`")]
Start = Annotated[
    Literal["first", "now"],
    Query(
        description="Where to begin without a cursor: at the log's first event, or with what is recorded from now on"
    ),
]


class TooManyTypes(Invalid):
    """422: more types than one question may name."""

    code = "events.too_many_types"
    title = f"At most {MAX_TYPES} types can be asked for together"


@router.get(
    "/feed",
    permission=PERMISSION,
    summary="The events of records that you may read, in a stable order",
    response=FeedPage,
    errors=[TypeUnknown, TooManyTypes, CursorInvalid],
    example=PAGE_EXAMPLE,
)
async def read_feed(
    unit: ReadUnit,
    after: After = None,
    types: Types = None,
    start: Start = "first",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Json:
    """Oldest first. Whoever asks again with `cursor` as `after` gets each event that is theirs to read, and misses none.

    An event is told when you may read its record *now*, by permission and data scope. Whoever gets a record later is told its past only
    when they ask from the first event; whoever loses it hears no more of it. A page may be empty with `more` true: go on with its cursor.
    After a repair of the log an event may come twice, with the same `id`.
    """
    wanted = _types(types)
    found = await look(
        unit.session,
        await _position(unit, after, start, wanted),
        hearing_of(unit.caller, unit.directory, unit.now),
        wanted,
        limit,
    )
    return Json({"items": found.events, "cursor": cursor(unit, found.position, wanted), "more": found.more})


@router.get(
    "/feed/stream",
    permission=PERMISSION,
    summary=(
        "Follow the feed: server-sent events `event`, each with an event as JSON; `id` is a cursor, so `Last-Event-ID` resumes. "
        "The stream ends with the access token"
    ),
    errors=[TypeUnknown, TooManyTypes, CursorInvalid],
    stream=True,
    limits=Limits(rate="stream"),
)
async def follow_feed(unit: ReadUnit, after: After = None, types: Types = None, start: Start = "first") -> Stream:
    """The same events in the same order as the feed. A cursor of one is good for the other."""
    wanted = _types(types)
    last = unit.incoming.header(b"last-event-id")
    position = await _position(unit, last or after, start, wanted)
    return follow(unit, position, wanted, lambda reached: cursor(unit, reached, wanted))


def cursor(unit: ReadUnit, position: int, types: tuple[str, ...]) -> str:
    """A cursor for a position: the caller's, for these types, good for pages and streams."""
    return unit.runtime.cursors.sign([position], _bound(unit, types))


async def _position(unit: ReadUnit, after: str | None, start: Literal["first", "now"], types: tuple[str, ...]) -> int:
    if after is not None:
        return int(unit.runtime.cursors.open(after, _bound(unit, types))[0])
    return 0 if start == "first" else await heard_up_to(unit.session)


def _bound(unit: ReadUnit, types: tuple[str, ...]) -> tuple[object, ...]:
    return (unit.caller.user_id, "events.feed", types)


def _types(asked: str | None) -> tuple[str, ...]:
    named = [] if asked is None else [one.strip() for one in asked.split(",")]
    if len(named) > MAX_TYPES:
        raise TooManyTypes(errors=[FieldError("query:types", TooManyTypes.code, TooManyTypes.title)])
    return checked_types(named, registry.events, "query:types")

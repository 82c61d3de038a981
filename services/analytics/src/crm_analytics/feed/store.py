"""Reading the log as one person hears it: a bounded part at a time, so that whoever hears little never makes a long query."""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from crm_analytics.access.rules import Hearing
from crm_analytics.access.store import hearing_arguments, hearing_sql
from crm_database import ReadSession

#: Rows of the log that one question looks at, whether they are for the caller or not.
LOOKED_AT: Final = 5_000

# Up to where one look goes: so many rows on, and never beyond what is known about whose the records are.
_REACH = """
SELECT a.position AS known, w.reach, w.seen FROM access_head a, LATERAL (
  SELECT max(position) AS reach, count(*) AS seen FROM (
    SELECT l.position FROM event_log l WHERE l.position > $1 AND l.position <= a.position ORDER BY l.position LIMIT $2
  ) l
) w
"""
# The offset keeps the planner from walking the positions from the first one on: by time the newest are found at once (BRIN).
_FIRST_SINCE = "SELECT min(position) FROM (SELECT position FROM event_log WHERE time >= $1 OFFSET 0) AS later"
_POSITION_OF = "SELECT position FROM event_log WHERE id = $1"


@dataclass(frozen=True)
class Window:
    """A part of the log: behind one position, up to another. more: whether the log goes on behind it."""

    after: int
    reach: int
    more: bool


async def window(session: ReadSession, after: int, rows: int = LOOKED_AT) -> Window:
    """The part of the log that one look takes in."""
    # Raw SQL: one statement, so that what is seen lies within what is known.
    row = await session.connection.fetchrow(_REACH, after, rows)
    assert row is not None  # noqa: S101  (an aggregate over the one row)
    if row["seen"] < rows:
        # All there is was seen. Behind the last event there may be positions that nothing stands at: they are passed, too.
        return Window(after, max(after, row["known"]), more=False)
    return Window(after, row["reach"], more=row["reach"] < row["known"])


async def heard(
    session: ReadSession, part: Window, hearing: Hearing, patterns: Sequence[str], limit: int
) -> list[dict[str, Any]]:
    """At most `limit` events of a part of the log that are heard, in its order. patterns: of the types, for LIKE."""
    if hearing.nothing or part.reach == part.after:
        return []
    # Raw SQL: the condition depends on what the person hears; names are ours, values are parameters.
    rows = await session.connection.fetch(
        _heard(len(hearing.parts)), part.after, part.reach, list(patterns), limit, *hearing_arguments(hearing)
    )
    return [dict(row) for row in rows]


@cache
def _heard(parts: int) -> str:
    return f"""
SELECT l.id, l.position, l.type, l.source, l.subject, l.time, l.data FROM event_log l
WHERE l.position > $1 AND l.position <= $2 AND l.type LIKE ANY($3::text[]) AND {hearing_sql(parts, 5)}
ORDER BY l.position LIMIT $4
"""  # noqa: S608  (a condition of our own)


async def position_of(session: ReadSession, event_id: uuid.UUID) -> int | None:
    """Where an event stands in the log; None when it isn't there."""
    # Raw SQL: one value.
    found: int | None = await session.connection.fetchval(_POSITION_OF, event_id)
    return found


async def first_since(session: ReadSession, instant: dt.datetime) -> int | None:
    """Where the log's first event recorded at or after an instant stands; None when there is none."""
    # Raw SQL: one value.
    found: int | None = await session.connection.fetchval(_FIRST_SINCE, instant)
    return found

"""How the events of a service stand, from its database in two statements: for gauges, `crm status` and `crm doctor`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from crm_database import ReadSession

# Raw SQL: sums over this library's own tables. An id of version 7 knows when it was made, so the journal needs no look. What was put
# back is old and was on the bus before: age is of what the broker never acknowledged.
_OUTBOX = """
SELECT (SELECT count(*) FROM (SELECT 1 FROM outbox LIMIT 100000) o)
       + coalesce((SELECT sum(head - next + 1) FROM stream WHERE current), 0)::bigint AS backlog,
  extract(epoch FROM clock_timestamp() - least(
    (SELECT uuid_extract_timestamp(event_id) FROM outbox ORDER BY position LIMIT 1),
    (SELECT min(uuid_extract_timestamp(p.event_id)) FROM stream s
     JOIN publication p ON p.stream_id = s.id AND p.number = greatest(s.next, s.acknowledged + 1)
     WHERE s.current AND s.head >= greatest(s.next, s.acknowledged + 1))
  ))::float8 AS age
"""
_LETTERS = """
SELECT d.group_name, d.letters, coalesce(p.keys, 0) AS keys, coalesce(p.events, 0) AS events
FROM (SELECT group_name, count(*) AS letters FROM dead_letter WHERE state IN ('waiting', 'retry', 'discard') GROUP BY 1) d
LEFT JOIN (
  SELECT group_name, count(DISTINCT (topic, key)) AS keys, count(*) AS events
  FROM (SELECT group_name, topic, key FROM parked LIMIT 100000) one_of GROUP BY 1
) p ON p.group_name = d.group_name
"""


@dataclass(frozen=True)
class Waiting:
    """What waits in one group: dead letters that nobody settled, the keys that are parked behind them, their events."""

    letters: int
    keys: int
    events: int


@dataclass(frozen=True)
class Figures:
    """backlog: events that are not on the bus. oldest: seconds since the oldest one that never was was recorded; 0 without one.
    waiting: by group, only those with dead letters.
    """

    backlog: int = 0
    oldest: float = 0.0
    waiting: Mapping[str, Waiting] = field(default_factory=dict)


async def figures(session: ReadSession) -> Figures:
    """As they are now."""
    row = await session.connection.fetchrow(_OUTBOX)
    letters = await session.connection.fetch(_LETTERS)
    assert row is not None  # noqa: S101  (it reads no table's rows)
    return Figures(
        row["backlog"],
        max(0.0, row["age"] or 0.0),
        {one["group_name"]: Waiting(one["letters"], one["keys"], one["events"]) for one in letters},
    )

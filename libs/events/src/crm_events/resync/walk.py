"""Walking the journal for an answer: from a cursor, a bounded piece at a time. No table but the journal is read; what of
it is archived comes from there, in the same places.

Raw SQL: ranges of ids over partitioned tables, and orders that depend on several rows of one record.

The walk follows the event ids, which are in the order of time, so a piece is a range of the primary key, and `since` costs nothing.
Per record that is nearly the order of its facts, but not always: two processes' clocks differ. An event that has a later id than one
of a higher version makes that one wait: it is told right behind it (`turn` is the id at which an event is told).
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from crm_contracts import Envelope
from crm_database import Database, ReadSession
from crm_events.archive.reading import contents, storage_of
from crm_events.resync.messages import Kind

#: Rows of the journal that one statement looks at, and events that one page may have.
SCANNED = 4_000
PAGE_RECORDS = 400

_END = """
SELECT (array_agg(event_id ORDER BY event_id DESC))[1] AS last, count(*) AS seen
FROM (SELECT event_id FROM journal WHERE event_id >= $1 ORDER BY event_id LIMIT $2) s
"""
_NEWEST = """
SELECT p.event_id AS turn, p.event_id, p.version FROM journal p
WHERE p.event_id BETWEEN $1 AND $2 AND p.topic = $3 AND ($4::text[] IS NULL OR p.type = ANY($4))
  AND NOT EXISTS (SELECT FROM journal o WHERE o.subject = p.subject AND o.topic = p.topic AND o.version > p.version)
ORDER BY p.event_id
"""
# First the events that wait for nobody at their own id; then those that wait for one of these.
_FACTS = """
WITH page AS (
  SELECT event_id, subject, topic, version, type FROM journal WHERE event_id BETWEEN $1 AND $2 AND topic = $3
), due AS (
  SELECT p.event_id AS turn, p.event_id, p.version, p.type FROM page p
  WHERE NOT EXISTS (
    SELECT FROM journal o
    WHERE o.subject = p.subject AND o.topic = p.topic AND o.event_id > p.event_id AND o.version < p.version
  )
  UNION ALL
  SELECT p.event_id, o.event_id, o.version, o.type FROM page p
  JOIN journal o ON o.subject = p.subject AND o.topic = p.topic AND o.event_id < p.event_id AND o.version > p.version
  WHERE NOT EXISTS (
    SELECT FROM journal q
    WHERE q.subject = o.subject AND q.topic = o.topic AND q.event_id > p.event_id AND q.version < o.version
  )
)
SELECT turn, event_id, version FROM due WHERE ($4::text[] IS NULL OR type = ANY($4)) ORDER BY turn, version
"""
_NEWEST_OF = """
SELECT i.id AS turn, j.event_id, coalesce(j.version, 0) AS version FROM unnest($1::uuid[]) AS i(id)
LEFT JOIN LATERAL (
  SELECT event_id, version FROM journal WHERE subject = i.id AND topic = $2 ORDER BY version DESC LIMIT 1
) j ON true
WHERE i.id >= $3 ORDER BY i.id
"""
_FACTS_OF = """
SELECT i.id AS turn, j.event_id, coalesce(j.version, 0) AS version FROM unnest($1::uuid[]) AS i(id)
LEFT JOIN journal j ON j.subject = i.id AND j.topic = $2
WHERE i.id >= $3 ORDER BY i.id, j.version
"""
_EVENTS = """
SELECT event_id, type, subject, time, write_id, traceparent, convert_to(data::text, 'UTF8') AS data,
  data ? '$archived' AS is_archived
FROM journal WHERE event_id = ANY($1)
"""

_FIRST = uuid.UUID(int=0)


@dataclass(frozen=True)
class Wanted:
    """What is asked for: see messages.Request."""

    topic: str
    kind: Kind
    ids: tuple[uuid.UUID, ...] | None = None
    since: uuid.UUID | None = None
    types: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Found:
    """An event to tell, with the cursor behind it; `unknown`: a record of `ids` that has none."""

    cursor: str
    event: Envelope | None
    unknown: uuid.UUID | None = None


async def following(database: Database, source: str, wanted: Wanted, cursor: str | None) -> list[Found]:
    """The next events behind a cursor, at most PAGE_RECORDS; none: that was all. ValueError for a cursor that is none.

    An event that is recorded while the walk goes on is told when it is ahead of it, and comes over the topic in any case.
    """
    turn, version = _place(cursor)
    async with database.snapshot() as session:
        places = await _places(session, wanted, turn, version)
        ids = [row["event_id"] for row in places if row["event_id"] is not None]
        rows = {row["event_id"]: row for row in await session.connection.fetch(_EVENTS, ids)}
        archived = [event for event, row in rows.items() if row["is_archived"]]
        elsewhere = await contents(session.connection, storage_of(database), archived)
    return [
        Found(
            cursor=f"{row['turn']}:{row['version']}",
            event=None if row["event_id"] is None else _envelope(rows[row["event_id"]], source, elsewhere),
            unknown=row["turn"] if row["event_id"] is None else None,
        )
        for row in places
    ]


async def _places(session: ReadSession, wanted: Wanted, turn: uuid.UUID, version: int) -> Sequence[asyncpg.Record]:
    fetch = session.connection.fetch
    if wanted.ids is not None:
        sql = _NEWEST_OF if wanted.kind == "state" else _FACTS_OF
        return _behind(await fetch(sql, sorted(set(wanted.ids)), wanted.topic, turn), turn, version)
    first = max(turn, wanted.since or _FIRST)
    while True:
        (end,) = await fetch(_END, first, SCANNED)
        if end["last"] is None:
            return []
        sql = _NEWEST if wanted.kind == "state" else _FACTS
        types = None if wanted.types is None else list(wanted.types)
        found = _behind(await fetch(sql, first, end["last"], wanted.topic, types), turn, version)
        # A piece of the journal that has nothing of the topic is passed by; it is walked again after a crash, no more.
        if found or end["seen"] < SCANNED:
            return found
        first = end["last"]


def _behind(rows: Sequence[asyncpg.Record], turn: uuid.UUID, version: int) -> list[asyncpg.Record]:
    return [row for row in rows if (_plain(row["turn"]), row["version"]) > (turn, version)][:PAGE_RECORDS]


def _plain(value: uuid.UUID) -> uuid.UUID:
    """The driver's ids don't compare with Python's."""
    return uuid.UUID(int=value.int)


def _place(cursor: str | None) -> tuple[uuid.UUID, int]:
    if cursor is None:
        return _FIRST, -1
    turn, _, version = cursor.partition(":")
    return uuid.UUID(turn), int(version)


def _envelope(row: Any, source: str, elsewhere: Mapping[uuid.UUID, bytes]) -> Envelope:
    return Envelope(
        id=row["event_id"],
        type=row["type"],
        source=source,
        subject=row["subject"],
        time=row["time"],
        data=elsewhere[row["event_id"]] if row["is_archived"] else row["data"],
        write_id=row["write_id"],
        traceparent=row["traceparent"],
    )


__all__ = ["Found", "Wanted", "following"]

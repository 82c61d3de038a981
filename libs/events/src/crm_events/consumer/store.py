"""The consumer's statements. All run in the transaction that holds the watermark's row lock.

Raw SQL: whole batches move as arrays in one statement each, and this is the hot path of every projection.
"""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from crm_contracts import Envelope
from crm_database import ReadSession, WriteSession
from crm_events.consumer.rules import Watermark

_BEGIN = """
INSERT INTO watermark (group_name, topic, partition, stream, number, blocked, updated_at)
VALUES ($1, $2, $3, '', 0, 0, now()) ON CONFLICT DO NOTHING
"""
_LOCK = (
    "SELECT stream, number, blocked FROM watermark WHERE group_name = $1 AND topic = $2 AND partition = $3 FOR UPDATE"
)
_RAISE = """
UPDATE watermark SET stream = $4, number = $5, updated_at = now() WHERE group_name = $1 AND topic = $2 AND partition = $3
"""
_ALL = "SELECT topic, partition, stream, number, blocked FROM watermark WHERE group_name = $1"
_INBOX = """
INSERT INTO inbox (event_id, group_name, topic, write_id)
SELECT e, $1, $2, w FROM unnest($3::uuid[], $4::uuid[]) AS g(e, w)
ON CONFLICT DO NOTHING RETURNING event_id
"""
_BLOCKED_KEYS = """
SELECT DISTINCT key FROM dead_letter
WHERE group_name = $1 AND topic = $2 AND partition = $3 AND state IN ('waiting', 'retry', 'discard')
"""
_COUNT_BLOCKED = """
UPDATE watermark SET blocked = (
  SELECT count(*) FROM dead_letter d WHERE d.group_name = $1 AND d.topic = $2 AND d.partition = $3
  AND d.state IN ('waiting', 'retry', 'discard')
) WHERE group_name = $1 AND topic = $2 AND partition = $3
"""
_PARK = """
INSERT INTO parked (group_name, topic, partition, event_id, stream, number, key, type, headers, value)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""
_BURY = """
INSERT INTO dead_letter (group_name, topic, partition, event_id, stream, number, key, type, headers, value,
  reason, trace, attempts, failed_at, state)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 'waiting')
"""
_ASKED = """
SELECT * FROM dead_letter WHERE group_name = $1 AND topic = $2 AND partition = $3 AND state IN ('retry', 'discard')
ORDER BY number
"""
_ASKED_WHERE = """
SELECT DISTINCT topic, partition FROM dead_letter WHERE group_name = $1 AND state IN ('retry', 'discard')
"""
_ONE_ASKED = "SELECT * FROM dead_letter WHERE group_name = $1 AND event_id = $2 AND state IN ('retry', 'discard')"
_PARKED = "SELECT * FROM parked WHERE group_name = $1 AND topic = $2 AND key = $3 ORDER BY stream, number"
_UNPARK = "DELETE FROM parked WHERE group_name = $1 AND event_id = $2"
_SETTLE = "UPDATE dead_letter SET state = $3, settled_at = $4 WHERE group_name = $1 AND event_id = $2"
_FAILED_AGAIN = """
UPDATE dead_letter SET state = 'waiting', reason = $3, trace = $4, attempts = attempts + 1, failed_at = $5
WHERE group_name = $1 AND event_id = $2
"""
_UNTOLD = "SELECT * FROM dead_letter WHERE group_name = $1 AND NOT announced ORDER BY failed_at LIMIT 50"
_TOLD = "UPDATE dead_letter SET announced = true WHERE group_name = $1 AND event_id = ANY($2)"


@dataclass(frozen=True)
class Place:
    """Whose watermark."""

    group: str
    topic: str
    partition: int

    @property
    def key(self) -> tuple[str, str, int]:
        return self.group, self.topic, self.partition


async def begin(session: WriteSession, place: Place) -> None:
    """Make the watermark's row if there is none."""
    await session.connection.execute(_BEGIN, *place.key)


async def lock(session: WriteSession, place: Place) -> tuple[Watermark, int]:
    """The watermark, its row locked until the transaction ends, and how many dead letters wait."""
    row = await session.connection.fetchrow(_LOCK, *place.key)
    if row is None:
        await begin(session, place)
        row = await session.connection.fetchrow(_LOCK, *place.key)
    assert row is not None  # noqa: S101  (just made, in this transaction)
    return Watermark(row["stream"], row["number"]), row["blocked"]


async def raise_to(session: WriteSession, place: Place, watermark: Watermark) -> None:
    """W := number (rule 5)."""
    await session.connection.execute(_RAISE, *place.key, watermark.stream, watermark.number)


async def watermarks(session: ReadSession, group: str) -> dict[tuple[str, int], Watermark]:
    """All watermarks of a group."""
    rows = await session.connection.fetch(_ALL, group)
    return {(row["topic"], row["partition"]): Watermark(row["stream"], row["number"]) for row in rows}


async def into_inbox(session: WriteSession, place: Place, events: Sequence[Envelope]) -> set[uuid.UUID]:
    """The second net: the ids that were not in the inbox yet, and are now."""
    if not events:
        return set()
    rows = await session.connection.fetch(
        _INBOX, place.group, place.topic, [e.id for e in events], [e.write_id for e in events]
    )
    return {row["event_id"] for row in rows}


async def blocked_keys(session: WriteSession, place: Place) -> frozenset[str]:
    """The keys that wait behind a dead letter."""
    return frozenset(str(row["key"]) for row in await session.connection.fetch(_BLOCKED_KEYS, *place.key))


async def park(session: WriteSession, place: Place, events: Sequence[Envelope]) -> None:
    """Keep events of blocked keys, in order."""
    await session.connection.executemany(_PARK, [(*place.key, *_columns(event)) for event in events])


async def bury(
    session: WriteSession, place: Place, event: Envelope, *, reason: str, trace: str, attempts: int, now: dt.datetime
) -> None:
    """Put an event that can't be applied into the dead-letter table; its key is blocked from here on."""
    await session.connection.execute(_BURY, *place.key, *_columns(event), reason, trace, attempts, now)
    await count_blocked(session, place)


async def count_blocked(session: WriteSession, place: Place) -> None:
    """Set `blocked` to what is there."""
    await session.connection.execute(_COUNT_BLOCKED, *place.key)


async def asked(session: ReadSession, place: Place) -> list[asyncpg.Record]:
    """Dead letters of a partition that an operator wants retried or discarded."""
    return await session.connection.fetch(_ASKED, *place.key)


async def asked_where(session: ReadSession, group: str) -> set[tuple[str, int]]:
    """The partitions of a group where an operator wants dead letters retried or discarded."""
    return {(row["topic"], row["partition"]) for row in await session.connection.fetch(_ASKED_WHERE, group)}


async def one_asked(session: WriteSession, group: str, event_id: uuid.UUID) -> asyncpg.Record | None:
    """The same for one, read again under the watermark's lock."""
    return await session.connection.fetchrow(_ONE_ASKED, group, event_id)


async def parked_behind(session: WriteSession, place: Place, key: uuid.UUID) -> list[asyncpg.Record]:
    """What is parked of a key, in order."""
    return await session.connection.fetch(_PARKED, place.group, place.topic, key)


async def unpark(session: WriteSession, place: Place, event_id: uuid.UUID) -> None:
    """An event leaves the park."""
    await session.connection.execute(_UNPARK, place.group, event_id)


async def settle(session: WriteSession, place: Place, event_id: uuid.UUID, state: str, now: dt.datetime) -> None:
    """A dead letter is `retried` or `discarded`."""
    await session.connection.execute(_SETTLE, place.group, event_id, state, now)


async def failed_again(
    session: WriteSession, place: Place, event_id: uuid.UUID, *, reason: str, trace: str, now: dt.datetime
) -> None:
    """A retried dead letter failed again: it waits."""
    await session.connection.execute(_FAILED_AGAIN, place.group, event_id, reason, trace, now)


async def untold(session: ReadSession, group: str) -> list[asyncpg.Record]:
    """Dead letters that were not told on the dead-letter topic yet."""
    return await session.connection.fetch(_UNTOLD, group)


async def told(session: WriteSession, group: str, event_ids: Sequence[uuid.UUID]) -> None:
    """They were."""
    await session.connection.execute(_TOLD, group, list(event_ids))


def _columns(event: Envelope) -> tuple[Any, ...]:
    headers = [[name, value.decode()] for name, value in event.headers()]
    return event.id, event.stream, event.sequence, event.subject, event.type, headers, event.data


def envelope_of(row: asyncpg.Record) -> Envelope:
    """The event of a row of dead_letter or parked."""
    headers = [(name, value.encode()) for name, value in row["headers"]]
    return Envelope.read(headers, row["value"], topic=row["topic"], partition=row["partition"])

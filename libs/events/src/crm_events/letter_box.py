"""Dead letters for operators (`./crm events dead-letters`): list, show, retry, discard.

Retry and discard only ask: the service's worker carries it out within a second or two, because it has the reaction and may hold
the watermark's lock.
"""

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Any

import asyncpg

from crm_database import Database, WriteContext

# Raw SQL: an operator's tool over this library's own tables.
_LIST = """
SELECT d.*, (SELECT count(*) FROM parked p WHERE p.group_name = d.group_name AND p.topic = d.topic AND p.key = d.key) AS parked
FROM dead_letter d WHERE ($1::text IS NULL OR d.group_name = $1) AND ($2 OR d.state IN ('waiting', 'retry', 'discard'))
ORDER BY d.failed_at DESC LIMIT $3
"""
_SHOW = """
SELECT d.*, (SELECT count(*) FROM parked p WHERE p.group_name = d.group_name AND p.topic = d.topic AND p.key = d.key) AS parked
FROM dead_letter d WHERE d.event_id = $1 AND ($2::text IS NULL OR d.group_name = $2)
"""
_ASK = """
UPDATE dead_letter SET state = $1 WHERE state = 'waiting' AND ($2::uuid IS NULL OR event_id = $2)
AND ($3::text IS NULL OR group_name = $3)
"""


@dataclass(frozen=True)
class DeadLetter:
    """An event that a group could not apply. parked: how many later events of its key wait behind it. data: its JSON."""

    group: str
    event_id: uuid.UUID
    topic: str
    partition: int
    number: int
    key: uuid.UUID
    type: str
    reason: str
    trace: str
    attempts: int
    failed_at: dt.datetime
    state: str
    parked: int
    headers: dict[str, str]
    data: str


async def letters(
    database: Database, *, group: str | None = None, settled_too: bool = False, limit: int = 200
) -> list[DeadLetter]:
    """The newest dead letters of a service."""
    async with database.read() as session:
        return [_letter(row) for row in await session.connection.fetch(_LIST, group, settled_too, limit)]


async def show(database: Database, event_id: uuid.UUID, *, group: str | None = None) -> list[DeadLetter]:
    """The dead letters of one event: one per group that could not apply it."""
    async with database.read() as session:
        return [_letter(row) for row in await session.connection.fetch(_SHOW, event_id, group)]


async def retry(
    database: Database, now: dt.datetime, *, event_id: uuid.UUID | None = None, group: str | None = None
) -> int:
    """Ask for waiting dead letters to be applied again: one, a group's, or all; answers how many."""
    return await _ask(database, now, "retry", event_id, group)


async def discard(database: Database, now: dt.datetime, *, event_id: uuid.UUID, group: str | None = None) -> int:
    """Ask for a dead letter to be given up: it is never applied, and what is parked behind it is. Answers how many."""
    return await _ask(database, now, "discard", event_id, group)


async def _ask(database: Database, now: dt.datetime, state: str, event_id: uuid.UUID | None, group: str | None) -> int:
    async with database.write(WriteContext(now=now)) as session:
        status = await session.connection.execute(_ASK, state, event_id, group)
    return int(status.rsplit(" ", 1)[-1])


def _letter(row: asyncpg.Record) -> DeadLetter:
    values: dict[str, Any] = {name: row[name] for name in DeadLetter.__dataclass_fields__ if name in dict(row)}
    return DeadLetter(
        **{**values, "headers": dict(row["headers"])},
        group=row["group_name"],
        data=row["value"].decode("utf-8", "replace"),
    )

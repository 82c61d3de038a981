"""Dead letters for operators (`./crm events dead-letters`, and the API's `/operations/dead-letters`): list, show, retry, discard.

Retry and discard only ask: the service's worker carries it out within a second or two, because it has the reaction and may hold
the watermark's lock.
"""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import asyncpg

from crm_database import Database, ReadSession, WriteContext, WriteSession

#: waiting for an operator; asked to be tried again or given up; and what became of it.
LetterState = Literal["waiting", "retry", "discard", "retried", "discarded"]
#: Those that are not settled: later events of their keys are parked.
UNSETTLED: tuple[LetterState, ...] = ("waiting", "retry", "discard")

# Raw SQL: an operator's tool over this library's own tables. Bounded by the page: keys with many parked events are counted for these only.
_PAGE = """
SELECT d.*, (SELECT count(*) FROM parked p WHERE p.group_name = d.group_name AND p.topic = d.topic AND p.key = d.key) AS parked
FROM dead_letter d WHERE ($1::text IS NULL OR d.group_name = $1) AND d.state = ANY($2) AND ($3::text IS NULL OR d.type = $3)
AND ($4::timestamptz IS NULL OR (d.failed_at, d.event_id, d.group_name) < ($4, $5::uuid, $6::text))
ORDER BY d.failed_at DESC, d.event_id DESC, d.group_name DESC LIMIT $7
"""
_SHOW = """
SELECT d.*, (SELECT count(*) FROM parked p WHERE p.group_name = d.group_name AND p.topic = d.topic AND p.key = d.key) AS parked
FROM dead_letter d WHERE d.event_id = $1 AND ($2::text IS NULL OR d.group_name = $2) ORDER BY d.group_name
"""
_ASK = """
UPDATE dead_letter SET state = $1 WHERE state = 'waiting' AND ($2::uuid IS NULL OR event_id = $2)
AND ($3::text IS NULL OR group_name = $3)
RETURNING group_name
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
    state: LetterState
    settled_at: dt.datetime | None
    parked: int
    headers: dict[str, str]
    data: str


@dataclass(frozen=True)
class Wanted:
    """Which dead letters; None means any. states: in one of these."""

    states: tuple[LetterState, ...] = UNSETTLED
    group: str | None = None
    type: str | None = None


#: Where a page ended: (failed_at, event_id, group). A letter that fails again meanwhile moves to the front.
Position = tuple[dt.datetime, uuid.UUID, str]


async def page(
    session: ReadSession, wanted: Wanted, *, after: Position | None = None, limit: int = 200
) -> list[DeadLetter]:
    """At most `limit` dead letters of this service behind a position, those that failed last first."""
    failed_at, event_id, group = after or (None, None, None)
    rows = await session.connection.fetch(
        _PAGE, wanted.group, list(wanted.states), wanted.type, failed_at, event_id, group, limit
    )
    return [_letter(row) for row in rows]


async def letters_of(session: ReadSession, event_id: uuid.UUID, group: str | None = None) -> list[DeadLetter]:
    """The dead letters of one event, settled ones too: one per group that could not apply it."""
    return [_letter(row) for row in await session.connection.fetch(_SHOW, event_id, group)]


async def ask(
    session: WriteSession,
    state: Literal["retry", "discard"],
    *,
    event_id: uuid.UUID | None = None,
    group: str | None = None,
) -> list[str]:
    """Ask for waiting dead letters to be retried or discarded; answers their groups. Those asked for already stay as they are."""
    rows: Sequence[asyncpg.Record] = await session.connection.fetch(_ASK, state, event_id, group)
    return sorted(row["group_name"] for row in rows)


async def letters(
    database: Database, *, group: str | None = None, settled_too: bool = False, limit: int = 200
) -> list[DeadLetter]:
    """The newest dead letters of a service."""
    async with database.read() as session:
        states = get_args(LetterState) if settled_too else UNSETTLED
        return await page(session, Wanted(states, group), limit=limit)


async def show(database: Database, event_id: uuid.UUID, *, group: str | None = None) -> list[DeadLetter]:
    """The dead letters of one event: one per group that could not apply it."""
    async with database.read() as session:
        return await letters_of(session, event_id, group)


async def retry(
    database: Database, now: dt.datetime, *, event_id: uuid.UUID | None = None, group: str | None = None
) -> int:
    """Ask for waiting dead letters to be applied again: one, a group's, or all; answers how many."""
    async with database.write(WriteContext(now=now)) as session:
        return len(await ask(session, "retry", event_id=event_id, group=group))


async def discard(database: Database, now: dt.datetime, *, event_id: uuid.UUID, group: str | None = None) -> int:
    """Ask for a dead letter to be given up: it is never applied, and what is parked behind it is. Answers how many."""
    async with database.write(WriteContext(now=now)) as session:
        return len(await ask(session, "discard", event_id=event_id, group=group))


def _letter(row: asyncpg.Record) -> DeadLetter:
    values: dict[str, Any] = {name: row[name] for name in DeadLetter.__dataclass_fields__ if name in dict(row)}
    # The driver's ids are not Python's.
    ids = {name: uuid.UUID(int=row[name].int) for name in ("event_id", "key")}
    return DeadLetter(
        **{**values, **ids, "headers": dict(row["headers"])},
        group=row["group_name"],
        data=row["value"].decode("utf-8", "replace"),
    )

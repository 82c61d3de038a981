"""Queries over webhooks. Instants of leases are the database's: the clocks of several workers need not agree."""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Final

import asyncpg
import sqlalchemy as sa

from crm_analytics.access.rules import Hearing
from crm_analytics.access.store import hearing_arguments, hearing_sql
from crm_analytics.feed.store import Window
from crm_analytics.webhook.rules import KEPT, KEPT_MORE, LEASE, Attempt, State, Waiting
from crm_analytics.webhook.tables import webhook, webhook_attempt, webhook_delivery, webhook_work
from crm_database import Query, ReadSession, WriteSession, insert_rows, query

_ID: Final = sa.bindparam("id", type_=sa.Uuid)
_EVENT: Final = sa.bindparam("event", type_=sa.Uuid)
_OWNER: Final = sa.bindparam("owner", type_=sa.Uuid)

_ALIVE = webhook.c.deleted_at.is_(None)
_ONE = query(sa.select(webhook).where(webhook.c.id == _ID, _ALIVE))
_ONE_LOCKED = query(sa.select(webhook).where(webhook.c.id == _ID, _ALIVE).with_for_update(key_share=True))
_HOW_MANY = query(sa.select(sa.func.count()).select_from(webhook).where(webhook.c.owner_id == _OWNER, _ALIVE))
# Two requests of one person at the same time would each count without the other's.
_LOCK_OWNER = query(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(sa.bindparam("name"), 0))))
_WORK = query(sa.select(webhook_work).where(webhook_work.c.webhook_id == _ID))
_WORK_LOCKED = query(sa.select(webhook_work).where(webhook_work.c.webhook_id == _ID).with_for_update(key_share=True))
_FORGET_WORK = query(sa.delete(webhook_work).where(webhook_work.c.webhook_id == _ID))
_DELIVERY = query(
    sa.select(webhook_delivery).where(webhook_delivery.c.webhook_id == _ID, webhook_delivery.c.event_id == _EVENT)
)
_ATTEMPTS = query(
    sa.select(webhook_attempt)
    .where(webhook_attempt.c.webhook_id == _ID, webhook_attempt.c.event_id == _EVENT)
    .order_by(webhook_attempt.c.number.desc())
    .limit(sa.literal_column("200"))
)
_PENDING = query(
    sa.select(sa.func.count())
    .select_from(webhook_delivery)
    .where(webhook_delivery.c.webhook_id == _ID, webhook_delivery.c.state == sa.literal_column("'pending'"))
)
_HEADS = query(
    sa.select(webhook_delivery)
    .where(webhook_delivery.c.webhook_id == _ID, webhook_delivery.c.state == sa.literal_column("'pending'"))
    .distinct(webhook_delivery.c.subject)
    .order_by(webhook_delivery.c.subject, webhook_delivery.c.seq)
)

# The next webhook that has something to do, passing over those that somebody works on: a lease that ran out is one whose holder died.
_TAKE = """
UPDATE webhook_work SET leased_by = $1, lease_until = clock_timestamp() + $2::interval, turn_at = clock_timestamp()
WHERE webhook_id = (
  SELECT w.webhook_id FROM webhook_work w JOIN webhook h ON h.id = w.webhook_id
  WHERE h.status = 'active' AND (w.lease_until IS NULL OR w.lease_until < clock_timestamp())
    AND (w.rest_until IS NULL OR w.rest_until <= $3)
    AND (w.due_at <= $3 OR (NOT w.is_full AND w.position < (SELECT position FROM access_head)))
  ORDER BY w.turn_at NULLS FIRST, w.webhook_id LIMIT 1 FOR NO KEY UPDATE OF w SKIP LOCKED
)
RETURNING webhook_id
"""
_RENEW = "UPDATE webhook_work SET lease_until = clock_timestamp() + $2::interval WHERE webhook_id = $1"
_GIVE_BACK = """
UPDATE webhook_work SET leased_by = NULL, lease_until = NULL, rest_until = coalesce($3, rest_until)
WHERE webhook_id = $1 AND leased_by = $2
"""
_NEXT = "UPDATE webhook_work SET position = $2, is_full = $3, due_at = $4 WHERE webhook_id = $1"
_REST = "UPDATE webhook_work SET failed_rounds = $2, rest_until = $3 WHERE webhook_id = $1"
_WAKE = "UPDATE webhook_work SET due_at = $2, rest_until = NULL, failed_rounds = 0 WHERE webhook_id = $1"
# What waits is tried afresh: with all of the patience, at once.
_AFRESH = """
UPDATE webhook_delivery SET failures = 0, first_attempt_at = NULL, next_attempt_at = $2
WHERE webhook_id = $1 AND state = 'pending'
"""
_REPLAY = """
UPDATE webhook_work SET position = least(position, $2), replay = replay + 1, replay_until = $3, due_at = $4, is_full = false,
       rest_until = NULL, failed_rounds = 0
WHERE webhook_id = $1
"""
_SETTLE = """
UPDATE webhook_delivery SET state = $3, settled_at = $4, next_attempt_at = NULL, attempts = $5, failures = $6, first_attempt_at = $7
WHERE webhook_id = $1 AND event_id = $2 AND state = 'pending'
"""
_POSTPONE = """
UPDATE webhook_delivery SET next_attempt_at = $3, attempts = $4, failures = $5, first_attempt_at = $6
WHERE webhook_id = $1 AND event_id = $2 AND state = 'pending'
"""
_EVENTS = """
SELECT l.id, l.position, l.topic, l.type, l.source, l.subject, l.time, l.data, a.owner_id, a.members FROM event_log l
LEFT JOIN record_access a ON a.record_id = l.subject AND a.topic = l.topic
WHERE l.id = ANY($1::uuid[])
"""
_PURGE = """
DELETE FROM webhook_delivery WHERE (webhook_id, event_id) IN (
  SELECT webhook_id, event_id FROM webhook_delivery WHERE settled_at < $1 LIMIT $2
)
"""
_PURGE_DELETED = """
DELETE FROM webhook_delivery WHERE (webhook_id, event_id) IN (
  SELECT d.webhook_id, d.event_id FROM webhook_delivery d JOIN webhook h ON h.id = d.webhook_id
  WHERE h.deleted_at < $1 LIMIT $2
)
"""


#: A row of one of the tables, by its columns.
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Work:
    """How far a webhook is; see the table."""

    position: int
    since: dt.datetime
    failed_rounds: int
    replay: int
    replay_until: int
    leased_by: uuid.UUID | None


# -- what people see and set -------------------------------------------------------------------------------------------


async def read(session: ReadSession, webhook_id: uuid.UUID) -> Row | None:
    """One webhook that was not deleted."""
    row = await session.first(_ONE, id=webhook_id)
    return None if row is None else dict(row)


async def lock(session: WriteSession, webhook_id: uuid.UUID) -> Row | None:
    """The same, locked. Whoever locks both locks the webhook before its work."""
    rows = await session.locked(webhook, _ONE_LOCKED, id=webhook_id)
    return dict(rows[0]) if rows else None


async def how_many(session: WriteSession, owner_id: uuid.UUID) -> int:
    """How many webhooks somebody has; nobody else makes one of theirs until the commit."""
    await session.fetch(_LOCK_OWNER, name=f"webhooks of {owner_id}")
    return int(await session.value(_HOW_MANY, owner=owner_id))


async def page(session: ReadSession, owner_id: uuid.UUID | None, after: uuid.UUID | None, limit: int) -> list[Row]:
    """Webhooks, the newest first, behind one. owner_id: of one person; None: of everybody."""
    given = {name: value for name, value in (("owner", owner_id), ("after", after)) if value is not None}
    return [dict(row) for row in await session.fetch(_page(owner_id is not None, after is not None, limit), **given)]


@lru_cache(maxsize=400)
def _page(of_one: bool, behind: bool, limit: int) -> Query:
    found = sa.select(webhook).where(_ALIVE)
    if of_one:
        found = found.where(webhook.c.owner_id == _OWNER)
    if behind:
        found = found.where(webhook.c.id < sa.bindparam("after", type_=sa.Uuid))
    return query(found.order_by(webhook.c.id.desc()).limit(sa.literal_column(str(limit))))


async def start_work(session: WriteSession, webhook_id: uuid.UUID, position: int, since: dt.datetime) -> None:
    """A new webhook begins behind a position of the log."""
    row = {
        "webhook_id": webhook_id,
        "position": position,
        "since": since,
        "is_full": False,
        "failed_rounds": 0,
        "replay": 0,
        "replay_until": 0,
    }
    await insert_rows(session, webhook_work, [row])


async def forget_work(session: WriteSession, webhook_id: uuid.UUID) -> None:
    """The webhook is deleted: whoever works on it finds its lease gone."""
    await session.execute(_FORGET_WORK, id=webhook_id)


async def wake(session: WriteSession, webhook_id: uuid.UUID, now: dt.datetime) -> None:
    """It is to be looked at at once, and what waits is tried afresh."""
    # Raw SQL: in the rest of this file; each stands above, one statement for all rows.
    await session.connection.execute(_WAKE, webhook_id, now)
    await session.connection.execute(_AFRESH, webhook_id, now)  # See above.


async def replay(session: WriteSession, webhook_id: uuid.UUID, after: int, until: int, now: dt.datetime) -> None:
    """What stands in the log behind one position and up to another is sent, also what was sent before."""
    await session.connection.execute(_REPLAY, webhook_id, after, until, now)  # See above.


async def pending(session: ReadSession, webhook_id: uuid.UUID) -> int:
    """How many deliveries wait."""
    return int(await session.value(_PENDING, id=webhook_id))


async def read_work(session: ReadSession, webhook_id: uuid.UUID) -> Work | None:
    """How far it is."""
    row = await session.first(_WORK, id=webhook_id)
    return None if row is None else _work_of(row)


async def deliveries(
    session: ReadSession, webhook_id: uuid.UUID, state: State | None, after: tuple[int, uuid.UUID] | None, limit: int
) -> list[Row]:
    """Deliveries, those of the newest events first, behind one; each with what came of its last attempt."""
    given: dict[str, Any] = {} if after is None else {"seq": after[0], "last": after[1]}
    if state is not None:
        given["state"] = state
    statement = _deliveries(state is not None, after is not None, limit)
    return [dict(row) for row in await session.fetch(statement, id=webhook_id, **given)]


@lru_cache(maxsize=400)
def _deliveries(of_state: bool, behind: bool, limit: int) -> Query:
    d, a = webhook_delivery.c, webhook_attempt.c
    found = (
        sa.select(webhook_delivery, a.status.label("status"), a.error.label("error"))
        .select_from(
            webhook_delivery.outerjoin(
                webhook_attempt,
                sa.and_(a.webhook_id == d.webhook_id, a.event_id == d.event_id, a.number == d.attempts),
            )
        )
        .where(d.webhook_id == _ID)
    )
    if of_state:
        found = found.where(d.state == sa.bindparam("state", type_=sa.Text))
    if behind:
        place = sa.tuple_(sa.bindparam("seq", type_=sa.BigInteger), sa.bindparam("last", type_=sa.Uuid))
        found = found.where(sa.tuple_(d.seq, d.event_id) < place)
    # A literal: the server plans badly for a limit that it doesn't know (docs/decisions/0007).
    return query(found.order_by(d.seq.desc(), d.event_id.desc()).limit(sa.literal_column(str(limit))))


async def delivery(session: ReadSession, webhook_id: uuid.UUID, event_id: uuid.UUID) -> Row | None:
    """One delivery."""
    row = await session.first(_DELIVERY, id=webhook_id, event=event_id)
    return None if row is None else dict(row)


async def attempts(session: ReadSession, webhook_id: uuid.UUID, event_id: uuid.UUID) -> list[Row]:
    """The newest 200 attempts at a delivery, the newest first."""
    return [dict(row) for row in await session.fetch(_ATTEMPTS, id=webhook_id, event=event_id)]


# -- what the worker does ----------------------------------------------------------------------------------------------


async def take(session: WriteSession, lease: uuid.UUID) -> uuid.UUID | None:
    """The webhook that waits longest for its turn, leased; None when none has anything to do."""
    found: uuid.UUID | None = await session.connection.fetchval(_TAKE, lease, LEASE, session.context.now)  # See above.
    return found


async def lock_work(session: WriteSession, webhook_id: uuid.UUID) -> Work | None:
    """How far it is, locked until the transaction ends."""
    row = await session.first(_WORK_LOCKED, id=webhook_id)
    return None if row is None else _work_of(row)


def _work_of(row: asyncpg.Record) -> Work:
    leased_by = row["leased_by"]
    return Work(
        position=row["position"],
        since=row["since"],
        failed_rounds=row["failed_rounds"],
        replay=row["replay"],
        replay_until=row["replay_until"],
        leased_by=None if leased_by is None else uuid.UUID(int=leased_by.int),
    )


async def renew(session: WriteSession, webhook_id: uuid.UUID) -> None:
    """The lease anew, from now on."""
    await session.connection.execute(_RENEW, webhook_id, LEASE)  # See above.


async def give_back(
    session: WriteSession, webhook_id: uuid.UUID, lease: uuid.UUID, rest_until: dt.datetime | None = None
) -> None:
    """Leave it to whoever comes, when it is still ours. rest_until: not before."""
    await session.connection.execute(_GIVE_BACK, webhook_id, lease, rest_until)  # See above.


async def go_on(
    session: WriteSession, webhook_id: uuid.UUID, position: int, *, is_full: bool, due_at: dt.datetime | None
) -> None:
    """Note how far the log was taken in, and when something is to be sent next."""
    await session.connection.execute(_NEXT, webhook_id, position, is_full, due_at)  # See above.


async def rest(session: WriteSession, webhook_id: uuid.UUID, failed_rounds: int, until: dt.datetime | None) -> None:
    """Note how many rounds failed whole, and until when nothing is tried."""
    await session.connection.execute(_REST, webhook_id, failed_rounds, until)  # See above.


async def take_in(
    session: WriteSession,
    webhook_id: uuid.UUID,
    part: Window,
    hearing: Hearing,
    patterns: Sequence[str],
    work: Work,
    oldest: dt.datetime,
    room: int,
) -> int:
    """Make deliveries of the events of a part of the log that are heard, at most so many; answers up to which position.

    oldest: what was recorded before is left out, but for a replay. An event that has a delivery already gets no second one; in a replay the
    one that it has begins again.
    """
    if hearing.nothing:
        return part.reach
    now = session.context.now
    row = await session.connection.fetchrow(  # See above.
        _take_in(len(hearing.parts)),
        webhook_id,
        part.after,
        part.reach,
        list(patterns),
        work.replay_until,
        work.replay,
        oldest,
        room,
        now,
        *hearing_arguments(hearing),
    )
    assert row is not None  # noqa: S101  (an aggregate)
    return int(row["reached"]) if row["found"] == room else part.reach


@cache
def _take_in(parts: int) -> str:
    return f"""
WITH chosen AS (
  SELECT l.id, l.position, l.subject, l.type, CASE WHEN l.position <= $5::bigint THEN $6::int ELSE 0 END AS replay FROM event_log l
  WHERE l.position > $2::bigint AND l.position <= $3::bigint AND l.type LIKE ANY($4::text[])
    AND (l.position <= $5::bigint OR l.time >= $7::timestamptz)
    AND {hearing_sql(parts, 10)}
  ORDER BY l.position LIMIT $8::bigint
), made AS (
  INSERT INTO webhook_delivery AS d
    (webhook_id, event_id, seq, subject, type, state, replay, attempts, failures, taken_at, next_attempt_at)
  SELECT $1::uuid, id, position, subject, type, 'pending', replay, 0, 0, $9::timestamptz, $9::timestamptz FROM chosen ORDER BY position
  ON CONFLICT (webhook_id, event_id) DO UPDATE
  SET seq = excluded.seq, state = 'pending', replay = excluded.replay, failures = 0, taken_at = excluded.taken_at,
      first_attempt_at = NULL, next_attempt_at = excluded.next_attempt_at, settled_at = NULL
  WHERE d.state <> 'pending' AND d.replay < excluded.replay
)
SELECT count(*) AS found, max(position) AS reached FROM chosen
"""  # noqa: S608  (a condition of our own)


async def heads(session: ReadSession, webhook_id: uuid.UUID) -> list[Waiting]:
    """Of each record the first delivery that waits."""
    return [
        Waiting(
            event_id=uuid.UUID(int=row["event_id"].int),
            subject=row["subject"],
            seq=row["seq"],
            failures=row["failures"],
            attempts=row["attempts"],
            first_attempt_at=row["first_attempt_at"],
            next_attempt_at=row["next_attempt_at"],
        )
        for row in await session.fetch(_HEADS, id=webhook_id)
    ]


async def events(session: ReadSession, ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, Row]:
    """Events of the log, each with the owner and members that its record has now."""
    rows = await session.connection.fetch(_EVENTS, list(ids))  # See above.
    return {uuid.UUID(int=row["id"].int): dict(row) for row in rows}


async def settle(
    session: WriteSession, webhook_id: uuid.UUID, one: Waiting, state: State, first_attempt_at: dt.datetime | None
) -> None:
    """A delivery is over. one: with the counts as they are now."""
    # See above.
    await session.connection.execute(
        _SETTLE, webhook_id, one.event_id, state, session.context.now, one.attempts, one.failures, first_attempt_at
    )


async def postpone(
    session: WriteSession, webhook_id: uuid.UUID, one: Waiting, first_attempt_at: dt.datetime, next_at: dt.datetime
) -> None:
    """A delivery is tried again later. one: with the counts as they are now."""
    # See above.
    await session.connection.execute(
        _POSTPONE, webhook_id, one.event_id, next_at, one.attempts, one.failures, first_attempt_at
    )


async def note(session: WriteSession, webhook_id: uuid.UUID, event_id: uuid.UUID, number: int, made: Attempt) -> None:
    """Keep what came of an attempt."""
    row = {
        "webhook_id": webhook_id,
        "event_id": event_id,
        "number": number,
        "at": made.at,
        "seconds": made.seconds,
        "status": made.status,
        "answer": made.answer,
        "error": made.error,
    }
    await insert_rows(session, webhook_attempt, [row])


async def purge(session: WriteSession, now: dt.datetime, at_once: int) -> int:
    """Forget deliveries that ended long ago, and those of deleted webhooks; answers how many. Call it until there are none."""
    before, gone = now - KEPT - KEPT_MORE, 0
    for statement in (_PURGE, _PURGE_DELETED):
        status = await session.connection.execute(statement, before, at_once)  # See above.
        gone += int(status.rsplit(" ", 1)[-1])
    return gone

"""Queries over jobs. Instants of leases are the database's: the clocks of several runners need not agree."""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal

import asyncpg
import sqlalchemy as sa

from crm_database import Query, ReadSession, WriteSession, insert_rows, query
from crm_jobs.kind import JobRow
from crm_jobs.rules import LEASE, Job, State
from crm_jobs.tables import job, job_input, job_row

RowStatus = Literal["ok", "error"]

_ID = sa.bindparam("id", type_=sa.Uuid)
_PERSON = sa.bindparam("person", type_=sa.Uuid)
_OPEN = "state IN ('queued', 'running')"
_COLUMNS: Final = ", ".join(f'"{column.name}"' for column in job.c)

_ONE = query(sa.select(job).where(job.c.id == _ID))
# NO KEY: rows and parts refer to the job by foreign keys; nobody changes its id.
_ONE_LOCKED = query(sa.select(job).where(job.c.id == _ID).with_for_update(key_share=True))
_VERSION = query(sa.select(job.c.version).where(job.c.id == _ID))
_HOW_MANY_OPEN = query(
    sa.select(sa.func.count())
    .select_from(job)
    .where(job.c.asked_by == _PERSON, job.c.authority == sa.literal_column("'asker'"), sa.literal_column(_OPEN))
)
_PART = query(
    sa.select(job_input.c.content).where(
        job_input.c.job_id == _ID, job_input.c.part == sa.bindparam("part", type_=sa.Integer)
    )
)
_FORGET_PARTS = query(sa.delete(job_input).where(job_input.c.job_id == _ID))

# Raw SQL: the next due job, passing over those that somebody works on at this moment, and its lease in one statement. A lease that
# ran out is one whose runner died: that counts as a failure, or a job that kills its process would be taken for ever.
_TAKE = f"""
UPDATE job SET state = 'running', version = version + 1, leased_by = $1, lease_until = clock_timestamp() + $2::interval,
       attempts = attempts + CASE WHEN lease_until IS NULL THEN 0 ELSE 1 END, started_at = coalesce(started_at, $4)
WHERE id = (
  SELECT id FROM job
  WHERE {_OPEN} AND kind = ANY($3::text[]) AND run_after <= clock_timestamp()
    AND (lease_until IS NULL OR lease_until < clock_timestamp())
  ORDER BY run_after, id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
)
RETURNING {_COLUMNS}
"""  # noqa: S608  (names of our own columns)
_STEPPED = """
UPDATE job SET version = version + 1, position = $2, done = done + $3, failed = failed + $4, attempts = 0, waits = 0,
       lease_until = clock_timestamp() + $5::interval
WHERE id = $1
"""
_ENDED = """
UPDATE job SET version = version + 1, state = $2, problem = $3, finished_at = $4, leased_by = NULL, lease_until = NULL
WHERE id = $1
"""
_PUT_BACK = """
UPDATE job SET version = version + 1, leased_by = NULL, lease_until = NULL, run_after = clock_timestamp() + $2::interval,
       attempts = $3, waits = $4
WHERE id = $1
"""
# As _TAKE looks for it, by the same index of open jobs.
_DUE = f"""
SELECT count(*) FILTER (WHERE NOT held AND run_after <= now) AS waiting, count(*) FILTER (WHERE held) AS running,
       coalesce(extract(epoch FROM max(now - run_after) FILTER (WHERE NOT held AND run_after <= now)), 0)::float8 AS age
FROM (
  SELECT run_after, coalesce(lease_until >= clock_timestamp(), false) AS held, clock_timestamp() AS now FROM job WHERE {_OPEN}
) open
"""  # noqa: S608  (a condition of our own)
# Rows first and not all at once: a job may have a million of them.
_PURGE_ROWS = """
DELETE FROM job_row WHERE (job_id, index) IN (
  SELECT r.job_id, r.index FROM job_row r JOIN job j ON j.id = r.job_id WHERE j.finished_at < $1 LIMIT $2
)
"""
_PURGE_JOBS = """
DELETE FROM job WHERE finished_at < $1 AND NOT EXISTS (SELECT 1 FROM job_row r WHERE r.job_id = job.id)
"""


@dataclass(frozen=True)
class Due:
    """waiting: jobs that are due and that nobody holds; age: seconds that the oldest of them is due. running: those that are held."""

    waiting: int
    running: int
    age: float


async def due(session: ReadSession) -> Due:
    """What is to be done."""
    # Raw SQL: see _DUE.
    row = await session.connection.fetchrow(_DUE)
    assert row is not None  # noqa: S101  (an aggregate)
    return Due(row["waiting"], row["running"], row["age"])


async def insert(session: WriteSession, made: Job, parts: Sequence[Any]) -> None:
    """A new job with what it was given."""
    # What the database's clock calls now: the job is due at once, whatever ours says.
    values = {column.name: getattr(made, column.name) for column in job.c if column.name != "run_after"}
    names = ", ".join(f'"{name}"' for name in values)
    places = ", ".join(f"${number}" for number in range(1, len(values) + 1))
    sql = f"INSERT INTO job ({names}, run_after) VALUES ({places}, clock_timestamp())"  # noqa: S608  (names of our own columns)
    # Raw SQL: its own clock for one column.
    await session.connection.execute(sql, *values.values())
    for number, content in enumerate(parts):
        await insert_rows(session, job_input, [{"job_id": made.id, "part": number, "content": content}])


async def read(session: ReadSession, job_id: uuid.UUID) -> Job | None:
    """One job."""
    row = await session.first(_ONE, id=job_id)
    return None if row is None else job_of(row)


async def lock(session: WriteSession, job_id: uuid.UUID) -> Job | None:
    """One job, locked until the transaction ends: nobody else takes, steps or ends it meanwhile."""
    row = await session.first(_ONE_LOCKED, id=job_id)
    return None if row is None else job_of(row)


async def version_of(session: ReadSession, job_id: uuid.UUID) -> int | None:
    """The version: whether there is something new to tell."""
    version: int | None = await session.value(_VERSION, id=job_id)
    return version


async def how_many_open(session: ReadSession, person: uuid.UUID) -> int:
    """How many jobs somebody has under way; what the product does by itself counts for nobody."""
    return int(await session.value(_HOW_MANY_OPEN, person=person))


async def take(session: WriteSession, lease: uuid.UUID, kinds: Sequence[str]) -> Job | None:
    """Take the job that is due longest, of these kinds; None when none is. Kinds that this program doesn't know wait for another."""
    # Raw SQL: see _TAKE.
    row = await session.connection.fetchrow(_TAKE, lease, LEASE, list(kinds), session.context.now)
    return None if row is None else job_of(row)


async def stepped(session: WriteSession, job_id: uuid.UUID, rows: Sequence[JobRow], position: Any) -> None:
    """A step was done: its rows, where the next begins, and the lease anew from now on."""
    await _add_rows(session, job_id, rows)
    ok = sum(1 for row in rows if row.status == "ok")
    # Raw SQL: counts go up by the statement itself, and the lease by the database's clock.
    await session.connection.execute(_STEPPED, job_id, position, ok, len(rows) - ok, LEASE)


async def ended(
    session: WriteSession, job_id: uuid.UUID, state: State, now: dt.datetime, problem: dict[str, Any] | None = None
) -> None:
    """The job is over; what it was given is needed no more."""
    # Raw SQL: beside the others.
    await session.connection.execute(_ENDED, job_id, state, problem, now)
    await session.execute(_FORGET_PARTS, id=job_id)


async def put_back(session: WriteSession, job_id: uuid.UUID, wait: dt.timedelta, attempts: int, waits: int) -> None:
    """Give the job up to whoever comes, after a while."""
    # Raw SQL: the database's clock.
    await session.connection.execute(_PUT_BACK, job_id, wait, attempts, waits)


async def read_part(session: ReadSession, job_id: uuid.UUID, part: int) -> Any | None:
    """A part of what the job was given."""
    return await session.value(_PART, id=job_id, part=part)


async def page(
    session: ReadSession, person: uuid.UUID, after: tuple[dt.datetime, uuid.UUID] | None, limit: int
) -> list[Job]:
    """Somebody's jobs, the newest first, behind a position (created_at, id)."""
    place = {} if after is None else {"at": after[0], "last": after[1]}
    return [job_of(row) for row in await session.fetch(_page(after is not None, limit), person=person, **place)]


async def rows(
    session: ReadSession, job_id: uuid.UUID, status: RowStatus | None, after: int | None, limit: int
) -> list[asyncpg.Record]:
    """Rows of a job in their order, behind an index."""
    place = {} if after is None else {"last": after}
    return await session.fetch(_rows(status, after is not None, limit), id=job_id, **place)


async def purge(session: WriteSession, before: dt.datetime, at_once: int) -> int:
    """Forget jobs that ended before an instant; answers how many of their rows went. Call it until there are none."""
    # Raw SQL: DELETE has no LIMIT.
    status = await session.connection.execute(_PURGE_ROWS, before, at_once)
    # Raw SQL: beside the other.
    await session.connection.execute(_PURGE_JOBS, before)
    return int(status.rsplit(" ", 1)[-1])


@lru_cache(maxsize=400)
def _page(behind: bool, limit: int) -> Query:
    select = sa.select(job).where(job.c.asked_by == _PERSON)
    if behind:
        place = sa.tuple_(sa.bindparam("at", type_=sa.TIMESTAMP(timezone=True)), sa.bindparam("last", type_=sa.Uuid))
        select = select.where(sa.tuple_(job.c.created_at, job.c.id) < place)
    # A literal: the server plans badly for a limit that it doesn't know (docs/decisions/0007).
    return query(select.order_by(job.c.created_at.desc(), job.c.id.desc()).limit(sa.literal_column(str(limit))))


@lru_cache(maxsize=400)
def _rows(status: RowStatus | None, behind: bool, limit: int) -> Query:
    select = sa.select(job_row).where(job_row.c.job_id == _ID)
    if status is not None:
        select = select.where(job_row.c.status == sa.literal_column(f"'{status}'"))
    if behind:
        select = select.where(job_row.c.index > sa.bindparam("last", type_=sa.BigInteger))
    return query(select.order_by(job_row.c.index).limit(sa.literal_column(str(limit))))


async def _add_rows(session: WriteSession, job_id: uuid.UUID, rows: Sequence[JobRow]) -> None:
    await insert_rows(
        session,
        job_row,
        [
            {
                "job_id": job_id,
                "index": row.index,
                "status": row.status,
                "done": row.done,
                "record_id": row.record_id,
                "record_version": row.record_version,
                "code": row.code,
                "detail": row.detail,
                "errors": list(row.errors) if row.errors else None,
            }
            for row in rows
        ],
    )


def job_of(row: asyncpg.Record) -> Job:
    """A job from its row."""
    values = dict(row)
    for name in ("id", "asked_by", "leased_by"):
        if values[name] is not None:
            # The driver's UUID as the standard library's.
            values[name] = uuid.UUID(int=values[name].int)
    return Job(**values)


__all__ = [
    "Due",
    "RowStatus",
    "due",
    "ended",
    "how_many_open",
    "insert",
    "job_of",
    "lock",
    "page",
    "purge",
    "put_back",
    "read",
    "read_part",
    "rows",
    "stepped",
    "take",
    "version_of",
]

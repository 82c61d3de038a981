"""Making every fact anew from the log, beside the facts in use, and putting them in their place.

The new tables stand in a schema of their own, where the same statements fill them as fill the live ones. Reports go on reading the
old ones until the change, and the consumer goes on writing them until shortly before it.

    python -m crm_analytics.rebuild        (CRM_DATABASE_URL says which database)
"""

import asyncio
import datetime as dt
import os
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg
import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from crm_analytics.facts.rules import TOPICS, Unfit, collect
from crm_analytics.facts.store import FACT_TABLES, write
from crm_analytics.log import store as log
from crm_analytics.progress import store as progress
from crm_authz import record_member
from crm_contracts import Envelope, registry
from crm_contracts.versions import UpcastFailed
from crm_database import Database, PoolSettings, WriteContext, WriteSession, lock_key

#: What is made anew: all that the events of TOPICS fill.
REBUILT: Final = (*FACT_TABLES, record_member)

_BATCH: Final = 2_000
#: Seconds to wait, with the consumer held off, for the log to hold what the facts hold, and for reports to let go of the tables.
_PATIENCE: Final = 10.0
_ONE_AT_A_TIME: Final = lock_key("analytics.rebuild")
_NEW, _OLD = "facts_new", "facts_old"


class RebuildRunning(RuntimeError):
    """Somebody rebuilds this database already."""


class LogBehind(RuntimeError):
    """The log lacks events that the facts hold: try again when its consumer has caught up."""


class TablesBusy(RuntimeError):
    """Reports held the tables all the time: try again."""


@dataclass
class Rebuilt:
    """events: how many were replayed. refused: ids of events that don't fit their contract, or come from a later release (the product was
    rolled back since); they are in no figure."""

    events: int = 0
    refused: list[uuid.UUID] = field(default_factory=list)


#: Told now and then: how many events were replayed, of about how many.
Progress = Callable[[int, int], None]


async def rebuild(dsn: str, told: Progress | None = None) -> Rebuilt:
    """Make all facts anew from the log. Raises RebuildRunning, LogBehind, TablesBusy: then everything is as before."""
    # Replaying a batch may take longer than a request is allowed to.
    database = await Database.open(dsn, name="analytics-rebuild", settings=PoolSettings(command_timeout=300))
    try:
        async with _alone(database):
            done = Rebuilt()
            async with _aside(database) as session:
                await _make_tables(session)
            position = await _replay(database, done, told or _nothing)
            async with _aside(database) as session:
                await _hold_consumer_off(session)
                await _replay_rest(session, position, done)
                await _change_places(session)
            return done
    finally:
        await database.close()


@asynccontextmanager
async def _alone(database: Database) -> AsyncIterator[None]:
    async with database.pool.acquire() as connection:
        if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _ONE_AT_A_TIME):
            raise RebuildRunning("a rebuild runs already")
        try:
            yield
        finally:
            await connection.execute("SELECT pg_advisory_unlock($1)", _ONE_AT_A_TIME)


@asynccontextmanager
async def _aside(database: Database) -> AsyncIterator[WriteSession]:
    """A transaction in which the tables' names mean the new ones, where they exist."""
    async with database.write(WriteContext(now=dt.datetime.now(dt.UTC))) as session:
        # Raw SQL: settings and schemas are no tables. The same in the rest of this file.
        await session.connection.execute(f"SET LOCAL search_path = {_NEW}, public")
        yield session


async def _make_tables(session: WriteSession) -> None:
    run = session.connection.execute
    await run(f"DROP SCHEMA IF EXISTS {_NEW}, {_OLD} CASCADE")
    await run(f"CREATE SCHEMA {_NEW}")
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    for table in REBUILT:
        await run(str(CreateTable(table).compile(dialect=dialect)))
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            await run(str(CreateIndex(index).compile(dialect=dialect)))


async def _replay(database: Database, done: Rebuilt, told: Progress) -> int:
    """Take the log in, batch by batch; answers the position that was reached."""
    position = 0
    async with database.read() as session:
        total = await log.count(session, TOPICS)
    while True:
        async with _aside(database) as session:
            reached = await _one_batch(session, position, done)
        if reached is None:
            return position
        position = reached
        told(done.events, max(total, done.events))


def _nothing(_: int, __: int) -> None:
    return


async def _replay_rest(session: WriteSession, position: int, done: Rebuilt) -> None:
    reached: int | None = position
    while reached is not None:
        reached = await _one_batch(session, reached, done)


async def _one_batch(session: WriteSession, position: int, done: Rebuilt) -> int | None:
    rows = await log.replay(session, position, _BATCH, TOPICS)
    if not rows:
        return None
    envelopes = _in_newest_version([_envelope(row) for row in rows], done)
    # Raw SQL: savepoints are no statements of SQLAlchemy's.
    await session.connection.execute("SAVEPOINT before_batch")
    try:
        await write(session, collect(envelopes))
    except (Unfit, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError):
        # Some don't fit: the live consumer put them to the dead letters, here they are left out and told.
        await session.connection.execute("ROLLBACK TO SAVEPOINT before_batch")
        await write(session, collect(_fitting(envelopes, done)))
    done.events += len(rows)
    return int(rows[-1]["position"])


def _in_newest_version(recorded: Sequence[Envelope], done: Rebuilt) -> list[Envelope]:
    """Events as the facts take them: the log has each in the version in which it was recorded."""
    found = []
    for envelope in recorded:
        try:
            if registry.is_later(envelope.type):
                done.refused.append(envelope.id)
            else:
                found.append(registry.in_newest_version(envelope))
        except UpcastFailed:
            done.refused.append(envelope.id)
    return found


def _fitting(envelopes: Sequence[Envelope], done: Rebuilt) -> list[Envelope]:
    """The events that fit their contract; the ids of the others go to `done.refused`."""
    fitting = []
    for envelope in envelopes:
        model = registry.events.get(envelope.type)
        try:
            if model is not None:
                model.model_validate_json(envelope.data)
        except ValidationError:
            done.refused.append(envelope.id)
        else:
            fitting.append(envelope)
    return fitting


def _envelope(row: Any) -> Envelope:
    return Envelope(
        id=row["id"],
        type=row["type"],
        source=row["source"],
        subject=row["subject"],
        time=row["time"],
        data=row["data"].encode(),
        sequence=row["number"],
        stream=row["stream"],
        topic=row["topic"],
        partition=row["partition"],
    )


async def _hold_consumer_off(session: WriteSession) -> None:
    """From here to the commit nobody else writes facts; reports read on. Waits until the log holds all that the facts hold.

    What the facts hold and the log doesn't would be missing in the new ones, and never come again: its consumer has applied it.
    """
    names = ", ".join(f"public.{_quoted(table)}" for table in REBUILT)
    # In the order in which the consumer writes, so that the two can't wait for each other.
    await session.connection.execute(f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE")
    until = time.monotonic() + _PATIENCE
    while await progress.facts_ahead_of_log(session):
        if time.monotonic() > until:
            raise LogBehind("the log's consumer is behind that of the facts")
        await asyncio.sleep(0.05)


async def _change_places(session: WriteSession) -> None:
    run = session.connection.execute
    await _lock_out_readers(session)
    await run(f"CREATE SCHEMA {_OLD}")
    for table in REBUILT:
        await run(f"ALTER TABLE public.{_quoted(table)} SET SCHEMA {_OLD}")
        await run(f"ALTER TABLE {_NEW}.{_quoted(table)} SET SCHEMA public")
    await run(f"DROP SCHEMA {_OLD}, {_NEW} CASCADE")


async def _lock_out_readers(session: WriteSession) -> None:
    """Never waits in the queue of a lock: a waiting lock would stop all reports behind it, and could deadlock with one."""
    run = session.connection.execute
    names = ", ".join(f"public.{_quoted(table)}" for table in REBUILT)
    until = time.monotonic() + _PATIENCE
    while True:
        await run("SAVEPOINT before_locks")
        try:
            await run(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE NOWAIT")
        except asyncpg.LockNotAvailableError:
            await run("ROLLBACK TO SAVEPOINT before_locks")
            if time.monotonic() > until:
                raise TablesBusy("reports hold the tables") from None
            await asyncio.sleep(0.02)
        else:
            return


def _quoted(table: sa.Table) -> str:
    return f'"{table.name}"'


def main() -> int:
    """Rebuild the database that CRM_DATABASE_URL names; the exit status."""
    try:
        done = asyncio.run(rebuild(os.environ["CRM_DATABASE_URL"]))
    except (RebuildRunning, LogBehind, TablesBusy) as error:
        sys.stderr.write(f"not rebuilt: {error}\n")
        return 1
    sys.stdout.write(f"rebuilt from {done.events} events; {len(done.refused)} don't fit their contract\n")
    for event_id in done.refused:
        sys.stdout.write(f"  {event_id}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`project`: events into the facts of analytics, as its consumer applies them, against COPY of the same facts."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg

from crm_stack.bench.load import WrongAnswer
from crm_stack.bench.result import Result
from crm_stack.bench.server import postgres
from crm_stack.bench.sold import EVENTS_PER_CASE, Told, told
from crm_stack.bench.turns import Counted, in_turns
from crm_stack.postgres import PostgresServer

GOAL = "≥ 10,000 events/s by one consumer"
RATE = 10_000
TABLES = ("customer_fact", "opportunity_fact", "opportunity_product", "stage_entry", "activity_fact")


@dataclass
class Work:
    """Where it happens. spent: processor seconds of all runs, the consumer's and the database's; events: of all runs."""

    server: PostgresServer
    dsn: str
    folder: Path
    cases: int
    spent: tuple[float, float] = (0.0, 0.0)
    events: int = 0


def run(size: int, seconds: float, repeats: int) -> Iterator[Result]:
    """One result, of `size` events in each turn, applied by one consumer in this process; the database works beside it."""
    del seconds
    from crm_database.migrate import upgrade

    with postgres() as server, tempfile.TemporaryDirectory(prefix="crm-bench-facts-") as folder:
        dsn = server.create_database("analytics", "analytics")
        upgrade("analytics", dsn)
        work = Work(server, dsn, Path(folder), max(1, size // EVENTS_PER_CASE))
        # The first makes the facts that the reference copies.
        asyncio.run(_project(work))
        work.spent, work.events = (0.0, 0.0), 0
        turns = in_turns(repeats, lambda: asyncio.run(_project(work)), partial(_copied, work))
        ours, theirs = work.spent
        notes = {
            "events_per_processor_second": round(work.events / (ours + theirs)),
            "processor_us_per_event": {
                "consumer": round(ours / work.events * 1e6),
                "database": round(theirs / work.events * 1e6),
            },
        }
        yield Result(
            "project",
            "events/s",
            turns.rate,
            turns.reference_rate,
            turns.ratios,
            [],
            size,
            GOAL,
            turns.rate >= RATE,
            notes,
        )


def _copied(work: Work) -> Counted:
    return asyncio.run(_copy(work))


async def _project(work: Work) -> Counted:
    """Apply all events, in batches as they are read from a partition, to empty facts; making them isn't counted. Raises WrongAnswer."""
    from crm_analytics.worker import REACTIONS
    from crm_database import Database, PoolSettings, WriteContext
    from crm_events.consumer import store
    from crm_events.consumer.apply import Applier
    from crm_events.reaction import groups_of
    from crm_kernel import SystemClock

    (group,) = (group for group in groups_of(REACTIONS) if group.name == "analytics.facts")
    await _empty(work.dsn)
    database = await Database.open(work.dsn, name="bench", settings=PoolSettings(max_size=2))
    applier = Applier(group, database, SystemClock(), asyncio.Event())
    places: dict[str, store.Place] = {}
    made, took = Told(), 0.0
    try:
        for topic, envelopes in told(work.cases, group.per_transaction, made):
            if topic not in places:
                places[topic] = store.Place(group.name, topic, 0)
                async with database.write(WriteContext(now=SystemClock().now())) as session:
                    await store.begin(session, places[topic])
            ours, theirs = time.process_time(), _processor_seconds(work.server)
            begun = time.perf_counter()
            await applier.settle(places[topic], envelopes)
            took += time.perf_counter() - begun
            used = (time.process_time() - ours, _processor_seconds(work.server) - theirs)
            work.spent = (work.spent[0] + used[0], work.spent[1] + used[1])
    finally:
        await database.close()
    work.events += made.events
    await _check(work, made)
    return Counted(made.events, took)


async def _copy(work: Work) -> Counted:
    """The same facts by COPY, from files in PostgreSQL's own form. Raises WrongAnswer."""
    connection = await asyncpg.connect(work.dsn)
    try:
        kept = {}
        for table in TABLES:
            file = work.folder / table
            await connection.copy_from_table(table, output=file, format="binary")
            kept[table] = (file, await _count(connection, table))
        await connection.execute(f"TRUNCATE {', '.join(TABLES)}")
        begun = time.perf_counter()
        for table, (file, _) in kept.items():
            await connection.copy_to_table(table, source=file, format="binary", timeout=300)
        took = time.perf_counter() - begun
        for table, (_, rows) in kept.items():
            if not rows or await _count(connection, table) != rows:
                raise WrongAnswer(f"{table}: COPY did not bring back its {rows} rows")
    finally:
        await connection.close()
    return Counted(work.cases * EVENTS_PER_CASE, took)


async def _count(connection: asyncpg.Connection[Any], table: str) -> int:
    # The name is one of TABLES.
    return int(await connection.fetchval(f"SELECT count(*) FROM {table}"))


async def _empty(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(f"TRUNCATE {', '.join(TABLES)}, record_member, inbox, watermark, dead_letter")
        # As they are once the statistics are: the first batches must not be planned for other sizes than the last.
        await connection.execute(f"ANALYZE {', '.join(TABLES)}")
    finally:
        await connection.close()


_FOUND = """
SELECT (SELECT count(*) FROM customer_fact) AS customers,
  (SELECT count(*) FROM opportunity_fact WHERE version = 3 AND outcome = 'won' AND closed_user_id = owner_id
    AND opened_user_id = owner_id) AS won,
  (SELECT coalesce(sum(value_minor), 0) FROM opportunity_fact) AS value,
  (SELECT coalesce(sum(value_minor), 0) FROM opportunity_product) AS divided,
  (SELECT count(*) FROM stage_entry) AS entries,
  (SELECT count(*) FROM activity_fact) AS activities,
  (SELECT count(*) FROM inbox) AS inbox,
  (SELECT count(*) FROM dead_letter) AS dead
"""


async def _check(work: Work, made: Told) -> None:
    """Every case is there once, won, credited, with its value divided over its product. Raises WrongAnswer."""
    connection = await asyncpg.connect(work.dsn)
    try:
        (row,) = await connection.fetch(_FOUND)
    finally:
        await connection.close()
    found, cases = dict(row), work.cases
    wanted = {
        "customers": cases,
        "won": cases,
        "value": made.value_minor,
        "divided": made.value_minor,
        "entries": 2 * cases,
        "activities": cases,
        "inbox": made.events,
        "dead": 0,
    }
    if found != wanted:
        raise WrongAnswer(f"the facts are {found}, the events tell {wanted}")


def _processor_seconds(server: PostgresServer) -> float:
    """What the server's processes that live now have used."""
    import psutil

    total = 0.0
    if server.pid is not None:
        process = psutil.Process(server.pid)
        for one in (process, *process.children(recursive=True)):
            try:
                used = one.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += used.user + used.system
    return total

"""`journal`: a record's history and new events in a journal of many rows, against the same in one of 10,000; and an archived month."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
import random
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import structlog

from crm_stack.bench.result import Result, Unfit, percentile
from crm_stack.bench.server import postgres
from crm_stack.bench.turns import Turns

SMALL = 10_000
MONTHS = 12
#: Events of a record, spread evenly over all months: its history lies as far apart as it can.
OF_A_RECORD = 20
HISTORIES = 500
BATCHES = 200
PATIENCE = 3 * 3600.0
HISTORY_GOAL, MOST_MILLISECONDS = "p95 of a history ≤ 5 ms", 5.0
INSERT_GOAL, LEAST = "≥ 0.8 of a journal of 10,000", 0.8

# An event of a product's record in little: what is read by the history, and some 300 bytes of state. The id of the n-th event of a month
# is of the n-th part of it.
_FILL = """
INSERT INTO {table} (event_id, topic, type, subject, version, time, occurred_at, write_id, actor_id, data)
SELECT (lpad(to_hex($1::bigint + n * $2::bigint / $3::bigint), 12, '0') || '7' || substr(h, 1, 3) || 'a' || substr(h, 4, 15))::uuid,
  $5, $5 || '.changed.v1', ('01900000-0000-7000-8000-' || lpad(to_hex(($4::bigint + n) % $6::bigint), 12, '0'))::uuid,
  (($4::bigint + n) / $6::bigint + 1)::int, to_timestamp(($1::bigint + n * $2::bigint / $3::bigint) / 1000.0), now(),
  '01900000-0000-7000-8000-000000000001', '01900000-0000-7000-8000-000000000002', jsonb_build_object(
    'version', ($4::bigint + n) / $6::bigint + 1, 'actor', '{{"kind": "user", "id": "01900000-0000-7000-8000-000000000002"}}'::jsonb,
    'origin', '{{"channel": "api", "address": "192.0.2.10"}}'::jsonb, 'changes', jsonb_build_object('phone', jsonb_build_object(
      'old', n, 'new', n + 1)), 'state', jsonb_build_object('name', 'Customer ' || h, 'phone', n, 'note', repeat(h, 6)))
FROM (SELECT n, md5(n::text) AS h FROM generate_series(0, $3::bigint - 1) n) made
"""


@dataclass
class Filled:
    """A database whose journal has so many events, of so many records."""

    dsn: str
    events: int
    records: int
    topic: str
    seconds: float = 0.0

    def subjects(self, count: int) -> list[uuid.UUID]:
        """Records by chance, the same in each run."""
        chance = random.Random(7)
        first = uuid.UUID("01900000-0000-7000-8000-000000000000").int
        return [uuid.UUID(int=first + chance.randrange(self.records)) for _ in range(count)]


def run(size: int, seconds: float, repeats: int) -> Iterator[Result]:
    """Three results: `journal-history`, `journal-insert`, `journal-archived`. A turn reads 500 histories, or records 200 batches of 10.

    Raises Unfit for a size that is no growth.
    """
    del seconds
    if size <= SMALL:
        raise Unfit(f"journal compares with {SMALL:,} events: --size is to be more")
    # The archiver works in this process: its lines of log would stand among the results.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with postgres() as server:
        large = asyncio.run(_filled(server.create_database("large", "large"), size))
        small = asyncio.run(_filled(server.create_database("small", "small"), SMALL))
        yield asyncio.run(_histories(large, small, repeats))
        yield asyncio.run(_inserts(large, small, repeats))
        yield asyncio.run(_archived(large))


async def _filled(dsn: str, size: int) -> Filled:
    """Months of equal size up to the present one, made as the worker makes them, filled before they get their indexes."""
    from crm_customers.customer.actions import CUSTOMER
    from crm_events.months import bounds, months_from
    from crm_events.schema import ARCHIVE_1, BUS_1, JOURNAL_1, RESYNC_1

    filled = Filled(dsn, size, max(1, size // OF_A_RECORD), CUSTOMER.events.topic.name)
    connection = await asyncpg.connect(dsn)
    try:
        for statement in (*JOURNAL_1, *BUS_1, *RESYNC_1, *ARCHIVE_1):
            await connection.execute(statement)
        await connection.execute("SET maintenance_work_mem = '512MB'")
        begun = time.perf_counter()
        today = dt.datetime.now(dt.UTC).date()
        first = today.year * 12 + today.month - MONTHS
        done = 0
        for place, month in enumerate(months_from(dt.date(first // 12, first % 12 + 1, 1), MONTHS)):
            low, high = bounds(month)
            table, begin, end = f"journal_{month:%Y_%m}", low.int >> 80, high.int >> 80
            if place == MONTHS - 1:
                # Up to now: what is recorded later has later ids, as in life.
                end = int(time.time() * 1000)
            count = size * (place + 1) // MONTHS - done
            await connection.execute(f"CREATE TABLE {table} (LIKE journal INCLUDING DEFAULTS)")
            fill = _FILL.format(table=table)
            await connection.execute(
                fill, begin, end - begin - 1, count, done, filled.topic, filled.records, timeout=PATIENCE
            )
            await connection.execute(f"ALTER TABLE {table} ADD PRIMARY KEY (event_id)", timeout=PATIENCE)
            await connection.execute(f"CREATE INDEX ON {table} (subject, event_id)", timeout=PATIENCE)
            await connection.execute(
                f"ALTER TABLE journal ATTACH PARTITION {table} FOR VALUES FROM ('{low}') TO ('{high}')",
                timeout=PATIENCE,
            )
            done += count
        await connection.execute("VACUUM ANALYZE journal", timeout=PATIENCE)
        filled.seconds = time.perf_counter() - begun
    finally:
        await connection.close()
    return filled


async def _read(filled: Filled, subjects: Sequence[uuid.UUID], storage: Any = None) -> list[float]:
    """Milliseconds of each history's first page, by the product's own function. Raises WrongAnswer when one is not whole."""
    from crm_customers.customer.actions import CUSTOMER
    from crm_database import Database
    from crm_events.archive import keep_in
    from crm_records.history import read_history
    from crm_stack.bench.load import WrongAnswer

    database = await Database.open(filled.dsn, name="bench")
    keep_in(database, storage)
    taken = []
    try:
        async with database.read() as session:
            for place, subject in enumerate([*subjects[:10], *subjects]):
                begun = time.perf_counter()
                entries, _ = await read_history(session, CUSTOMER, subject, before=None, limit=50)
                # The first ten prepare the statement and have it planned for all values.
                if place >= 10:
                    taken.append((time.perf_counter() - begun) * 1000)
                if len(entries) < OF_A_RECORD or not entries[-1]["changes"] or entries[-1]["version"] != 1:
                    raise WrongAnswer(f"the history of {subject} has {len(entries)} entries")
    finally:
        await database.close()
    return taken


async def _histories(large: Filled, small: Filled, repeats: int) -> Result:
    turns = Turns()
    for _ in range(repeats):
        # Other records in no turn: the first finds them as they lie, later ones in memory; the first counts as much as they do.
        ours, theirs = await _read(large, large.subjects(HISTORIES)), await _read(small, small.subjects(HISTORIES))
        turns.subject.append(statistics.median(ours))
        turns.reference.append(statistics.median(theirs))
        turns.milliseconds += ours
    notes = {
        "records": large.records,
        "months": MONTHS,
        "filled_in_s": round(large.seconds),
        **await _figures(large),
        **await _in_the_database(large),
    }
    p95 = percentile(turns.milliseconds, 0.95)
    return Result(
        "journal-history",
        "ms",
        turns.rate,
        turns.reference_rate,
        turns.ratios,
        turns.milliseconds,
        large.events,
        HISTORY_GOAL,
        p95 <= MOST_MILLISECONDS,
        notes,
    )


async def _figures(filled: Filled) -> dict[str, Any]:
    connection = await asyncpg.connect(filled.dsn)
    try:
        sizes = await connection.fetchrow(
            "SELECT sum(pg_relation_size(inhrelid))::bigint, sum(pg_indexes_size(inhrelid))::bigint FROM pg_inherits "
            "WHERE inhparent = 'journal'::regclass"
        )
    finally:
        await connection.close()
    assert sizes is not None, "sums have a row in any case"
    return {"rows_gb": round(sizes[0] / 1e9, 2), "indexes_gb": round(sizes[1] / 1e9, 2)}


async def _in_the_database(filled: Filled) -> dict[str, Any]:
    """What PostgreSQL itself takes for the statement of read_history, and how it goes about it."""
    from crm_customers.customer.actions import CUSTOMER
    from crm_database import Database, ReadSession
    from crm_records.history import read_history
    from crm_stack.bench.statements import Recorder

    database = await Database.open(filled.dsn, name="bench")
    try:
        async with database.read() as session:
            recorder = Recorder(session.connection)
            watched: Any = ReadSession(recorder, database)  # type: ignore[arg-type]
            await read_history(watched, CUSTOMER, filled.subjects(1)[0], before=None, limit=50)
            ((sql, arguments),) = recorder.ran
            explain = f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) {sql}"
            plan, taken = [], []
            for subject in filled.subjects(HISTORIES):
                given = [subject if one == filled.subjects(1)[0] else one for one in arguments]
                plan = [row[0] for row in await session.connection.fetch(explain, *given)]
                taken.append(float(plan[-1].split()[2]))
    finally:
        await database.close()
    return {f"database_p{p}": round(percentile(taken, p / 100), 2) for p in (50, 95, 99)} | {"plan": plan}


async def _inserts(large: Filled, small: Filled, repeats: int) -> Result:
    turns = Turns()
    for _ in range(repeats):
        turns.subject.append(await _recorded(large))
        turns.reference.append(await _recorded(small))
    return Result(
        "journal-insert",
        "events/s",
        turns.rate,
        turns.reference_rate,
        turns.ratios,
        [],
        large.events,
        INSERT_GOAL,
        statistics.median(turns.ratios) >= LEAST,
        {"transactions": BATCHES, "events_each": 10},
    )


async def _recorded(filled: Filled) -> float:
    """Events a second, by the product's own statement, of records that the journal has; each transaction durable."""
    from crm_events.record import _APPEND
    from crm_kernel.ids import new_id

    connection = await asyncpg.connect(filled.dsn)
    subjects = filled.subjects(BATCHES * 10)
    now, data = dt.datetime.now(dt.UTC), json.dumps({"state": {"note": "x" * 300}})
    try:
        begun = time.perf_counter()
        for place in range(BATCHES):
            some = subjects[place * 10 : place * 10 + 10]
            await connection.execute(
                _APPEND,
                [new_id() for _ in some],
                [filled.topic] * 10,
                [f"{filled.topic}.changed.v1"] * 10,
                some,
                [OF_A_RECORD + 1] * 10,
                [now] * 10,
                [now] * 10,
                [data] * 10,
                new_id(),
                None,
                None,
            )
        taken = time.perf_counter() - begun
        # What waits for the relay, and is nobody's here, would be the next turn's burden.
        await connection.execute(
            "DELETE FROM journal WHERE version = $1 AND event_id >= $2", OF_A_RECORD + 1, await _since(connection)
        )
        await connection.execute("TRUNCATE outbox")
    finally:
        await connection.close()
    return BATCHES * 10 / taken


async def _since(connection: Any) -> uuid.UUID:
    """The smallest id in the outbox."""
    return uuid.UUID(int=(await connection.fetchval("SELECT event_id FROM outbox ORDER BY event_id LIMIT 1")).int)


async def _archived(filled: Filled) -> Result:
    """Archive the oldest month into a folder; histories before and after. The reference is the same history while it was whole."""
    from crm_contracts import Registry
    from crm_events.archive import Storage
    from crm_events.archive.archiver import archiver, months

    subjects = filled.subjects(HISTORIES)
    whole = await _read(filled, subjects)
    with tempfile.TemporaryDirectory(prefix="crm-bench-archive-") as folder:
        storage = Storage(Path(folder).as_uri())
        async with archiver(filled.dsn, "customers", storage, known=Registry(), expected=frozenset()) as at_work:
            oldest = (await months(at_work.connection))[0]
            begun = time.perf_counter()
            events = await at_work.archive(oldest.month, dt.datetime.now(dt.UTC))
            taken = time.perf_counter() - begun
            after = (await months(at_work.connection))[0]
            milliseconds = await _read(filled, subjects, storage)
            begun = time.perf_counter()
            await at_work.restore(oldest.month)
            back = time.perf_counter() - begun
    return Result(
        "journal-archived",
        "ms",
        statistics.median(milliseconds),
        statistics.median(whole),
        [statistics.median(milliseconds) / statistics.median(whole)],
        milliseconds,
        filled.events,
        "none",
        None,
        {
            "archived_events": events,
            "archived_in_s": round(taken, 1),
            "restored_in_s": round(back, 1),
            "month_mb": round(oldest.bytes / 1e6, 1),
            "month_mb_archived": round(after.bytes / 1e6, 1),
            "files_mb": round(after.archived_bytes / 1e6, 1),
        },
    )

"""`relay`: events waiting in the outbox → broker, against a bare aiokafka producer on the same broker; and commit → effect.

On Apache Kafka where Java and its libraries can be had, else on the embedded broker; the result says which.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import asyncpg

from crm_stack.bench.load import WrongAnswer
from crm_stack.bench.result import Result, percentile
from crm_stack.bench.server import Bus, buses
from crm_stack.bench.turns import Counted, in_turns

if TYPE_CHECKING:
    from crm_contracts import Registry, Topic

GOAL = "≥ 0.5 of a bare producer"
SUBJECTS, PARTITIONS = 5000, 3
#: One relay of all that waits may take so long; seconds.
PATIENCE = 300.0
#: Writes whose way from commit to effect is measured, at 100 a second.
SAMPLES = 300

# Raw SQL: events as `record()` would have left them, with 700 bytes of data each, in one statement.
_FILL = """
WITH made AS (
  SELECT uuidv7() AS event_id, ('01900000-0000-7000-8000-' || lpad(to_hex(n % 5000), 12, '0'))::uuid AS subject, n
  FROM generate_series(1, $1::int) n
), written AS (
  INSERT INTO journal (event_id, topic, type, subject, version, time, occurred_at, write_id, data)
  SELECT event_id, $2, $2 || '.changed.v1', subject, n / 5000 + 1, now(), now(), uuidv7(),
    jsonb_build_object('version', n / 5000 + 1, 'state', repeat('x', 600)) FROM made
)
INSERT INTO outbox (event_id, topic, subject) SELECT event_id, $2, subject FROM made ORDER BY n
"""


@dataclass(frozen=True)
class Place:
    """Database and broker of the measurement."""

    dsn: str
    bus: Bus


def run(size: int, seconds: float, repeats: int) -> Iterator[Result]:
    """Two results: `relay`, of `size` events in each turn, and `commit-to-effect`."""
    del seconds
    _quieten()
    with buses() as (server, bus):
        place = Place(server.create_database("bench", "bench"), bus)
        asyncio.run(_tables(place.dsn))
        turns = in_turns(repeats, partial(_relayed, place, size), partial(_produced, place, size))
        notes = {"broker": bus.title, "checked_events": size * (repeats + 1)}
        ratio = sorted(turns.ratios)[len(turns.ratios) // 2]
        yield Result(
            "relay",
            "events/s",
            turns.rate,
            turns.reference_rate,
            turns.ratios,
            [],
            size,
            GOAL,
            ratio >= 0.5,
            notes,
        )
        taken = asyncio.run(_effects(place, SAMPLES))
        p50 = percentile(taken, 0.5)
        yield Result("commit-to-effect", "ms", p50, None, [], taken, 0, "none", None, {"broker": bus.title})


def _quieten() -> None:
    """The worker runs in this process: its lines of log would stand among the results."""
    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def _relayed(place: Place, size: int) -> Counted:
    return asyncio.run(_relay(place, size))


def _produced(place: Place, size: int) -> Counted:
    return asyncio.run(_produce(place, size))


async def _tables(dsn: str) -> None:
    from crm_events.schema import BUS_1, JOURNAL_1, RESYNC_1

    connection = await asyncpg.connect(dsn)
    try:
        for statement in (*JOURNAL_1, *BUS_1, *RESYNC_1):
            await connection.execute(statement)
    finally:
        await connection.close()


def _topic(consumers: Sequence[str] = ()) -> tuple[Registry, Topic]:
    from crm_contracts import Registry, Topic

    known = Registry()
    name = f"crm.maker.b{uuid.uuid4().hex[:6]}"
    return known, known.topic(Topic(name, "maker", tuple(consumers), "bench", partitions=PARTITIONS))


async def _relay(place: Place, size: int) -> Counted:
    """Fill the outbox, send it, and read the topic back. Raises WrongAnswer."""
    from crm_database import Database
    from crm_events import BusSettings, Worker, topics

    known, topic = _topic()
    connection = await asyncpg.connect(place.dsn)
    await connection.execute("TRUNCATE outbox, journal, publication, stream, sent_range")
    await connection.execute(_FILL, size, topic.name, timeout=PATIENCE)
    await connection.execute("ANALYZE")
    await topics.ensure(place.bus.bootstrap, [topic])
    database = await Database.open(place.dsn, name="bench")
    settings = BusSettings("maker", place.bus.bootstrap, place.dsn, idempotence=place.bus.idempotence)
    worker = Worker(settings, database, known=known)
    stop = asyncio.Event()
    running = asyncio.create_task(worker.relay.run(stop))
    try:
        async with asyncio.timeout(PATIENCE):
            while worker.relay.leader is None:  # noqa: ASYNC110  (looked at from outside)
                await asyncio.sleep(0.001)
            begun = time.perf_counter()
            while worker.relay.leader.sent < size:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            took = time.perf_counter() - begun
        stop.set()
        await running
        await _check(connection, place.bus, topic.name)
    finally:
        running.cancel()
        await database.close()
        await connection.close()
    return Counted(size, took)


async def _check(connection: asyncpg.Connection[Any], bus: Bus, topic: str) -> None:
    """Every event of the journal is in the topic, once, and each subject's in the order of its versions. Raises WrongAnswer."""
    from aiokafka import AIOKafkaConsumer, TopicPartition

    wanted = {str(row["event_id"]) for row in await connection.fetch("SELECT event_id FROM journal")}
    consumer = AIOKafkaConsumer(bootstrap_servers=bus.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    found: Counter[str] = Counter()
    version: dict[bytes, int] = {}
    try:
        consumer.assign([TopicPartition(topic, n) for n in range(PARTITIONS)])
        while sum(found.values()) < len(wanted) and (answer := await consumer.getmany(timeout_ms=5000)):
            for record in (record for records in answer.values() for record in records):
                found[dict(record.headers)["ce_id"].decode()] += 1
                told = json.loads(record.value)["version"]
                if told <= version.get(record.key, 0):
                    raise WrongAnswer(f"version {told} of {record.key!r} came behind {version[record.key]}")
                version[record.key] = told
    finally:
        await consumer.stop()
    if set(found) != wanted or max(found.values()) > 1:
        raise WrongAnswer(
            f"{len(wanted)} events were waiting, the topic got {sum(found.values())}, {len(found)} of them different"
        )


async def _produce(place: Place, size: int) -> Counted:
    """aiokafka's own producer: the same keys, headers and sizes, nothing else."""
    from aiokafka import AIOKafkaProducer

    from crm_contracts import Envelope
    from crm_events import topics
    from crm_kernel import new_id

    _, topic = _topic()
    await topics.ensure(place.bus.bootstrap, [topic])
    value = json.dumps({"version": 1, "state": "x" * 600}).encode()
    keys = [str(new_id()).encode() for _ in range(SUBJECTS)]
    now = dt.datetime.now(dt.UTC)
    # As the relay sends it: numbered in a stream.
    headers = Envelope(
        new_id(), f"{topic.name}.changed.v1", "/crm/maker", new_id(), now, value, 1, str(new_id()), new_id()
    ).headers()
    producer = AIOKafkaProducer(
        bootstrap_servers=place.bus.bootstrap,
        acks="all",
        max_batch_size=920_000,
        linger_ms=2,
        enable_idempotence=place.bus.idempotence,
    )
    await producer.start()
    try:
        begun = time.perf_counter()
        for n in range(size):
            last = await producer.send(topic.name, value, key=keys[n % SUBJECTS], headers=headers)
        await producer.flush()
        await last
        took = time.perf_counter() - begun
    finally:
        await producer.stop()
    return Counted(size, took)


async def _effects(place: Place, writes: int) -> list[float]:
    """Milliseconds from the commit of a write to the commit of its effect. Raises WrongAnswer when one stays away."""
    from crm_contracts import Envelope
    from crm_database import Database, WriteContext, WriteSession
    from crm_events import BusSettings, Reaction, Worker, wake

    known, topic = _topic(["maker"])
    database = await Database.open(place.dsn, name="bench")
    arrived: dict[uuid.UUID, float] = {}

    async def note(session: WriteSession, envelope: Envelope) -> None:
        session.after_commit(lambda: arrived.update({envelope.id: time.perf_counter()}))

    async def write() -> tuple[uuid.UUID, float]:
        async with database.write(WriteContext(now=dt.datetime.now(dt.UTC))) as session:
            await session.connection.execute(_FILL, 1, topic.name)
            event = await session.connection.fetchval("SELECT max(event_id::text)::uuid FROM outbox")
            session.after_commit(wake.committed)
        return event, time.perf_counter()

    settings = BusSettings("maker", place.bus.bootstrap, place.dsn, idempotence=place.bus.idempotence)
    worker = Worker(settings, database, [Reaction("maker.bench", (topic.name,), note)], known=known)
    stop = asyncio.Event()
    running = asyncio.create_task(worker.run(stop))
    committed: dict[uuid.UUID, float] = {}
    try:
        async with asyncio.timeout(PATIENCE):
            # The first comes through when relay and consumer have begun.
            first, _ = await write()
            while first not in arrived:  # noqa: ASYNC110  (looked at from outside)
                await asyncio.sleep(0.01)
            for _ in range(writes):
                event, at = await write()
                committed[event] = at
                await asyncio.sleep(0.01)
            while not set(committed) <= set(arrived):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    except TimeoutError as late:
        missing = len(set(committed) - set(arrived))
        raise WrongAnswer(f"{missing} of {len(committed)} events had no effect after {PATIENCE:.0f} s") from late
    finally:
        stop.set()
        await running
        await database.close()
    return [(arrived[event] - at) * 1000 for event, at in committed.items()]

"""`relay`: rows waiting in the outbox → broker, against a bare aiokafka producer on the same broker; and commit → effect latency.

    python libs/events/bench/relay.py [--rows 200000] [--repeat 3]

Starts its own PostgreSQL and embedded broker, fills journal and outbox by one statement, checks what the topic got, and prints one
JSON line per figure.
"""

import argparse
import asyncio
import datetime as dt
import json
import statistics
import tempfile
import time
import uuid
from pathlib import Path

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from crm_contracts import Envelope, Registry, Topic
from crm_database import Database, WriteContext, WriteSession
from crm_events import BusSettings, Reaction, Worker, topics, wake
from crm_events.schema import BUS_1, JOURNAL_1
from crm_kernel.ids import new_id
from crm_stack.broker import EmbeddedBroker
from crm_stack.postgres import PostgresServer

# Raw SQL: 200,000 events as `record()` would have left them, with 700 bytes of data each, in one statement.
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


def _topic(consumers: tuple[str, ...] = ()) -> tuple[Registry, Topic]:
    known = Registry()
    return known, known.topic(Topic(f"crm.maker.b{uuid.uuid4().hex[:6]}", "maker", consumers, "bench", partitions=3))


async def _relay(rows: int, dsn: str, bootstrap: str) -> float:
    """Events a second from outbox to broker."""
    known, topic = _topic()
    connection = await asyncpg.connect(dsn)
    await connection.execute("TRUNCATE outbox, journal, publication, stream, sent_range")
    await connection.execute(_FILL, rows, topic.name, timeout=120)
    await connection.execute("ANALYZE")
    await topics.ensure(bootstrap, [topic])
    database = await Database.open(dsn, name="bench")
    worker = Worker(BusSettings("maker", bootstrap, dsn, idempotence=False), database, known=known)
    stop = asyncio.Event()
    running = asyncio.create_task(worker.relay.run(stop))
    while worker.relay.leader is None:  # noqa: ASYNC110  (a benchmark looks from outside)
        await asyncio.sleep(0.001)
    started = time.perf_counter()
    while worker.relay.leader.sent < rows:  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    took = time.perf_counter() - started
    stop.set()
    await running
    await database.close()
    await connection.close()
    parts = [TopicPartition(topic.name, n) for n in range(3)]
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    consumer.assign(parts)
    got = 0
    while answer := await consumer.getmany(timeout_ms=2000):
        got += sum(len(records) for records in answer.values())
    await consumer.stop()
    if got != rows:
        raise RuntimeError(f"{rows} rows were waiting, the topic got {got}")
    return rows / took


async def _bare(rows: int, bootstrap: str) -> float:
    """Records a second of aiokafka's producer: the same keys, headers and sizes."""
    _, topic = _topic()
    await topics.ensure(bootstrap, [topic])
    value = json.dumps({"version": 1, "state": "x" * 600}).encode()
    subjects = [str(new_id()).encode() for _ in range(5000)]
    headers = Envelope(
        new_id(),
        f"{topic.name}.changed.v1",
        "/crm/maker",
        new_id(),
        dt.datetime.now(dt.UTC),
        value,
        1,
        str(new_id()),
        new_id(),
    ).headers()
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", max_batch_size=920_000, linger_ms=2)
    await producer.start()
    started = time.perf_counter()
    last = None
    for n in range(rows):
        last = await producer.send(topic.name, value, key=subjects[n % 5000], headers=headers)
    await producer.flush()
    if last is not None:
        await last
    took = time.perf_counter() - started
    await producer.stop()
    return rows / took


async def _latency(dsn: str, bootstrap: str, writes: int = 300) -> list[float]:
    """Milliseconds from the commit of a write to the commit of its effect, at 100 writes a second."""
    known, topic = _topic(("maker",))
    database = await Database.open(dsn, name="bench")
    arrived: dict[uuid.UUID, float] = {}

    async def note(session: WriteSession, envelope: Envelope) -> None:
        session.after_commit(lambda: arrived.setdefault(envelope.id, time.perf_counter()))

    worker = Worker(
        BusSettings("maker", bootstrap, dsn, idempotence=False),
        database,
        [Reaction("maker.bench", (topic.name,), note)],
        known=known,
    )
    stop = asyncio.Event()
    running = asyncio.create_task(worker.run(stop))
    committed: dict[uuid.UUID, float] = {}
    await asyncio.sleep(8)
    for _ in range(writes):
        async with database.write(WriteContext(now=dt.datetime.now(dt.UTC))) as session:
            await session.connection.execute(_FILL, 1, topic.name)
            event = await session.connection.fetchval("SELECT max(event_id::text)::uuid FROM outbox")
            session.after_commit(wake.committed)
        committed[event] = time.perf_counter()
        await asyncio.sleep(0.01)
    until = time.perf_counter() + 20
    while not set(committed) <= set(arrived) and time.perf_counter() < until:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    stop.set()
    await running
    await database.close()
    return [(arrived[event] - at) * 1000 for event, at in committed.items()]


async def _run(rows: int, repeat: int, dsn: str, bootstrap: str) -> None:
    subject, reference = [], []
    for _ in range(repeat):
        reference.append(await _bare(rows, bootstrap))
        subject.append(await _relay(rows, dsn, bootstrap))
    ratio = statistics.median(subject) / statistics.median(reference)
    figures = {
        "subject": statistics.median(subject),
        "reference": statistics.median(reference),
        "ratio": round(ratio, 2),
    }
    print(json.dumps({"name": "relay", "rows": rows, "unit": "events/s", **figures}))
    took = sorted(await _latency(dsn, bootstrap))
    quantiles = {f"p{q}": round(took[int(len(took) * q / 100)], 1) for q in (50, 95, 99)}
    print(json.dumps({"name": "commit to effect", "unit": "ms", "n": len(took), **quantiles}))


async def _migrate(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    for statement in (*JOURNAL_1, *BUS_1):
        await connection.execute(statement)
    await connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--repeat", type=int, default=3)
    chosen = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        PostgresServer(Path(folder) / "postgres") as server,
        EmbeddedBroker(Path(folder) / "broker") as broker,
    ):
        dsn = server.create_database("bench", "bench")
        asyncio.run(_migrate(dsn))
        asyncio.run(_run(chosen.rows, chosen.repeat, dsn, broker.bootstrap))


if __name__ == "__main__":
    main()

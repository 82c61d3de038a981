"""What operators look at: the events as they pass (`tail`), and how far each group is (`lag`)."""

import datetime as dt
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition

from crm_contracts import Envelope, NotAnEnvelope, Topic
from crm_database import Database
from crm_events.closing import closed
from crm_events.login import Login


@dataclass(frozen=True)
class Lag:
    """How far a group is on one partition. behind: numbers given and not applied; None: its watermark is of another numbering."""

    producer: str
    topic: str
    partition: int
    group: str
    head: int
    waiting: int
    applied: int
    behind: int | None
    applied_at: dt.datetime | None


# Raw SQL: an operator's tool over this library's own tables.
_STREAMS = "SELECT id::text AS id, topic, partition, head, next FROM stream WHERE current ORDER BY topic, partition"
_MARKS = "SELECT group_name, topic, partition, stream, number, updated_at FROM watermark"


async def lag(databases: Mapping[str, Database]) -> list[Lag]:
    """Of every group of every service, read from the databases: the truth, also while the broker is away."""
    streams: dict[tuple[str, int], tuple[str, str, int, int]] = {}
    for service, database in databases.items():
        async with database.read() as session:
            for row in await session.connection.fetch(_STREAMS):
                streams[row["topic"], row["partition"]] = (
                    service,
                    row["id"],
                    row["head"],
                    row["head"] - row["next"] + 1,
                )
    found = []
    for database in databases.values():
        async with database.read() as session:
            rows = await session.connection.fetch(_MARKS)
        for row in rows:
            at = (row["topic"], row["partition"])
            if at not in streams:
                continue
            producer, stream, head, waiting = streams[at]
            nothing_yet = row["stream"] == ""
            behind = head - row["number"] if nothing_yet or row["stream"] == stream else None
            found.append(Lag(producer, *at, row["group_name"], head, waiting, row["number"], behind, row["updated_at"]))
    return sorted(found, key=lambda one: (one.group, one.topic, one.partition))


async def tail(
    bootstrap: str, topics: Sequence[Topic], *, from_start: bool = False, login: Login | None = None
) -> AsyncIterator[Envelope]:
    """The events of these topics as they arrive, for ever. Without a group: it disturbs nobody. KafkaError when the broker is away.

    login: how the broker is told who asks; None: it isn't.
    """
    consumer = AIOKafkaConsumer(
        **(login or Login()).client(bootstrap),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=50,
    )
    await consumer.start()
    try:
        parts = [TopicPartition(topic.name, n) for topic in topics for n in range(topic.partitions)]
        consumer.assign(parts)
        await (consumer.seek_to_beginning(*parts) if from_start else consumer.seek_to_end(*parts))
        while True:
            for at, records in (await consumer.getmany(timeout_ms=500)).items():
                for record in records:
                    try:
                        yield Envelope.read(
                            record.headers, record.value, topic=at.topic, partition=at.partition, offset=record.offset
                        )
                    except NotAnEnvelope:
                        continue  # Somebody else's record on our topic: there is nothing to show of it.
    finally:
        await closed(consumer, "the watcher")

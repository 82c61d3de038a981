"""The relay's hands on the broker: sending a batch, and looking whether a record still lies where it was acknowledged."""

import asyncio
import time as clock
import uuid
from collections.abc import Sequence

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    KafkaError,
    MessageSizeTooLargeError,
    OffsetOutOfRangeError,
    RecordListTooLargeError,
    UnknownTopicOrPartitionError,
)
from aiokafka.structs import ConsumerRecord

from crm_contracts import Envelope
from crm_events.closing import closed
from crm_events.settings import BusSettings

#: The broker takes 1 MiB a request by default; `record()` keeps each event below 900,000 bytes.
BATCH_BYTES = 920_000
#: At most so many records a batch, so that an acknowledgement comes within milliseconds. See ledger.RANGE_LIMIT.
BATCH_RECORDS = 1_000
SEND_SECONDS = 15.0
LOOK_SECONDS = 3.0
#: How often a look asks whether the log ends before it, milliseconds.
LOOK_POLL_MS = 20

_log = structlog.get_logger("crm_events")

#: What the broker says to a record that it will never take.
_NEVER = (MessageSizeTooLargeError, RecordListTooLargeError)


class Unsendable(Exception):
    """The broker will never take this batch."""


class NotAcknowledged(Exception):
    """The broker did not say that it has the batch; it may have it."""


class Sender:
    """One producer, and one reader for looking; both are made anew after a failure."""

    def __init__(self, settings: BusSettings) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None
        self._reader: AIOKafkaConsumer | None = None
        self._starting = asyncio.Lock()
        self._looking = asyncio.Lock()

    async def _started(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    **self._settings.client,
                    client_id=f"{self._settings.client_id}-relay",
                    acks="all",
                    enable_idempotence=self._settings.idempotence,
                    max_batch_size=BATCH_BYTES,
                    max_request_size=1_048_576,
                    linger_ms=0,
                    request_timeout_ms=int(SEND_SECONDS * 1000),
                    metadata_max_age_ms=30_000,
                )
                try:
                    await producer.start()
                except BaseException:
                    await closed(producer, "the sender's producer")
                    raise
                self._producer = producer
            return self._producer

    async def send(self, topic: str, partition: int, envelopes: Sequence[Envelope]) -> tuple[int, int]:
        """Send as many of the events, from the first on, as one batch holds; answers (how many, base offset).

        Raises Unsendable, NotAcknowledged.
        """
        producer: AIOKafkaProducer | None = None
        try:
            async with asyncio.timeout(SEND_SECONDS + 1):
                producer = await self._started()
                if partition not in await producer.partitions_for(topic):
                    raise UnknownTopicOrPartitionError(f"the broker has no partition {partition} of {topic}")
                batch = producer.create_batch()
                count = 0
                for envelope in envelopes[:BATCH_RECORDS]:
                    stamp = int(envelope.time.timestamp() * 1000)
                    value = None if envelope.tombstone else envelope.data
                    if batch.append(key=envelope.key, value=value, timestamp=stamp, headers=envelope.headers()) is None:
                        break
                    count += 1
                batch.close()
                answer = await (await producer.send_batch(batch, topic, partition=partition))
            return count, int(answer.offset)
        except _NEVER as refused:
            raise Unsendable(f"{type(refused).__name__}: {refused}") from refused
        except (KafkaError, OSError, TimeoutError) as error:
            if producer is not None:
                await self._drop(producer)
            raise NotAcknowledged(f"{type(error).__name__}: {error}") from error

    async def _drop(self, producer: AIOKafkaProducer) -> None:
        """An idempotent producer whose numbering the broker forgot never recovers: take another one."""
        if self._producer is producer:
            self._producer = None
            await closed(producer, "the sender's producer")

    async def look(self, topic: str, partition: int, offset: int, stream: uuid.UUID, number: int) -> bool:
        """Rule 8: whether this very record lies at the offset. KafkaError, OSError or TimeoutError when it can't be seen."""
        at = TopicPartition(topic, partition)
        async with self._looking:
            try:
                async with asyncio.timeout(LOOK_SECONDS * 2):
                    reader = await self._reading()
                    reader.assign([at])
                    reader.seek(at, offset)
                    record = await self._one(reader, at)
            except BaseException:
                await self._stop_reading()
                raise
        if record is None:
            return False
        headers = dict(record.headers)
        return (
            record.offset == offset
            and headers.get("ce_sequence") == str(number).encode()
            and headers.get("ce_stream") == str(stream).encode()
        )

    async def _one(self, reader: AIOKafkaConsumer, at: TopicPartition) -> ConsumerRecord | None:
        """The record at the reader's position; None when that is out of range. TimeoutError when nothing comes.

        Where the log ends is read off the fetch: the embedded broker's answer to "end offsets" is that of its last batch's
        first record, and it answers nothing where Apache Kafka says "out of range".
        """
        position = await reader.position(at)
        until = clock.monotonic() + LOOK_SECONDS
        while clock.monotonic() < until:
            try:
                got = await reader.getmany(at, timeout_ms=LOOK_POLL_MS, max_records=1)
            except OffsetOutOfRangeError:
                return None
            if got.get(at):
                return got[at][0]
            end = reader.highwater(at)
            if end is not None and position >= end:
                return None
        raise TimeoutError(f"{at.topic}/{at.partition} gave no record within {LOOK_SECONDS} s")

    async def _reading(self) -> AIOKafkaConsumer:
        if self._reader is None:
            reader = AIOKafkaConsumer(
                **self._settings.client,
                client_id=f"{self._settings.client_id}-look",
                enable_auto_commit=False,
                auto_offset_reset="none",
                request_timeout_ms=self._settings.request_timeout_ms,
                fetch_max_wait_ms=self._settings.fetch_wait_ms,
            )
            try:
                await reader.start()
            except BaseException:
                await closed(reader, "the sender's reader")
                raise
            self._reader = reader
        return self._reader

    async def _stop_reading(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            await closed(reader, "the sender's reader")

    async def close(self) -> None:
        """Stop both."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await closed(producer, "the sender's producer")
        await self._stop_reading()

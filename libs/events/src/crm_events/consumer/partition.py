"""One partition in one process: read, settle, remember where it stands."""

import asyncio
import time

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError
from aiokafka.structs import ConsumerRecord

from crm_contracts import Envelope, NotAnEnvelope
from crm_database import WriteContext
from crm_events.consumer import letters, rules, store
from crm_events.consumer.apply import Applier
from crm_events.consumer.store import Place

#: Seconds that one read waits for records.
READ_SECONDS = 1.0

_log = structlog.get_logger("crm_events")


class PartitionReader:
    """Reads one partition as long as it is assigned to this process."""

    def __init__(self, at: TopicPartition, consumer: AIOKafkaConsumer, applier: Applier) -> None:
        self.at = at
        self.consumer = consumer
        self.applier = applier
        self.place = Place(applier.group.name, at.topic, at.partition)
        self.reader = rules.Reader()
        self.stopping = False
        #: Whether it waits for records: nothing is under way then, and it may be cancelled.
        self.waiting = False
        self._looped_at = time.monotonic()
        self.committed: int | None = None
        #: An operator wants dead letters of this partition settled.
        self.letters_wanted = False

    @property
    def alive_at(self) -> float:
        """When it last got through its loop, an attempt, a pause or an event (monotonic); for health."""
        return max(self._looped_at, self.applier.moved_at.get((self.at.topic, self.at.partition), 0.0))

    @property
    def lag(self) -> int:
        """Records between the position and the end of the log, as far as known."""
        if self.reader.position is None or self.reader.end is None:
            return 0
        return max(0, self.reader.end - self.reader.position)

    async def run(self) -> None:
        """Until `stopping`. Raises GroupStopped and whatever is nobody's transient failure."""
        async with self.applier.database.write(WriteContext(now=self.applier.clock.now(), channel="event")) as session:
            await store.begin(session, self.place)
        while not self.stopping:
            self._looped_at = time.monotonic()
            self.waiting = True
            records = await self._read()
            self.waiting = False
            if records:
                await self._settle(records)
            if self.letters_wanted:
                self.letters_wanted = False
                await self.applier.waiting_out(self.place, lambda: letters.carry_out(self.applier, self.place))

    async def _read(self) -> list[ConsumerRecord]:
        """The next records, in the order of the log; notes where the log ends."""
        try:
            got = await self.consumer.getmany(
                self.at, timeout_ms=int(READ_SECONDS * 1000), max_records=self.applier.group.per_transaction
            )
        except IllegalStateError:  # The partition was taken away while we waited.
            self.stopping = True
            return []
        except KafkaError as error:
            _log.warning("can't read", group=self.place.group, topic=self.at.topic, cause=repr(error))
            await asyncio.sleep(READ_SECONDS)
            return []
        records: list[ConsumerRecord] = got.get(self.at, [])
        if self.stopping:
            return []
        try:
            position = records[0].offset if records else await self.consumer.position(self.at)
            end = self.consumer.highwater(self.at)
            # Rule 6. The embedded broker answers nothing at all beyond its end, where Apache Kafka says "out of range".
            if not records and end is not None and rules.out_of_range(position, 0, end):
                _log.warning(
                    "the log was wiped", group=self.place.group, topic=self.at.topic, position=position, end=end
                )
                await self.consumer.seek_to_beginning(self.at)
                return []
        except (IllegalStateError, KafkaError):
            return []
        # A highwater that nobody has told yet means: the log's end is not known, so this is no real position.
        if end is not None:
            self.reader = rules.placed(self.reader, position, end)
        return records

    async def _settle(self, records: list[ConsumerRecord]) -> None:
        envelopes = []
        for record in records:
            try:
                envelope = Envelope.read(
                    record.headers, record.value, topic=record.topic, partition=record.partition, offset=record.offset
                )
            except NotAnEnvelope as error:
                # Rule 2: what carries no number is not ours; nothing of ours lacks the other attributes.
                _log.warning("not an event", topic=record.topic, offset=record.offset, cause=str(error))
                continue
            envelopes.append(envelope)
        settlement = await self.applier.settle(self.place, envelopes)
        self.reader = rules.settled(self.reader, settlement, records[-1].offset + 1)

"""A consumer group's process: one Kafka consumer, one reader per partition, reports, and the commits that are hints."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from crm_contracts import control
from crm_database import DATABASE_ERRORS, Database, WriteContext
from crm_events.closing import closed, failure_of
from crm_events.consumer import letters, rules, store
from crm_events.consumer.apply import Applier, GroupStopped
from crm_events.consumer.partition import PartitionReader
from crm_events.reaction import ConsumerGroup
from crm_events.relay.rules import Report
from crm_events.reports import GroupReport
from crm_events.settings import BusSettings
from crm_events.waiting import stopped_within
from crm_kernel.clock import Clock

#: Seconds between looks whether a report is due or positions are to be committed.
TICK_SECONDS = 0.25
#: Milliseconds between the heartbeats of a group's member. Only by its own does a member learn that another left and its partitions are
#: free: nobody reads them meanwhile, and who waits for what was just written (PL-13) has 2 s.
HEARTBEAT_MS = 500
#: Seconds between looks for dead letters that an operator wants settled.
LETTERS_SECONDS = 2.0
#: A reader that got nowhere for so long is stuck: `/livez` is red within 30 s, also for who asks every 5 s only. A statement may take
#: 15 s, a pause 5 s, and one read a second; each of them, and each event of a transaction, counts as progress when it is over.
STUCK_SECONDS = 25.0

_log = structlog.get_logger("crm_events")


class Consumer:
    """Runs one group in this process."""

    def __init__(
        self,
        settings: BusSettings,
        group: ConsumerGroup,
        database: Database,
        clock: Clock,
        producer: Callable[[], AIOKafkaProducer | None],
        peers: Mapping[str, tuple[str, ...]],
        partitions: Mapping[str, int],
    ) -> None:
        """producer: sends control records; None while the broker is away. peers: topic → all groups of this service on it.

        partitions: topic → how many.
        """
        self.settings = settings
        self.group = group
        self.database = database
        self.clock = clock
        self.producer = producer
        self.peers = peers
        self.partitions = partitions
        self.readers: dict[TopicPartition, PartitionReader] = {}
        self.stopped_because: str | None = None
        self.problem: str | None = None
        self._tasks: dict[TopicPartition, asyncio.Task[None]] = {}
        self._stop = asyncio.Event()
        self._letters_at = 0.0
        self._applier = Applier(group, database, clock, self._stop)
        self._consumer: AIOKafkaConsumer | None = None
        self._failed: asyncio.Future[None] | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Read until `stop`; begin again after failures of the broker or the database."""
        while not stop.is_set() and self.stopped_because is None:
            self._stop.clear()
            try:
                await self._once(stop)
            except GroupStopped as stopped:
                self.stopped_because = str(stopped)
                _log.error("consumer stopped", group=self.group.name, cause=str(stopped))
            except (KafkaError, *DATABASE_ERRORS) as error:
                self.problem = f"{self.group.name} can't read: {type(error).__name__}"
                _log.warning("consumer begins again", group=self.group.name, cause=repr(error))
                await stopped_within(stop, 1.0)
        await stop.wait()

    async def _once(self, stop: asyncio.Event) -> None:
        # With the control producer the topics are there: a subscription to missing ones would be noticed seconds later only.
        while self.producer() is None:
            if await stopped_within(stop, 0.05):
                return
        consumer = AIOKafkaConsumer(
            **self.settings.client,
            client_id=f"{self.settings.client_id}-{self.group.name}",
            group_id=f"crm.{self.group.name}",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            request_timeout_ms=self.settings.request_timeout_ms,
            fetch_max_wait_ms=self.settings.fetch_wait_ms,
            max_partition_fetch_bytes=2 * 1024 * 1024,
            session_timeout_ms=self.settings.session_timeout_ms,
            heartbeat_interval_ms=HEARTBEAT_MS,
            metadata_max_age_ms=5_000,
        )
        self._failed = asyncio.get_running_loop().create_future()
        self._consumer = consumer
        try:
            if self.settings.shares_partitions:
                consumer.subscribe(topics=list(self.group.topics), listener=_Listener(self))
                await consumer.start()
            else:
                await consumer.start()
                mine = [TopicPartition(topic, n) for topic in self.group.topics for n in range(self.partitions[topic])]
                consumer.assign(mine)
                self.assigned(mine)
            while not stop.is_set() and not self._failed.done():
                # Polled rather than waited for: the tick is short, and drain() must run in this task.
                await asyncio.wait([self._failed], timeout=TICK_SECONDS)
                await self._tick()
                if not self._failed.done() and all(r.reader.position is not None for r in self.readers.values()):
                    # It reads: what kept it from that is over.
                    self.problem = None
            if self._failed.done():
                self._failed.result()
        finally:
            await self.drain()
            if not self._failed.done():
                self._failed.cancel()
            await closed(consumer, self.group.name, within=5.0)
            self._consumer = None

    # -- partitions come and go -------------------------------------------------------------------------------------

    def assigned(self, partitions: Iterable[TopicPartition]) -> None:
        """Partitions are ours from now on."""
        self._stop.clear()
        for at in partitions:
            if self._consumer is not None and at not in self._tasks:
                reader = PartitionReader(at, self._consumer, self._applier)
                self.readers[at] = reader
                task = asyncio.create_task(reader.run())
                self._tasks[at] = task
                task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if self._failed is None or self._failed.done():
            return
        # A partition without its reader would be silent until the process ends.
        error = failure_of(task, KafkaError("a reader was cancelled from within"))
        if error is not None:
            if not isinstance(error, (GroupStopped, KafkaError, *DATABASE_ERRORS)):
                error = GroupStopped(f"{type(error).__name__}: {error}")
            self._failed.set_exception(error)

    async def drain(self) -> None:
        """Let what is being settled finish, under a deadline below the session timeout; commit; drop the rest."""
        self._stop.set()
        for at, reader in self.readers.items():
            reader.stopping = True
            if reader.waiting:
                # Whoever takes over the partitions need not wait for a read that brings nothing.
                self._tasks[at].cancel()
        tasks = list(self._tasks.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self.settings.session_timeout_ms / 2000)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._commit()
        self._tasks.clear()
        self.readers.clear()

    # -- reports and hints ------------------------------------------------------------------------------------------

    async def _tick(self) -> None:
        now = time.monotonic()
        if any(rules.report_due(reader.reader, now) for reader in self.readers.values()):
            await self._report(now)
        await self._commit()
        if now - self._letters_at >= LETTERS_SECONDS:
            self._letters_at = now
            await self._look_at_letters()

    async def _look_at_letters(self) -> None:
        try:
            async with self.database.read() as session:
                places = await store.asked_where(session, self.group.name)
        except DATABASE_ERRORS as error:
            _log.info("dead letters not looked at", group=self.group.name, cause=repr(error))
            return
        for at, reader in self.readers.items():
            reader.letters_wanted = reader.letters_wanted or (at.topic, at.partition) in places

    async def _report(self, now: float) -> None:
        """Rule 7. The watermarks are read from the database: it may have been restored."""
        producer = self.producer()
        if producer is None:
            return
        try:
            async with self.database.read() as session:
                marks = await store.watermarks(session, self.group.name)
            by_topic: dict[str, list[tuple[str, int, Report]]] = {}
            for at, reader in self.readers.items():
                if reader.reader.position is not None:
                    mark = marks.get((at.topic, at.partition), rules.Watermark())
                    reader.reader, made = rules.report(reader.reader, self.group.name, mark, now)
                    by_topic.setdefault(at.topic, []).append((at.topic, at.partition, made))
            for topic, reports in by_topic.items():
                said = GroupReport(self.settings.service, self.group.name, self.peers[topic], reports)
                sent = await producer.send(
                    control.REPORTS.name, said.encode(), key=self.group.name.encode(), partition=0
                )
                # Nobody waits for it: the next report says it again. Read, so that a failure is not an unread exception.
                sent.add_done_callback(lambda told: told.cancelled() or told.exception())
            await self._tell_letters(producer)
        except (KafkaError, *DATABASE_ERRORS) as error:
            _log.info("no report", group=self.group.name, cause=repr(error))

    async def _tell_letters(self, producer: AIOKafkaProducer) -> None:
        """Tell of new dead letters on their topic; told twice after a crash, never forgotten."""
        async with self.database.read() as session:
            untold = await store.untold(session, self.group.name)
        if not untold:
            return
        async with asyncio.timeout(5):
            for letter in untold:
                key, value, headers = letters.announcement(letter)
                await producer.send_and_wait(control.DEAD_LETTERS.name, value, key=key, headers=headers, partition=0)
        async with self.database.write(WriteContext(now=self.clock.now())) as session:
            await store.told(session, self.group.name, [letter["event_id"] for letter in untold])

    async def _commit(self) -> None:
        """Rule 6: explicit offsets, after the transaction. A hint: whatever goes wrong with it, watermarks decide."""
        consumer = self._consumer
        if consumer is None:
            return
        offsets = {
            at: reader.reader.position
            for at, reader in self.readers.items()
            if reader.reader.position is not None and reader.reader.position != reader.committed
        }
        if not offsets:
            return
        try:
            async with asyncio.timeout(3):
                await consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError, KafkaError, OSError, TimeoutError) as error:
            _log.info("offsets not committed", group=self.group.name, cause=repr(error))
            return
        for at, position in offsets.items():
            if at in self.readers:
                self.readers[at].committed = position

    # -- health -----------------------------------------------------------------------------------------------------

    @property
    def waits_because(self) -> str | None:
        """Why a partition stands still until this release is upgraded; None: none does."""
        return next(iter(self._applier.waits.values()), None)

    def stuck(self) -> str | None:
        """Why this group makes no progress; None when it does. A group that was stopped is no reason to restart the process."""
        now = time.monotonic()
        for at, reader in self.readers.items():
            if now - reader.alive_at > STUCK_SECONDS and self.stopped_because is None:
                return (
                    f"{self.group.name}: {at.topic}/{at.partition} made no progress for {int(now - reader.alive_at)} s"
                )
        return None

    def progress(self) -> list[dict[str, object]]:
        """Per partition: how long ago it got through its loop, position, lag."""
        now = time.monotonic()
        return [
            {
                "group": self.group.name,
                "topic": at.topic,
                "partition": at.partition,
                "idle_seconds": round(now - reader.alive_at, 1),
                "position": reader.reader.position,
                "lag": reader.lag,
            }
            for at, reader in sorted(self.readers.items())
        ]


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Called by aiokafka between two generations of the group."""

    def __init__(self, consumer: Consumer) -> None:
        self.consumer = consumer

    async def on_partitions_revoked(self, _: object) -> None:
        await self.consumer.drain()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self.consumer.assigned(assigned)

"""A service's worker: relay, consumers, schedules, heartbeat, resyncs, in one process or beside the API in the same one."""

import asyncio
import datetime as dt
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from crm_contracts import Registry, control, registry
from crm_database import Database
from crm_events import heartbeat, topics
from crm_events.archive.keeping import Keeping
from crm_events.closing import closed, is_stray
from crm_events.consumer.consumer import Consumer
from crm_events.months import make_months
from crm_events.observing import Observing
from crm_events.reaction import Reaction, groups_of
from crm_events.relay.relay import Relay, stalled_for
from crm_events.resync.asker import Asker
from crm_events.schedule import Schedule, Scheduler, every
from crm_events.settings import BusSettings
from crm_events.waiting import stopped_within
from crm_kernel.clock import Clock, SystemClock

#: A leader whose loop stands still for so long is stuck.
RELAY_STUCK_SECONDS = 60.0

_CONTROL = (
    control.REPORTS,
    control.HEARTBEAT,
    control.DEAD_LETTERS,
    control.RESYNC_REQUESTS,
    control.RESYNC_ANSWERS,
)

_log = structlog.get_logger("crm_events")


@dataclass
class Worker:
    """database: the service's. heard: what to do with identity's heartbeat; None: nothing (and nothing is listened to).
    works: what else goes on in it until the event is set (jobs); each may run in any number of replicas.
    keep_months: how many months of the journal, besides the present one, stay whole; older ones go to the archive that
    `archive.keep_in` named for the database. 0: all stay.

    `run` ends when `stop` is set and everything is drained. Nothing here fails because the broker or the database is away:
    it waits, and says so in `warning`.
    """

    settings: BusSettings
    database: Database
    reactions: Sequence[Reaction] = ()
    schedules: Sequence[Schedule] = ()
    works: Sequence[Callable[[asyncio.Event], Coroutine[Any, Any, None]]] = ()
    heard: heartbeat.Heard | None = None
    clock: Clock = field(default_factory=SystemClock)
    known: Registry = field(default_factory=lambda: registry)
    keep_months: int = 0

    def __post_init__(self) -> None:
        groups = groups_of(self.reactions, self.known)
        named = sorted({topic for group in groups for topic in group.topics})
        peers = {topic: tuple(group.name for group in groups if topic in group.topics) for topic in named}
        partitions = {topic: self.known.topics[topic].partitions for topic in named}
        self.relay = Relay(self.settings, known=self.known, database=self.database, clock=self.clock)
        self.keeping = Keeping(self.settings, self.database, self.known, self.keep_months, self.clock)
        self.asker = Asker(self.settings, self.database, groups, self.known, lambda: self._producer, self.clock)
        self.consumers = [
            Consumer(self.settings, group, self.database, self.clock, lambda: self._producer, peers, partitions)
            for group in groups
        ]
        self.heard_at: dt.datetime | None = None
        self._producer: AIOKafkaProducer | None = None
        self._failed: str | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`."""
        months = Schedule("crm.months", every(dt.timedelta(hours=6)), self._months)
        works = [
            self._control(stop),
            self.relay.run(stop),
            self.asker.run(stop),
            Observing(self).run(stop),
            self.keeping.run(stop),
            Scheduler(self.database, [months, *self.schedules], self.clock).run(stop),
            *(consumer.run(stop) for consumer in self.consumers),
            *(work(stop) for work in self.works),
        ]
        if self.heard is not None:
            works.append(heartbeat.listen(self.settings, self._note, stop))
        if self.settings.service == control.HEARTBEAT.producer:
            works.append(heartbeat.beat(lambda: self._producer, self.clock, stop))
        await asyncio.gather(*(self._guarded(work, stop) for work in works))

    async def _guarded(self, work: Coroutine[Any, Any, None], stop: asyncio.Event) -> None:
        """A part that ends with an error that it doesn't know makes the process fail its health check, loudly."""
        try:
            await work
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and not is_stray(error):
                raise
            # A cancellation that nobody asked for came out of a library: it ends the part like any error, and never silently.
            self._failed = f"{type(error).__name__}: {error}"
            _log.exception("a part of the worker failed", cause=repr(error))
            await stop.wait()

    async def _months(self, database: Database, _: dt.datetime) -> None:
        await make_months(database, self.clock.now())

    async def _note(self, sent_at: dt.datetime) -> None:
        self.heard_at = self.clock.now()
        if self.heard is not None:
            await self.heard(sent_at)

    async def _control(self, stop: asyncio.Event) -> None:
        """Keep a producer for control records: reports, heartbeat, dead letters."""
        while not stop.is_set():
            producer = AIOKafkaProducer(
                **self.settings.client,
                client_id=f"{self.settings.client_id}-control",
                acks=1,
                linger_ms=0,
                request_timeout_ms=5_000,
                metadata_max_age_ms=10_000,
            )
            try:
                consumed = [self.known.topics[topic] for c in self.consumers for topic in c.group.topics]
                needed = [*_CONTROL, *consumed]
                await topics.ensure(self.settings.bootstrap, needed, self.settings.login)
                await producer.start()
                self._producer = producer
                # A broker that came back empty has no topics any more: looked at now and then.
                while not await stopped_within(stop, 5.0):
                    await topics.ensure(self.settings.bootstrap, needed, self.settings.login)
            except (KafkaError, OSError, TimeoutError, topics.TopicRefused) as error:
                _log.warning("the broker is away", cause=repr(error))
            finally:
                if stop.is_set():
                    # Consumers report and tell dead letters until they are drained.
                    await self._drained()
                self._producer = None
                await closed(producer, "the control producer")
            await stopped_within(stop, 0.5)

    async def _drained(self) -> None:
        for _ in range(50):
            if not any(consumer.readers for consumer in self.consumers):
                return
            await asyncio.sleep(0.1)

    # -- health -----------------------------------------------------------------------------------------------------

    def alive(self) -> str | None:
        """For `/livez`: why this process should be restarted, or None. Progress counts, not being connected."""
        if self._failed is not None:
            return self._failed
        for consumer in self.consumers:
            stuck = consumer.stuck()
            if stuck is not None:
                return stuck
        stalled = stalled_for(self.relay)
        if stalled is not None and stalled > RELAY_STUCK_SECONDS:
            return f"the relay stands still for {int(stalled)} s"
        return None

    def warning(self) -> str | None:
        """For `/readyz`: what is wrong with the bus, or None. Never a reason not to be ready: writes go on."""
        found = [f"{c.group.name} is stopped: {c.stopped_because}" for c in self.consumers if c.stopped_because]
        found += [c.problem for c in self.consumers if c.problem]
        found += [f"{c.group.name} waits to be upgraded: {c.waits_because}" for c in self.consumers if c.waits_because]
        if self._producer is None:
            found.append("the broker can't be reached")
        if self.relay.problem:
            found.append(self.relay.problem)
        if self.relay.leader is not None:
            found += self.relay.leader.waiting_for_archive()
        if (unreadable := self.keeping.warning()) is not None:
            found.append(unreadable)
        return "; ".join(found) or None

    def progress(self) -> dict[str, Any]:
        """What operators ask: the relay, each partition's poll progress and lag, when identity was last heard."""
        leader = self.relay.leader
        return {
            "leads": leader is not None,
            "sent": leader.sent if leader is not None else 0,
            "heard_at": self.heard_at,
            "partitions": [row for consumer in self.consumers for row in consumer.progress()],
        }

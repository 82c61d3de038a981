"""The relay of a service: stands by until the lock is free, leads while it holds it, begins again when it is lost."""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from crm_contracts import Registry, control, registry
from crm_database import DATABASE_ERRORS, Database
from crm_events import topics, wake
from crm_events.archive.reading import storage_of
from crm_events.closing import closed
from crm_events.relay.ears import Ears
from crm_events.relay.leader import Leader
from crm_events.relay.ledger import Ledger, LockLost
from crm_events.reports import GroupReport
from crm_events.resync.answerer import Answerer
from crm_events.settings import BusSettings
from crm_events.waiting import stopped_within
from crm_kernel.clock import Clock, SystemClock

#: Seconds before it begins again after a failure.
AGAIN_SECONDS = 1.0
#: Seconds between attempts to take the lock, on a connection that stands. A reader of what was just written waits 2 s for it (PL-13), also
#: when the leader leaves meanwhile.
STAND_BY_SECONDS = 0.25

_log = structlog.get_logger("crm_events")


class Relay:
    """Runs in every worker process; one of them leads, the others stand by."""

    def __init__(
        self,
        settings: BusSettings,
        *,
        known: Registry = registry,
        database: Database | None = None,
        clock: Clock | None = None,
    ) -> None:
        """database: for answering resyncs; None: this relay answers none."""
        self.settings = settings
        self.database = database
        self.clock = clock or SystemClock()
        self.topics = known.produced_by(settings.service)
        self.leader: Leader | None = None
        self.ears: Ears | None = None
        self.problem: str | None = None
        self._wake = wake.wakeup()

    async def run(self, stop: asyncio.Event) -> None:
        """Lead whenever possible, until `stop`."""
        if not self.topics:
            await stop.wait()
            return
        while not stop.is_set():
            try:
                await self._once(stop)
                self.problem = None
            except LockLost as lost:
                self.problem = f"the relay lost its lock: {lost}"
                _log.warning("relay: lock lost", cause=str(lost))
            except (*DATABASE_ERRORS, KafkaError, topics.TopicRefused) as error:
                self.problem = f"the relay can't work: {type(error).__name__}"
                _log.warning("relay: can't lead", cause=repr(error))
            finally:
                self.leader = self.ears = None
            await stopped_within(stop, AGAIN_SECONDS)

    async def _once(self, stop: asyncio.Event) -> None:
        async with AsyncExitStack() as stack:
            reader = AIOKafkaConsumer(
                **self.settings.client,
                client_id=f"{self.settings.client_id}-reports",
                enable_auto_commit=False,
                auto_offset_reset="latest",
                request_timeout_ms=self.settings.request_timeout_ms,
                fetch_max_wait_ms=self.settings.fetch_wait_ms,
                metadata_max_age_ms=10_000,
            )
            stack.push_async_callback(closed, reader, "the reports' reader")
            # Left first: the next leader waits for the lock, not for our reader.
            ledger = await Ledger.connect(self.settings.dsn, self.settings.service, storage_of(self.database))
            stack.push_async_callback(ledger.close)
            control_topics = [control.REPORTS, control.RESYNC_REQUESTS, control.RESYNC_ANSWERS]
            await topics.ensure(self.settings.bootstrap, [*self.topics, *control_topics], self.settings.login)
            heard = [TopicPartition(topic.name, 0) for topic in (control.REPORTS, control.RESYNC_REQUESTS)]
            await reader.start()
            reader.assign(heard)
            await reader.seek_to_end(*heard)
            await ledger.connection.add_listener(wake.CHANNEL, lambda *_: self._wake.set())
            self.ears = Ears(self.settings.gate_seconds)
            await _first_of(self._lead(ledger, self.ears, stop), stop.wait(), _listen(reader, heard, self.ears))

    async def _lead(self, ledger: Ledger, ears: Ears, stop: asyncio.Event) -> None:
        """Stand by until the lock is free; then lead as long as it is held."""
        while not await ledger.take():
            # Whoever could lead has no problem, and whatever kept it from leading before is over.
            self.problem = None
            if await stopped_within(stop, STAND_BY_SECONDS):
                return
        leader = Leader(self.settings, ledger, self.topics, self._wake)
        await leader.open()
        self.leader, self.problem = leader, None
        _log.info("relay leads", service=self.settings.service)
        works: list[Coroutine[Any, Any, object]] = [leader.run(ears.lead(leader, time.monotonic()))]
        if self.database is not None:
            ears.answerer = Answerer(self.settings, self.database, self.topics, self.clock)
            works.append(ears.answerer.run())
        await _first_of(*works)


async def _listen(reader: AIOKafkaConsumer, heard: Sequence[TopicPartition], ears: Ears) -> None:
    """Hear the groups' reports, and what they ask for (of who leads)."""
    while True:
        try:
            got = await reader.getmany(*heard, timeout_ms=500)
        except KafkaError as error:
            _log.warning("reports can't be read", cause=repr(error))
            await asyncio.sleep(0.5)
            continue
        for at, records in got.items():
            for record in records:
                if at.topic == control.RESYNC_REQUESTS.name:
                    if ears.answerer is not None:
                        await ears.answerer.hear(record.value)
                    continue
                try:
                    said = GroupReport.decode(record.value)
                except (ValueError, KeyError, TypeError) as error:
                    _log.warning("not a report", offset=record.offset, cause=repr(error))
                    continue
                await ears.hear(said, time.monotonic())
        # The log was wiped: what comes next is below where we stand (rule 6).
        for at in heard:
            end = reader.highwater(at)
            if end is not None and await reader.position(at) > end:
                await reader.seek_to_beginning(at)


async def _first_of(*works: Coroutine[Any, Any, object]) -> None:
    """Run all until one ends; raise what it raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def stalled_for(relay: Relay) -> float | None:
    """Seconds since the leader last got through its loop; None when this process doesn't lead."""
    return None if relay.leader is None else time.monotonic() - relay.leader.alive_at

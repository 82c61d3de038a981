"""The relay of a service: waits for the lock, leads while it holds it, begins again when it is lost."""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from crm_contracts import Registry, control, registry
from crm_database import DATABASE_ERRORS, Database
from crm_events import topics, wake
from crm_events.closing import closed
from crm_events.relay.leader import Leader
from crm_events.relay.ledger import Ledger, LockLost
from crm_events.reports import GroupReport
from crm_events.resync.answerer import Answerer
from crm_events.settings import BusSettings
from crm_events.waiting import stopped_within
from crm_kernel.clock import Clock, SystemClock

#: Seconds between attempts to take the lock.
LOCK_SECONDS = 1.0

_log = structlog.get_logger("crm_events")


class Relay:
    """Runs in every worker process; one of them leads."""

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
                self.leader = None
            await stopped_within(stop, LOCK_SECONDS)

    async def _once(self, stop: asyncio.Event) -> None:
        ledger = await Ledger.connect(self.settings.dsn, self.settings.service)
        if ledger is None:
            return
        try:
            await self._lead(ledger, stop)
        finally:
            await ledger.close()

    async def _lead(self, ledger: Ledger, stop: asyncio.Event) -> None:
        reader = AIOKafkaConsumer(
            bootstrap_servers=self.settings.bootstrap,
            client_id=f"{self.settings.client_id}-reports",
            enable_auto_commit=False,
            auto_offset_reset="latest",
            request_timeout_ms=self.settings.request_timeout_ms,
            fetch_max_wait_ms=self.settings.fetch_wait_ms,
            metadata_max_age_ms=10_000,
        )
        try:
            control_topics = [control.REPORTS, control.RESYNC_REQUESTS, control.RESYNC_ANSWERS]
            await topics.ensure(self.settings.bootstrap, [*self.topics, *control_topics])
            heard = [TopicPartition(topic.name, 0) for topic in (control.REPORTS, control.RESYNC_REQUESTS)]
            await reader.start()
            reader.assign(heard)
            await reader.seek_to_end(*heard)
            await ledger.connection.add_listener(wake.CHANNEL, lambda *_: self._wake.set())
            leader = Leader(self.settings, ledger, self.topics, self._wake)
            await leader.open()
            self.leader = leader
            # Whatever kept it from leading is over, and operators need not be told of it any more.
            self.problem = None
            _log.info("relay leads", service=self.settings.service)
            works: list[Coroutine[Any, Any, object]] = [leader.run(), stop.wait()]
            answerer = None
            if self.database is not None:
                answerer = Answerer(self.settings, self.database, self.topics, self.clock)
                works.append(answerer.run())
            await _first_of(*works, _listen(reader, heard, leader, answerer))
        finally:
            await closed(reader, "the reports' reader")


async def _listen(
    reader: AIOKafkaConsumer, heard: Sequence[TopicPartition], leader: Leader, answerer: Answerer | None
) -> None:
    """Hand the groups' reports to the leader, and what they ask for to the answerer."""
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
                    if answerer is not None:
                        await answerer.hear(record.value)
                    continue
                try:
                    said = GroupReport.decode(record.value)
                except (ValueError, KeyError, TypeError) as error:
                    _log.warning("not a report", offset=record.offset, cause=repr(error))
                    continue
                await leader.hear(said)
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

"""Identity's heartbeat: every 5 s on a control topic, without number and journal. Who hears it knows that the bus works."""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from crm_contracts import control
from crm_database import DATABASE_ERRORS
from crm_events.closing import closed
from crm_events.settings import BusSettings
from crm_events.waiting import stopped_within
from crm_kernel.clock import Clock

SECONDS = 5.0

#: What a service does with a heartbeat; the instant is when identity sent it.
Heard = Callable[[dt.datetime], Awaitable[None]]

_log = structlog.get_logger("crm_events")


async def beat(producer: Callable[[], AIOKafkaProducer | None], clock: Clock, stop: asyncio.Event) -> None:
    """Send the heartbeat until `stop`; for identity's worker. Several workers may beat: the latest counts."""
    while not stop.is_set():
        sender = producer()
        if sender is not None:
            try:
                async with asyncio.timeout(SECONDS):
                    said = clock.now().isoformat().encode()
                    await sender.send_and_wait(control.HEARTBEAT.name, said, key=b"identity", partition=0)
            except (KafkaError, OSError, TimeoutError) as error:
                _log.warning("no heartbeat sent", cause=repr(error))
        await stopped_within(stop, SECONDS)


async def listen(settings: BusSettings, heard: Heard, stop: asyncio.Event) -> None:
    """Call `heard` for every new heartbeat until `stop`. Only what is sent from now on: an old one is no sign of life."""
    while not stop.is_set():
        consumer = AIOKafkaConsumer(
            **settings.client,
            client_id=f"{settings.client_id}-heartbeat",
            enable_auto_commit=False,
            auto_offset_reset="latest",
            request_timeout_ms=settings.request_timeout_ms,
            fetch_max_wait_ms=settings.fetch_wait_ms,
            metadata_max_age_ms=10_000,
        )
        try:
            await consumer.start()
            at = TopicPartition(control.HEARTBEAT.name, 0)
            consumer.assign([at])
            await consumer.seek_to_end(at)
            while not stop.is_set():
                await _some(consumer, at, heard)
        except (KafkaError, OSError, TimeoutError) as error:
            _log.warning("heartbeats can't be read", cause=repr(error))
            await stopped_within(stop, 1.0)
        finally:
            await closed(consumer, "the heartbeat's reader")


async def _some(consumer: AIOKafkaConsumer, at: TopicPartition, heard: Heard) -> None:
    got = await consumer.getmany(at, timeout_ms=1000)
    for record in got.get(at, [])[-1:]:
        try:
            sent_at = dt.datetime.fromisoformat((record.value or b"").decode())
        except ValueError as error:
            _log.warning("not a heartbeat", offset=record.offset, cause=repr(error))
            continue
        try:
            await heard(sent_at)
        except DATABASE_ERRORS as error:
            # The next one comes soon. Who can note none for long counts as deaf, and that is true.
            _log.warning("heartbeat not noted", cause=repr(error))
    end = consumer.highwater(at)
    if end is not None and await consumer.position(at) > end:
        await consumer.seek_to_end(at)

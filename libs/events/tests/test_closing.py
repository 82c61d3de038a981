"""Closing clients of the broker: whatever state they are in, only the caller's own cancellation comes out."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError

from crm_contracts import control
from crm_events import topics
from crm_events.closing import closed
from crm_events.relay.ledger import Ledger, LockLost

from .conftest import Bench, until


class Client:
    """As much of a client as closing needs."""

    def __init__(self, stop: Callable[[], Any]) -> None:
        self.stop = stop
        self.client = self
        self.disconnected = 0

    async def close(self) -> None:
        self.disconnected += 1


async def test_a_consumer_that_pauses_after_a_failed_fetch_is_closed_and_disconnected(bench: Bench) -> None:
    """The state of every consumer while the broker is away. aiokafka's own stop() raises CancelledError there."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bench.bootstrap, retry_backoff_ms=60_000)
    await consumer.start()
    await topics.ensure(bench.bootstrap, [control.HEARTBEAT])
    at = TopicPartition(control.HEARTBEAT.name, 0)
    consumer.assign([at])
    consumer.seek(at, 0)
    failed = asyncio.Event()

    send = consumer._client.send

    async def fails(node: int, request: object, **options: object) -> object:
        if "Fetch" not in type(request).__name__:
            return await send(node, request, **options)
        failed.set()
        raise KafkaConnectionError("away")

    consumer._client.send = fails
    async with asyncio.timeout(30):
        await failed.wait()
    await asyncio.sleep(0.05)  # Into the pause, which lasts a minute.
    await closed(consumer, "the test's")
    assert not any(connection.connected() for connection in consumer._client._conns.values())


async def test_a_stop_that_hangs_is_cut_off_and_one_that_fails_is_told() -> None:
    hanging = Client(lambda: asyncio.sleep(3600))
    await closed(hanging, "hanging", within=0.05)  # type: ignore[arg-type]
    assert hanging.disconnected == 1

    async def away() -> None:
        raise KafkaConnectionError("away")

    failing = Client(away)
    await closed(failing, "away")  # type: ignore[arg-type]
    assert failing.disconnected == 1, "what stop() has not come to is closed all the same"

    async def wrong() -> None:
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        await closed(Client(wrong), "wrong")  # type: ignore[arg-type]


async def test_the_callers_own_cancellation_comes_out() -> None:
    begun = asyncio.Event()

    async def stop() -> None:
        begun.set()
        await asyncio.sleep(3600)

    task = asyncio.create_task(closed(Client(stop), "hanging", within=3600))  # type: ignore[arg-type]
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_part_that_is_cancelled_from_within_fails_the_workers_health_and_ends_no_other(bench: Bench) -> None:
    async def cancelled(_: asyncio.Event) -> None:
        inner = asyncio.create_task(asyncio.sleep(3600))
        inner.cancel()
        await inner

    other_ended = False

    async def other(stop: asyncio.Event) -> None:
        nonlocal other_ended
        await stop.wait()
        other_ended = True

    worker = await bench.worker("maker")
    worker.works = [cancelled, other]
    async with bench.running(worker):

        async def told() -> bool:
            return "CancelledError" in (worker.alive() or "")

        await until(told, "the worker says that a part of it failed")
        assert not other_ended
    assert other_ended


class Ended:
    """A connection of the driver's that ends, or doesn't, between preparing a statement and executing it."""

    def __init__(self, ended: bool) -> None:
        self.ended = ended

    async def fetch(self, *_: object) -> None:
        raise AttributeError("'NoneType' object has no attribute 'bind_execute'")

    def is_closed(self) -> bool:
        return self.ended


async def test_a_connection_that_ends_in_mid_statement_is_a_lost_lock_and_a_mistake_of_ours_is_not() -> None:
    with pytest.raises(LockLost):
        await Ledger(Ended(ended=True), "maker").server()  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        await Ledger(Ended(ended=False), "maker").server()  # type: ignore[arg-type]

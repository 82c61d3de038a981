"""The way to the broker fails: delayed, cut, half-open. Relay and consumers notice, and go on by themselves once it is back."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from pathlib import Path as Folder

import asyncpg
import pytest
import uvloop
from aiokafka import AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

from crm_contracts import control
from crm_database import WriteSession
from crm_events import heartbeat, topics
from crm_events.consumer import store
from crm_events.consumer.store import Place
from crm_events.relay import sender
from crm_kernel import SystemClock
from crm_stack.apache_kafka import ApacheKafka, why_unavailable
from crm_stack.broker import EmbeddedBroker
from crm_stack.ports import free_port
from crm_testing.network import Path
from crm_testing.servers import MakeDatabase

from .conftest import Bench, following, open_bench, things, until

GROUP = "follower.things"
#: What a request to the broker gets here, and what sending a batch gets.
REQUEST_MS, SEND_SECONDS = 2_000, 3.0


@pytest.fixture(params=["embedded-broker", "apache-kafka"])
async def far(
    request: pytest.FixtureRequest, tmp_path: Folder, make_database: MakeDatabase, template: str
) -> AsyncIterator[tuple[Bench, Path]]:
    """A bench whose broker is reached over a network."""
    if request.param == "apache-kafka" and (reason := why_unavailable()) is not None:
        pytest.skip(f"Apache Kafka can't run here: {reason}")
    port = free_port()
    with Path.to(port) as path:
        kind = EmbeddedBroker if request.param == "embedded-broker" else ApacheKafka
        with kind(tmp_path, port, advertised=path.address) as broker:
            idempotent = request.param == "apache-kafka"
            async with open_bench(broker.bootstrap, idempotent, lambda: make_database(template), things()) as bench:
                yield bench, path


async def test_a_broker_that_falls_silent_is_given_up_and_what_waited_arrives_once(
    far: tuple[Bench, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half-open connections never come back to life: each part has to leave its own. The client library gives them 40 s."""
    monkeypatch.setattr(sender, "SEND_SECONDS", SEND_SECONDS)
    bench, path = far
    maker = await bench.worker("maker", request_timeout_ms=REQUEST_MS)
    follower = await bench.worker("follower", [following(bench.things, GROUP)], request_timeout_ms=REQUEST_MS)
    async with bench.running(maker, follower):
        await bench.write(create=12)
        await bench.followed("follower", GROUP)
        path.freeze()
        await bench.write(change=bench.names)
        path.heal()
        await bench.followed("follower", GROUP, seconds=30)
        assert maker.alive() is None
        assert follower.alive() is None


def test_a_connection_that_the_loop_has_closed_is_a_broken_one(embedded_broker: str) -> None:
    """The loop that services run on says so in words of its own, at a moment that lasts no longer than its next turn."""

    async def sends_on_a_closed_one() -> None:
        client = AIOKafkaClient(bootstrap_servers=embedded_broker)
        await client.bootstrap()
        try:
            (node,) = client.cluster.brokers()
            assert await client.ready(node.nodeId)
            connection = client._conns[node.nodeId, 0]
            connection._writer.transport.abort()
            # In the next turn the loop has closed it, and who reads from it has not been told yet.
            await asyncio.sleep(0)
            with pytest.raises(KafkaConnectionError):
                await connection.send(MetadataRequest([]))
            assert not connection.connected()
        finally:
            await client.close()

    uvloop.run(sends_on_a_closed_one())


async def test_a_broker_that_is_far_away_or_cut_off_again_and_again_loses_and_doubles_nothing(
    far: tuple[Bench, Path],
) -> None:
    bench, path = far
    async with bench.running(
        await bench.worker("maker"), await bench.worker("follower", [following(bench.things, GROUP)])
    ):
        await bench.write(create=12)
        await bench.followed("follower", GROUP)
        path.delay(0.2, jitter=0.05)
        await bench.write(change=bench.names)
        await bench.followed("follower", GROUP)
        path.heal()
        for _ in range(10):
            await bench.write(change=bench.names)
            path.cut()
        await until(bench.drained, "everything is acknowledged", 60)
        await bench.followed("follower", GROUP, seconds=60)


async def test_what_was_wrong_is_told_until_it_is_over_and_no_longer(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relay that leads again and a consumer that reads again have nothing to warn of."""
    real, failures = store.begin, 0

    async def begin(session: WriteSession, place: Place) -> None:
        nonlocal failures
        failures += 1
        if failures <= 2:
            raise ConnectionResetError("the database went away")
        await real(session, place)

    monkeypatch.setattr(store, "begin", begin)
    maker = await bench.worker("maker")
    follower = await bench.worker("follower", [following(bench.things, GROUP)])
    told: set[str] = set()

    async def follower_says_it() -> bool:
        told.add(follower.warning() or "")
        return any(f"{GROUP} can't read" in said for said in told)

    async def nobody_warns() -> bool:
        return maker.warning() is None and follower.warning() is None and maker.relay.leader is not None

    async with bench.running(maker, follower):
        await until(follower_says_it, "the consumer says that it can't read")
        await until(nobody_warns, "both have nothing to say")
        database = await bench.database("maker")
        async with database.read() as session:
            await session.connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'crm-maker-relay' AND datname = current_database()"
            )

        async def maker_says_it() -> bool:
            return "the relay lost its lock" in (maker.warning() or "")

        await until(maker_says_it, "the relay says that it lost its lock")
        await until(nobody_warns, "both have nothing to say again")


async def test_a_heartbeat_that_can_not_be_noted_is_followed_by_the_next(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database went away just then: that ends no listening, and so no process."""
    monkeypatch.setattr(heartbeat, "SECONDS", 0.2)
    calls = 0

    async def heard(_: dt.datetime) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")

    async def heard_again() -> bool:
        return calls >= 2 or listening.done()

    settings, stop = await bench.settings("follower"), asyncio.Event()
    await topics.ensure(bench.bootstrap, [control.HEARTBEAT])
    producer = AIOKafkaProducer(bootstrap_servers=bench.bootstrap)
    await producer.start()
    beating = asyncio.create_task(heartbeat.beat(lambda: producer, SystemClock(), stop))
    listening = asyncio.create_task(heartbeat.listen(settings, heard, stop))
    try:
        await until(heard_again, "the next heartbeat is heard")
    finally:
        stop.set()
        await asyncio.gather(beating, listening)
        await producer.stop()
    assert calls >= 2

"""A consumer that is connected and gets nowhere is told from one that waits, and from one that works for long (PL-46)."""

import asyncio

import pytest

from crm_contracts import Envelope
from crm_database import WriteSession
from crm_events import Reaction
from crm_events.consumer import consumer as consumers
from crm_events.consumer import failures, partition

from .conftest import Bench, until

GROUP = "follower.things"
pytestmark = pytest.mark.requirement("PL-46")


def test_half_a_minute_is_longer_than_any_single_thing_that_a_consumer_waits_for() -> None:
    # What a statement may take: crm_database.PoolSettings, CRM_COMMAND_TIMEOUT_SECONDS.
    longest = max(15.0, failures.TRANSIENT_MOST, *failures.POISON_PAUSES, partition.READ_SECONDS)
    assert longest < consumers.STUCK_SECONDS
    # Kubernetes and crm up ask again within 5 s or so: the answer is there within the 30 s that were promised.
    assert consumers.STUCK_SECONDS + 5 <= 30


async def test_a_handler_that_never_returns_turns_livez_red_though_the_consumer_is_connected(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "STUCK_SECONDS", 2.5)
    hanging, let_go = asyncio.Event(), asyncio.Event()

    async def hang(session: WriteSession, envelope: Envelope) -> None:
        hanging.set()
        await let_go.wait()

    follower = await bench.worker("follower", [Reaction(GROUP, (bench.things.topic.name,), hang)])
    async with bench.running(await bench.worker("maker"), follower):
        await bench.write(create=1)
        async with asyncio.timeout(30):
            await hanging.wait()
        assert follower.alive() is None, "it has only just begun"

        async def red() -> bool:
            return "made no progress for" in (follower.alive() or "")

        await until(red, "the consumer is called stuck", 10)
        assert bench.things.topic.name in (follower.alive() or "")
        assert follower.warning() is None, "nothing says that the bus is away"
        let_go.set()

        async def green() -> bool:
            return follower.alive() is None

        await until(green, "it goes on", 10)


async def test_waiting_out_a_failure_of_the_world_is_not_being_stuck(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "STUCK_SECONDS", 2.5)
    monkeypatch.setattr(failures, "TRANSIENT_MOST", 0.5)
    tries = 0

    async def refused(session: WriteSession, envelope: Envelope) -> None:
        nonlocal tries
        tries += 1
        raise ConnectionResetError("the world's fault")

    follower = await bench.worker("follower", [Reaction(GROUP, (bench.things.topic.name,), refused)])
    async with bench.running(await bench.worker("maker"), follower):
        await bench.write(create=1)

        async def tried_for_longer() -> bool:
            assert follower.alive() is None
            return tries > 14  # 0.05 + … + 0.4 s, and then every half a second: beyond twice the time.

        await until(tried_for_longer, "attempts beyond the time after which a reader is stuck", 40)


async def test_a_long_transaction_whose_events_go_on_one_by_one_is_not_stuck(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "STUCK_SECONDS", 2.5)
    done = 0

    async def slowly(session: WriteSession, envelope: Envelope) -> None:
        nonlocal done
        await asyncio.sleep(0.5)
        done += 1

    maker = await bench.worker("maker")
    async with bench.running(maker):
        await bench.write(create=1)
        for _ in range(11):
            await bench.write(change=bench.names)  # One record's: all in one partition, in one transaction.
        await until(bench.drained, "everything is acknowledged")
        follower = await bench.worker(
            "follower", [Reaction(GROUP, (bench.things.topic.name,), slowly, per_transaction=100)]
        )
        async with bench.running(follower):

            async def all_done() -> bool:
                assert follower.alive() is None
                return done >= 12

            await until(all_done, "twelve events of half a second", 40)

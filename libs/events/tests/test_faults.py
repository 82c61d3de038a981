"""What fails between outbox and effect, on real servers; small here, the full size is `tests/faults`."""

import asyncio
import dataclasses
import random
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer

from crm_contracts import Envelope
from crm_database import WriteSession
from crm_events import Worker
from crm_events.consumer import partition
from crm_events.consumer import rules as consumer_rules
from crm_events.consumer.partition import PartitionReader
from crm_events.relay import rules as relay_rules
from crm_events.relay.leader import Leader
from crm_events.relay.ledger import Ledger, LockLost
from crm_events.relay.sender import Sender
from crm_stack.broker import EmbeddedBroker
from crm_testing.servers import MakeDatabase

from .conftest import Bench, context, following, open_bench, things, until

GROUP = "follower.things"
_END_OTHERS = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE application_name = $1 AND datname = current_database() AND pid <> $2
"""


@pytest.fixture
async def wipeable(
    tmp_path: Path, make_database: MakeDatabase, template: str
) -> AsyncIterator[tuple[Bench, EmbeddedBroker]]:
    """A bench with an embedded broker of its own: ending it empties its log."""
    with EmbeddedBroker(tmp_path) as broker:
        async with open_bench(broker.bootstrap, False, lambda: make_database(template), things()) as bench:
            yield bench, broker


async def _wipe(broker: EmbeddedBroker) -> None:
    """The broker ends and comes back empty."""
    await asyncio.to_thread(broker.stop)
    await asyncio.to_thread(broker.start)


async def _busy(bench: Bench, r: random.Random, writes: int) -> None:
    """Sixty-four people write at once; some of their transactions are rolled back."""

    class Changed(Exception):
        """The mind was."""

    async def person(number: int) -> None:
        for _ in range(writes // 64):
            await asyncio.sleep(r.random() * 0.01)
            some = r.sample(bench.names, k=min(3, len(bench.names)))
            try:
                if r.random() < 0.3:
                    async with (await bench.database("maker")).write(context()) as session:
                        await session.connection.execute("SELECT 1 FROM thing WHERE id = $1 FOR UPDATE", some[0])
                        raise Changed
                await bench.write(change=some)
            except Changed:
                continue

    await asyncio.gather(*(person(n) for n in range(64)))


async def test_concurrent_transactions_and_rollbacks_lose_and_reverse_nothing(bench: Bench) -> None:
    maker = await bench.worker("maker")
    follower = await bench.worker("follower", [following(bench.things, GROUP)])
    async with bench.running(maker, follower):
        await bench.write(create=30)
        await _busy(bench, random.Random(1), 384)
        await bench.followed("follower", GROUP)


async def test_a_broker_wiped_under_load_loses_nothing(wipeable: tuple[Bench, EmbeddedBroker]) -> None:
    """The log regrows past the positions that the followers had."""
    bench, broker = wipeable
    r = random.Random(2)
    maker = await bench.worker("maker")
    follower = await bench.worker("follower", [following(bench.things, GROUP)])
    async with bench.running(maker, follower):
        await bench.write(create=30)
        await bench.followed("follower", GROUP)
        for _ in range(2):
            load = asyncio.create_task(_busy(bench, r, 384))
            await _wipe(broker)
            await load
        await bench.followed("follower", GROUP, seconds=60)


async def test_a_look_that_the_client_library_cancels_keeps_nothing_from_being_sent_again(
    wipeable: tuple[Bench, EmbeddedBroker], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether a record still lies in the log is asked again: the partition isn't left waiting for an answer for good."""
    bench, broker = wipeable
    real, cancelled = Sender.look, 0

    async def look(sender: Sender, topic: str, partition: int, offset: int, stream: uuid.UUID, number: int) -> bool:
        nonlocal cancelled
        if cancelled < 3:
            cancelled += 1
            raise asyncio.CancelledError
        return await real(sender, topic, partition, offset, stream, number)

    monkeypatch.setattr(Sender, "look", look)
    async with bench.running(await bench.worker("maker", gate_seconds=0.1)):
        await bench.write(create=12)
        await until(bench.drained, "everything is acknowledged")
    await _wipe(broker)
    async with bench.running(
        await bench.worker("maker"), await bench.worker("follower", [following(bench.things, GROUP)])
    ):
        await bench.followed("follower", GROUP)
    assert cancelled == 3


async def test_what_was_wiped_comes_again_however_long_looks_take(
    wipeable: tuple[Bench, EmbeddedBroker], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One group or another reports again before the last look into the log is over: nobody waits for all of them."""
    bench, broker = wipeable
    real = Sender.look

    async def look(sender: Sender, topic: str, partition: int, offset: int, stream: uuid.UUID, number: int) -> bool:
        found = await real(sender, topic, partition, offset, stream, number)
        async with sender._looking:
            await asyncio.sleep(0.2)
        return found

    groups = [f"follower.{name}" for name in ("one", "two", "three")]
    monkeypatch.setattr(consumer_rules, "REPORT_SECONDS", 0.2)
    async with bench.running(await bench.worker("maker", gate_seconds=0.1)):
        await bench.write(create=12)
        await until(bench.drained, "everything is acknowledged")
    await _wipe(broker)
    monkeypatch.setattr(Sender, "look", look)
    reactions = [following(bench.things, group) for group in groups]
    async with bench.running(await bench.worker("maker"), await bench.worker("follower", reactions)):
        for group in groups:
            await bench.followed("follower", group)


async def test_a_partition_whose_driver_the_client_library_cancels_is_driven_anew(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, cancelled = Leader._send, 0

    async def send(leader: Leader, slotted: Any, action: Any) -> None:
        nonlocal cancelled
        if cancelled < 2:
            cancelled += 1
            raise asyncio.CancelledError
        await real(leader, slotted, action)

    monkeypatch.setattr(Leader, "_send", send)
    async with bench.running(await bench.worker("maker", gate_seconds=0.1)):
        await bench.write(create=12)
        await until(bench.drained, "everything is acknowledged")
    assert cancelled == 2


async def test_a_reader_that_the_client_library_cancels_reads_anew(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, cancelled = PartitionReader._read, 0

    async def read(reader: PartitionReader) -> Any:
        nonlocal cancelled
        if cancelled < 2:
            cancelled += 1
            raise asyncio.CancelledError
        return await real(reader)

    monkeypatch.setattr(PartitionReader, "_read", read)
    follower = await bench.worker("follower", [following(bench.things, GROUP)])
    async with bench.running(await bench.worker("maker", gate_seconds=0.1), follower):
        await bench.write(create=12)
        await bench.followed("follower", GROUP)
    assert cancelled == 2


async def test_partitions_without_news_are_left_at_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever takes them over would wait for a read that brings nothing. `running` fails after 20 s."""
    monkeypatch.setattr(partition, "READ_SECONDS", 100.0)
    follower = await bench.worker("follower", [following(bench.things, GROUP)], session_timeout_ms=120_000)
    async with bench.running(await bench.worker("maker", gate_seconds=0.1), follower):
        await bench.write(create=12)
        await bench.followed("follower", GROUP)


async def test_a_follower_that_was_away_during_a_wipe_gets_what_it_lacks_and_others_no_more(
    wipeable: tuple[Bench, EmbeddedBroker],
) -> None:
    """A warm start is not a replay (rule 9): only what the absent follower lacks is sent again."""
    bench, broker = wipeable
    maker = await bench.worker("maker")
    reactions = [following(bench.things, GROUP)]
    async with bench.running(maker, await bench.worker("follower", reactions)):
        await bench.write(create=40)
        await bench.followed("follower", GROUP)
    async with bench.running(await bench.worker("maker", gate_seconds=0.2)):
        await bench.write(create=5)

        async def sent() -> bool:
            return bool(
                await bench.value("maker", "SELECT sum(head - next + 1) = 0 FROM stream")
            ) and not await bench.value("maker", "SELECT count(*) FROM outbox")

        await until(sent, "everything is acknowledged")
    await _wipe(broker)
    maker = await bench.worker("maker", gate_seconds=10.0)
    async with bench.running(maker, await bench.worker("follower", reactions)):
        await bench.write(create=3)
        await bench.followed("follower", GROUP)
        await until(bench.drained, "everything is acknowledged")
        assert maker.relay.leader is not None
        assert maker.relay.leader.sent == 8


async def test_a_relay_that_dies_between_sending_and_storing_sends_twice_and_is_applied_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, deaths = Ledger.acknowledge, iter(range(1000))

    async def acknowledge(self: Ledger, stream: uuid.UUID, first: int, last: int, base: int, longer: int | None) -> int:
        if next(deaths) < 6:
            self.connection.terminate()
            raise LockLost("killed between send and mark")
        return await real(self, stream, first, last, base, longer)

    monkeypatch.setattr(Ledger, "acknowledge", acknowledge)
    maker = await bench.worker("maker", gate_seconds=0.1)
    follower = await bench.worker("follower", [following(bench.things, GROUP)])
    async with bench.running(maker, follower):
        for _ in range(3):
            await bench.write(create=5)
            await bench.write(change=bench.names[:5])
            await until(bench.drained, "everything is acknowledged and stored")
        await bench.followed("follower", GROUP)
    assert next(deaths) > 5


async def test_who_begins_a_numbering_waits_for_nobody_who_takes_it_over_does(bench: Bench) -> None:
    """Rule 9: a new installation is there at once; after that nothing is sent before the groups were heard."""
    first = await bench.worker("maker", gate_seconds=600.0)
    async with bench.running(first):
        await bench.write(create=3)
        await until(bench.drained, "a numbering that begins here is sent at once")
    second = await bench.worker("maker", gate_seconds=600.0)
    async with bench.running(second):
        await bench.write(create=3)

        async def leads() -> bool:
            return second.relay.leader is not None and bool(second.relay.leader.slots)

        await until(leads, "the second leads")
        assert second.relay.leader is not None
        now = time.monotonic()
        assert not any(relay_rules.may_send(s.state, now) for s in second.relay.leader.slots.values())
        async with bench.running(await bench.worker("follower", [following(bench.things, GROUP)])):
            await bench.followed("follower", GROUP)


async def test_a_service_that_nobody_expects_is_not_waited_for_but_gets_what_it_lacks(bench: Bench) -> None:
    async with bench.running(await bench.worker("maker", gate_seconds=600.0)):
        await bench.write(create=3)
        await until(bench.drained, "everything is acknowledged")
    alone = await bench.worker("maker", gate_seconds=600.0, expected_services=frozenset())
    async with bench.running(alone):
        await bench.write(change=bench.names)
        await until(bench.drained, "nobody is waited for")
        assert alone.relay.leader is not None
        async with bench.running(await bench.worker("follower", [following(bench.things, GROUP)])):
            await bench.followed("follower", GROUP)

            async def heard() -> bool:
                assert alone.relay.leader is not None
                return all(GROUP in s.state.groups for s in alone.relay.leader.slots.values())

            await until(heard, "its reports count")


async def test_more_partitions_reverse_nothing_of_what_a_follower_has_still_to_apply(bench: Bench) -> None:
    if not bench.idempotence:
        pytest.skip("the embedded broker adds no partitions; it makes all topics anew at each start")
    maker = await bench.worker("maker", gate_seconds=0.1)
    async with bench.running(maker):
        await bench.write(create=20)
        await until(bench.drained, "everything is acknowledged")
    bench.things.registry.topics[bench.things.topic.name] = wider = dataclasses.replace(
        bench.things.topic, partitions=7
    )
    reactions = [following(bench.things, GROUP)]

    async def spread_over(worker: Worker, partitions: int) -> bool:
        return worker.relay.leader is not None and worker.relay.leader.partitions == {wider.name: partitions}

    maker, follower = await bench.worker("maker", gate_seconds=0.1), await bench.worker("follower", reactions)
    async with bench.running(maker, follower):
        await until(lambda: spread_over(maker, 3), "the follower that was never heard may lack everything")
        await bench.write(change=bench.names)
        await bench.followed("follower", GROUP)

        async def kept() -> bool:
            sql = "SELECT coalesce(sum(watermark), 0) = 40 FROM group_report WHERE group_name = $1"
            return bool(await bench.value("maker", sql, GROUP))

        await until(kept, "the maker knows that the follower has caught up")
    maker, follower = await bench.worker("maker", gate_seconds=0.1), await bench.worker("follower", reactions)
    async with bench.running(maker, follower):
        await until(lambda: spread_over(maker, 7), "nothing is in the way any more")
        await bench.write(change=bench.names)
        await bench.followed("follower", GROUP)
    assert await bench.value("maker", "SELECT count(*) FROM stream WHERE head > 0 AND partition > 2")


async def test_of_two_relays_one_leads_and_the_other_takes_over(bench: Bench) -> None:
    first, second = await bench.worker("maker", gate_seconds=0.1), await bench.worker("maker", gate_seconds=0.1)
    follower = await bench.worker("follower", [following(bench.things, GROUP)])
    async with bench.running(first, second, follower):
        led: list[Leader] = []

        async def another_leads() -> bool:
            leading = [w.relay.leader for w in (first, second) if w.relay.leader is not None]
            # Who lost the lock may not know it for a moment.
            if len(leading) != 1 or leading[0] in led:
                return False
            led.append(leading[0])
            return True

        for _ in range(3):
            await until(another_leads, "one of two relays leads")
            await bench.write(create=10)
            led[-1].ledger.connection.terminate()
            await bench.write(create=10)
        await bench.followed("follower", GROUP)


async def _stands_by(worker: Worker) -> None:
    """Wait until a second relay has heard the follower."""

    async def heard() -> bool:
        return worker.relay.ears is not None and any(group == GROUP for group, _ in worker.relay.ears.kept)

    await until(heard, "who stands by has heard the follower")


async def _leading(worker: Worker) -> Leader:
    """The leader of a worker, once its gates are known."""

    async def leads() -> bool:
        return worker.relay.leader is not None and bool(worker.relay.leader.slots)

    await until(leads, "it leads")
    assert worker.relay.leader is not None
    return worker.relay.leader


@asynccontextmanager
async def _leader_and_other(bench: Bench, gate_seconds: float) -> AsyncIterator[tuple[Worker, Worker, AsyncExitStack]]:
    """Who leads, who stands by and has heard a follower that is silent now, and what ends the first when it is closed."""
    first = await bench.worker("maker", gate_seconds=gate_seconds)
    second = await bench.worker("maker", gate_seconds=gate_seconds)
    async with AsyncExitStack() as leading:
        await leading.enter_async_context(bench.running(first))
        await bench.write(create=3)
        await until(bench.drained, "a numbering that begins here is sent at once")
        async with bench.running(second):
            async with bench.running(await bench.worker("follower", [following(bench.things, GROUP)])):
                await bench.followed("follower", GROUP)
                await _stands_by(second)
            yield first, second, leading


async def test_who_stood_by_sends_at_once_what_waits_when_the_leader_leaves(bench: Bench) -> None:
    """As in a rolling upgrade: whoever waits for what was just written (PL-13) has 2 s."""
    async with _leader_and_other(bench, gate_seconds=600.0) as (_, second, leading):
        await leading.aclose()
        await bench.write(change=bench.names)
        await until(bench.drained, "the next leader waits for nobody")
        assert (await _leading(second)).sent == 3


async def test_what_was_heard_under_another_connection_counts_no_more(bench: Bench) -> None:
    """Its database may have been set back meanwhile: groups may have applied more than it knows (rule 12)."""
    async with _leader_and_other(bench, gate_seconds=600.0) as (first, second, leading):
        assert first.relay.leader is not None
        ears, mine = second.relay.ears, first.relay.leader.ledger.connection.get_server_pid()
        await bench.value("maker", _END_OTHERS, "crm-maker-relay", mine)

        async def connected_again() -> bool:
            return second.relay.ears is not None and second.relay.ears is not ears

        await until(connected_again, "it stands by again")
        await leading.aclose()
        await bench.write(change=bench.names)
        slots = (await _leading(second)).slots.values()
        assert {group for slotted in slots for group in slotted.state.heard} == set()
        assert not any(relay_rules.may_send(slotted.state, time.monotonic()) for slotted in slots)


async def test_what_was_heard_long_ago_counts_no_more(bench: Bench) -> None:
    async with _leader_and_other(bench, gate_seconds=2.0) as (_, second, leading):
        assert second.relay.ears is not None
        last = max(heard_at for heard_at, _ in second.relay.ears.kept.values())

        async def long_ago() -> bool:
            return time.monotonic() - last > 2.0

        await until(long_ago, "a new leader would not wait so long")
        await leading.aclose()
        slots = (await _leading(second)).slots.values()
        assert {group for slotted in slots for group in slotted.state.heard} == set()


async def test_a_server_that_died_in_mid_sentence_costs_the_lock_and_a_pause_but_no_worker(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the driver says while the last words of a killed server are on their way (seen with `kill -9` of PostgreSQL)."""
    maker = await bench.worker("maker", gate_seconds=0.1)
    follower = await bench.worker("follower", [following(bench.things, GROUP)])
    async with bench.running(maker, follower):
        await bench.write(create=5)
        await bench.followed("follower", GROUP)
        real, before, failures = asyncpg.Connection.fetch, maker.relay.leader, iter(range(1000))

        async def fetch(self: Any, *arguments: Any, **options: Any) -> Any:
            if next(failures) < 10:
                raise asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")
            return await real(self, *arguments, **options)

        with monkeypatch.context() as broken:
            broken.setattr(asyncpg.Connection, "fetch", fetch)

            async def another_leads() -> bool:
                return maker.relay.leader not in (None, before)

            await until(another_leads, "the relay leads again")
        assert next(failures) > 9
        await bench.write(change=bench.names)
        await bench.followed("follower", GROUP)
        assert (maker.alive(), follower.alive()) == (None, None)
    assert not await bench.value("follower", "SELECT count(*) FROM dead_letter")


async def test_a_record_delivered_twice_or_by_a_stranger_is_applied_once(bench: Bench) -> None:
    maker = await bench.worker("maker")
    follower = await bench.worker("follower", [following(bench.things, GROUP)])
    async with bench.running(maker, follower):
        await bench.write(create=3)
        await bench.followed("follower", GROUP)
        assert maker.relay.leader is not None
        slot, slotted = next((s, x) for s, x in maker.relay.leader.slots.items() if x.state.head > 0)
        again = await maker.relay.leader.ledger.numbered(slotted.stream.id, 1, slotted.state.head)
        producer = AIOKafkaProducer(bootstrap_servers=bench.bootstrap)
        await producer.start()
        for event in again:
            await producer.send_and_wait(slot[0], event.data, key=event.key, headers=event.headers(), partition=slot[1])
            without = [(name, value) for name, value in event.headers() if name != "ce_sequence"]
            await producer.send_and_wait(slot[0], event.data, key=event.key, headers=without, partition=slot[1])
        await producer.stop()
        await bench.write(change=bench.names)
        await bench.followed("follower", GROUP)


async def test_two_followers_share_the_partitions_and_one_takes_over_what_the_other_leaves(bench: Bench) -> None:
    maker = await bench.worker("maker")
    reactions = [following(bench.things, GROUP, per_transaction=3)]
    first = await bench.worker("follower", reactions, takes_all=False)
    second = await bench.worker("follower", reactions, takes_all=False)
    async with bench.running(maker, first):
        await bench.write(create=30)
        async with bench.running(second):

            async def shared() -> bool:
                return bool(first.consumers[0].readers) and bool(second.consumers[0].readers)

            for _ in range(6):
                await bench.write(change=bench.names)
            await until(shared, "both followers have partitions")
            for _ in range(6):
                await bench.write(change=bench.names)
        await bench.write(change=bench.names)
        await bench.followed("follower", GROUP)


async def test_two_followers_that_both_read_everything_apply_it_once(bench: Bench) -> None:
    reactions = [following(bench.things, GROUP, per_transaction=3)]
    workers = [await bench.worker("follower", reactions, takes_all=True) for _ in range(2)]
    async with bench.running(await bench.worker("maker"), *workers):
        await bench.write(create=30)
        for _ in range(6):
            await bench.write(change=bench.names)
        await bench.followed("follower", GROUP)


async def test_a_follower_whose_database_went_back_in_time_gets_everything_since_again(bench: Bench) -> None:
    maker = await bench.worker("maker")
    reactions = [following(bench.things, GROUP)]
    follower = await bench.worker("follower", reactions)
    async with bench.running(maker, follower):
        await bench.write(create=20)
        await bench.followed("follower", GROUP)
        async with (await bench.database("follower")).write(context()) as session:
            # As a backup taken before anything happened would leave it.
            await session.connection.execute("SELECT 1 FROM watermark FOR UPDATE")
            await session.connection.execute("DELETE FROM effect")
            await session.connection.execute("DELETE FROM inbox")
            await session.connection.execute("UPDATE watermark SET number = 0, stream = ''")
        await bench.followed("follower", GROUP, seconds=30)


async def test_a_producer_restored_from_a_dump_starts_a_new_numbering(bench: Bench) -> None:
    """Rule 12: the data says another server than it runs on."""
    reactions = [following(bench.things, GROUP)]
    follower = await bench.worker("follower", reactions)
    async with bench.running(await bench.worker("maker"), follower):
        await bench.write(create=10)
        await bench.followed("follower", GROUP)
    async with (await bench.database("maker")).write(context()) as session:
        await session.connection.execute("UPDATE stream SET server = 'another'")
    async with bench.running(await bench.worker("maker"), await bench.worker("follower", reactions)):
        await bench.write(change=bench.names)
        await bench.followed("follower", GROUP)
    assert await bench.value("maker", "SELECT count(*) FROM stream WHERE NOT current") == 3


# -- guards: with its part replaced, each fault is noticed ----------------------------------------------------------------------


async def _is_noticed(bench: Bench, seconds: float = 8.0) -> bool:
    try:
        await bench.followed("follower", GROUP, seconds=seconds)
    except AssertionError:
        return True
    return False


async def test_guard_without_number_check_and_inbox_a_double_is_applied_twice(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    from crm_events.consumer import store

    async def everything(session: WriteSession, place: object, events: Sequence[Envelope]) -> set[uuid.UUID]:
        return {event.id for event in events}

    def judge(watermark: consumer_rules.Watermark, stream: str, number: int) -> consumer_rules.Outcome:
        return consumer_rules.Outcome.APPLY if number > 0 else consumer_rules.Outcome.FOREIGN

    monkeypatch.setattr(store, "into_inbox", everything)
    monkeypatch.setattr(consumer_rules, "judge", judge)
    with pytest.raises(AssertionError):
        await test_a_record_delivered_twice_or_by_a_stranger_is_applied_once(bench)


async def test_guard_without_resending_a_wipe_loses_events(
    wipeable: tuple[Bench, EmbeddedBroker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_rules, "is_missing", lambda partition, report: False)
    bench, broker = wipeable
    reactions = [following(bench.things, GROUP)]
    async with bench.running(await bench.worker("maker", gate_seconds=0.1)):
        await bench.write(create=10)

        async def sent() -> bool:
            return bool(await bench.value("maker", "SELECT sum(head - next + 1) = 0 AND sum(head) = 10 FROM stream"))

        await until(sent, "everything is acknowledged")
    await _wipe(broker)
    async with bench.running(await bench.worker("maker"), await bench.worker("follower", reactions)):
        await bench.write(create=10)
        assert await _is_noticed(bench)


async def test_guard_without_outbox_order_a_record_is_reversed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of event ids is not the order of facts: two processes' clocks differ."""
    from crm_events.relay import ledger

    by_id = ledger._WAITING.replace("ORDER BY o.position", "ORDER BY j.event_id DESC")
    monkeypatch.setattr(ledger, "_WAITING", by_id)
    await bench.write(create=3)
    for _ in range(3):
        await bench.write(change=bench.names)
    async with bench.running(
        await bench.worker("maker"), await bench.worker("follower", [following(bench.things, GROUP)])
    ):
        assert await _is_noticed(bench, seconds=15.0)

"""A handler that fails: transient failures wait, poison is put aside with what follows it, too much of it stops the group."""

import datetime as dt
import uuid
from collections.abc import Sequence

import asyncpg
import orjson
import pytest
from aiokafka import AIOKafkaConsumer

from crm_contracts import Envelope, control
from crm_database import WriteSession
from crm_events import Reaction, letter_box
from crm_events.consumer import failures
from crm_events.reaction import groups_of
from crm_events.reconcile import reconcile

from .conftest import Bench, context, following, until

GROUP = "follower.things"


class Bad(ValueError):
    """What this reaction can't digest."""


class Picky:
    """A reaction that fails for chosen (thing, version) pairs, by a chosen error."""

    def __init__(self, bench: Bench) -> None:
        self.bad: dict[tuple[uuid.UUID, int], Exception] = {}
        self.calls = 0
        note = following(bench.things, GROUP).handle_batch
        assert note is not None

        async def handle(session: WriteSession, envelope: Envelope) -> None:
            self.calls += 1
            failure = self.bad.get((envelope.subject, envelope.payload["version"]))
            if failure is not None:
                raise failure
            await note(session, [envelope])

        self.reaction = Reaction(GROUP, (bench.things.topic.name,), handle)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


async def _letters(bench: Bench) -> list[letter_box.DeadLetter]:
    return await letter_box.letters(await bench.database("follower"))


async def test_poison_is_put_aside_with_the_later_facts_of_its_record_and_retried_in_order(bench: Bench) -> None:
    picky = Picky(bench)
    maker, follower = await bench.worker("maker"), await bench.worker("follower", [picky.reaction])
    async with bench.running(maker, follower):
        await bench.write(create=5)
        await bench.followed("follower", GROUP)
        ill, well = bench.names[0], bench.names[1:]
        picky.bad[ill, 2] = Bad("can't digest\nSELECT secret")
        for _ in range(3):
            await bench.write(change=bench.names)

        async def others_went_on() -> bool:
            effects = await bench.effects("follower", GROUP)
            return all((name, 4) in effects for name in well) and bool(
                await bench.value("follower", "SELECT count(*) = 2 FROM parked")
            )

        await until(others_went_on, "the other records go on behind a dead letter")
        assert [v for name, v in await bench.effects("follower", GROUP) if name == ill] == [1]
        (letter,) = await _letters(bench)
        assert (letter.key, letter.reason, letter.attempts, letter.parked) == (ill, "Bad: can't digest", 3, 2)
        assert "Traceback" in letter.trace

        databases = {name: await bench.database(name) for name in ("maker", "follower")}
        result = await reconcile(databases, {"follower": groups_of([picky.reaction])})
        assert sorted(f.reason for f in result.findings) == ["dead letter", "parked", "parked"]
        assert result.faults == []

        # Retried too early: it waits again, and nothing of the record overtakes it.
        assert await letter_box.retry(databases["follower"], _now()) == 1

        async def failed_again() -> bool:
            return (await _letters(bench))[0].attempts == 4

        await until(failed_again, "the retry fails")
        picky.bad.clear()
        await bench.write(change=[ill])
        assert await letter_box.retry(databases["follower"], _now(), event_id=letter.event_id) == 1
        await bench.followed("follower", GROUP)
        assert await _letters(bench) == []
        assert await bench.value("follower", "SELECT sum(blocked)::int FROM watermark") == 0
        result = await reconcile(databases, {"follower": groups_of([picky.reaction])})
        assert (result.events, result.applied, result.findings) == (21, {GROUP: 21}, [])


async def test_a_discarded_dead_letter_lets_the_facts_behind_it_go_on(bench: Bench) -> None:
    picky = Picky(bench)
    async with bench.running(await bench.worker("maker"), await bench.worker("follower", [picky.reaction])):
        await bench.write(create=1)
        picky.bad[bench.names[0], 2] = Bad("no")
        for _ in range(3):
            await bench.write(change=bench.names)

        async def aside() -> bool:
            return [letter.parked for letter in await _letters(bench)] == [2]

        await until(aside, "a dead letter with two facts behind it")
        (letter,) = await _letters(bench)
        await letter_box.discard(await bench.database("follower"), _now(), event_id=letter.event_id)

        async def settled() -> bool:
            return await _letters(bench) == []

        await until(settled, "the dead letter is discarded")
        assert await bench.effects("follower", GROUP) == [(bench.names[0], v) for v in (1, 3, 4)]


async def test_dead_letters_are_told_on_their_topic_without_a_number(bench: Bench) -> None:
    picky = Picky(bench)
    async with bench.running(await bench.worker("maker"), await bench.worker("follower", [picky.reaction])):
        await bench.write(create=1)
        picky.bad[bench.names[0], 2] = Bad("no")
        (event,) = await bench.write(change=bench.names)

        async def told() -> bool:
            return bool(await bench.value("follower", "SELECT announced FROM dead_letter"))

        await until(told, "the dead letter is told")
    reader = AIOKafkaConsumer(
        control.DEAD_LETTERS.name, bootstrap_servers=bench.bootstrap, auto_offset_reset="earliest"
    )
    await reader.start()
    try:
        said = [record async for record in _some(reader) if orjson.loads(record.value)["event_id"] == str(event)]
    finally:
        await reader.stop()
    assert [orjson.loads(record.value)["reason"] for record in said] == ["Bad: no"]
    assert "ce_sequence" not in dict(said[0].headers)


async def _some(reader):  # type: ignore[no-untyped-def]
    while got := await reader.getmany(timeout_ms=3000):
        for records in got.values():
            for record in records:
                yield record


async def test_a_transient_failure_is_waited_out_in_place(bench: Bench) -> None:
    picky = Picky(bench)
    async with bench.running(await bench.worker("maker"), await bench.worker("follower", [picky.reaction])):
        await bench.write(create=2)
        await bench.followed("follower", GROUP)
        picky.bad[bench.names[0], 2] = ConnectionResetError("the world's fault")
        before = picky.calls
        await bench.write(change=bench.names)

        async def tried() -> bool:
            return picky.calls > before + failures.POISON_ATTEMPTS + 2

        await until(tried, "more attempts than poison would get")
        assert await _letters(bench) == []
        picky.bad.clear()
        await bench.followed("follower", GROUP)


async def test_a_batch_that_others_stand_in_the_way_of_is_taken_in_smaller_ones(bench: Bench) -> None:
    """Two partitions' batches that take the same rows in another order would deadlock each time anew."""
    sizes: list[int] = []
    note = following(bench.things, GROUP).handle_batch
    assert note is not None

    async def handle(session: WriteSession, envelopes: Sequence[Envelope]) -> None:
        sizes.append(len(envelopes))
        if len(envelopes) > 2:
            raise asyncpg.DeadlockDetectedError("deadlock detected")
        await note(session, envelopes)

    reaction = Reaction(GROUP, (bench.things.topic.name,), handle_batch=handle)
    maker = await bench.worker("maker")
    async with bench.running(maker):
        await bench.write(create=40)
        await until(bench.drained, "everything is acknowledged")
        async with bench.running(await bench.worker("follower", [reaction])):
            await bench.followed("follower", GROUP)
    assert max(sizes) > 2
    assert await _letters(bench) == []


async def test_when_nothing_can_be_applied_the_group_stops_and_says_so(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "DEAD_LETTERS_IN_A_ROW", 3)
    picky = Picky(bench)

    async def never(session: WriteSession, envelope: Envelope) -> None:
        raise Bad("our own fault")

    follower = await bench.worker("follower", [Reaction(GROUP, (bench.things.topic.name,), never)])
    async with bench.running(await bench.worker("maker"), follower):
        await bench.write(create=20)

        async def stopped() -> bool:
            return follower.consumers[0].stopped_because is not None

        await until(stopped, "the group stops")
        assert "is stopped" in (follower.warning() or "")
        assert follower.alive() is None  # Restarting would not help.
        assert len(await _letters(bench)) == 3
    # Somebody repaired the reaction: nothing is lost.
    monkeypatch.undo()
    async with bench.running(await bench.worker("maker"), await bench.worker("follower", [picky.reaction])):
        await letter_box.retry(await bench.database("follower"), _now())
        await bench.followed("follower", GROUP)


async def test_an_event_that_the_broker_never_takes_becomes_a_tombstone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    from crm_events.relay.sender import Sender, Unsendable

    real = Sender.send
    refused: set[uuid.UUID] = set()

    async def send(self: Sender, topic: str, partition: int, envelopes):  # type: ignore[no-untyped-def]
        if any(e.id in refused and not e.tombstone for e in envelopes):
            raise Unsendable("MessageSizeTooLargeError")
        return await real(self, topic, partition, envelopes)

    monkeypatch.setattr(Sender, "send", send)
    reaction = following(bench.things, GROUP)
    async with bench.running(await bench.worker("maker"), await bench.worker("follower", [reaction])):
        ids = await bench.write(create=9)
        await bench.followed("follower", GROUP)
        (bad, *_) = await bench.write(change=bench.names)
        refused.add(bad)
        await bench.write(create=3)

        async def others() -> bool:
            return len(await bench.effects("follower", GROUP)) == len(ids) + len(bench.names) - 1

        await until(others, "everything but the tombstone is applied")
    databases = {name: await bench.database(name) for name in ("maker", "follower")}
    result = await reconcile(databases, {"follower": groups_of([reaction])})
    assert [(f.event_id, f.reason) for f in result.findings] == [(bad, "tombstone")]


async def test_reconcile_finds_an_event_that_is_really_missing(bench: Bench) -> None:
    reaction = following(bench.things, GROUP)
    async with bench.running(await bench.worker("maker"), await bench.worker("follower", [reaction])):
        (event, *_) = await bench.write(create=4)
        await bench.followed("follower", GROUP)
    async with (await bench.database("follower")).write(context()) as session:
        await session.connection.execute("DELETE FROM inbox WHERE event_id = $1", event)
    await bench.write(create=1)
    databases = {name: await bench.database(name) for name in ("maker", "follower")}
    result = await reconcile(databases, {"follower": groups_of([reaction])})
    assert [f.event_id for f in result.faults] == [event]
    assert sorted(f.reason for f in result.findings) == ["missing", "outbox"]

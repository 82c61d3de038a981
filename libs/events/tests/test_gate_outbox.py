"""G2: what concurrent transactions record arrives once and in order, whoever is rolled back and however often the relay dies.

64 people write at once, with pauses inside their transactions; three in ten are rolled back. The relay is killed between sending a batch
and noting it. Then one event can't be digested: its record's later events wait behind it, everybody else's go on. Small here; full size
(`./crm bench faults --gate G2 --full`): 50,000 rows, 200 kills.
"""

import asyncio
import random
import sys
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import asyncpg
import pytest
from tests.faults.gate import FULL, held

from crm_contracts import Envelope
from crm_database import DatabaseUnreachable, WriteSession
from crm_events.relay import ledger
from crm_events.relay.ledger import Ledger, LockLost

from .conftest import Bench, context, following, until
from .test_dead_letters import GROUP, Bad, Picky

ROWS = 50_000 if FULL else 1_500
KILLS = 200 if FULL else 5
PEOPLE = 64
THINGS = 500 if FULL else 60
#: Seconds after which a dead letter holds nobody up but its own record; elsewhere the machine is given more time.
STALL = 30.0 if FULL else 120.0
SECONDS = 1200.0 if FULL else 120.0


@dataclass
class Written:
    """committed, undone: ids of the events of transactions that were, and were rolled back."""

    committed: list[uuid.UUID] = field(default_factory=list)
    undone: list[uuid.UUID] = field(default_factory=list)


class Undone(Exception):
    """Somebody changed their mind in mid-transaction."""


class Deaths:
    """Kills the relay between sending and noting, every third time, `most` times."""

    def __init__(self, patch: pytest.MonkeyPatch, most: int) -> None:
        self.died = 0
        self.most = most
        real, times = Ledger.acknowledge, 0

        async def acknowledge(
            ledger: Ledger, stream: uuid.UUID, first: int, last: int, base: int, longer: int | None
        ) -> int:
            nonlocal times
            times += 1
            if self.died < self.most and times % 3 == 0:
                self.died += 1
                ledger.connection.terminate()
                raise LockLost("killed between sending and noting")
            return await real(ledger, stream, first, last, base, longer)

        patch.setattr(Ledger, "acknowledge", acknowledge)


async def busy(bench: Bench, rows: int) -> Written:
    """PEOPLE change things at once until so many rows are committed."""
    written = Written()
    database = await bench.database("maker")

    async def person(number: int) -> None:
        r = random.Random(number)
        while len(written.committed) < rows:
            some = r.sample(bench.names, k=min(3, len(bench.names)))
            try:
                async with database.write(context()) as session:
                    ids = await bench.record_in(session, change=some)
                    await asyncio.sleep(r.random() * 0.01)
                    if r.random() < 0.3:
                        raise Undone
            except Undone:
                written.undone += ids
            except (asyncpg.LockNotAvailableError, DatabaseUnreachable):
                # On a slow machine a turn may not come within the limits: nothing was done.
                continue
            else:
                written.committed += ids

    async with asyncio.timeout(SECONDS):
        await asyncio.gather(*(person(n) for n in range(PEOPLE)))
    return written


async def judged(bench: Bench, written: Written, seconds: float) -> dict[str, int]:
    """Each committed event was applied once and in the order of its record, and nothing of what was rolled back; what was counted.

    AssertionError.
    """
    await bench.followed("follower", GROUP, seconds=seconds)
    async with (await bench.database("follower")).read() as session:
        rows = await session.connection.fetch("SELECT event_id FROM effect WHERE group_name = $1", GROUP)
    applied = Counter(uuid.UUID(int=row["event_id"].int) for row in rows)
    counted = {
        "skipped": sum(event not in applied for event in written.committed),
        "of_rolled_back": sum(event in applied for event in written.undone),
        "twice": sum(times > 1 for times in applied.values()),
    }
    assert set(counted.values()) == {0}, counted
    return counted


async def poisoned(bench: Bench, picky: Picky) -> float:
    """An event that can't be digested: seconds until everything else that came with it was applied. Its own record waits."""
    ill, well = bench.names[0], bench.names[1:]
    journal = await bench.journal()
    picky.bad[ill, journal[ill] + 1] = Bad("no")
    began = time.monotonic()
    for _ in range(3):
        await bench.write(change=bench.names)

    async def others_went_on() -> bool:
        done = Counter(subject for subject, _ in await bench.effects("follower", GROUP))
        return all(done[name] == journal[name] + 3 for name in well)

    await until(others_went_on, "the other records go on behind a dead letter", STALL)
    stalled = time.monotonic() - began

    async def its_own_wait() -> bool:
        return bool(await bench.value("follower", "SELECT count(*) = 2 FROM parked"))

    await until(its_own_wait, "the record's later events are parked", STALL)
    done = Counter(subject for subject, _ in await bench.effects("follower", GROUP))
    assert done[ill] == journal[ill]
    return stalled


async def test_what_is_recorded_arrives_once_in_order_and_poison_holds_up_its_record_alone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    picky = Picky(bench)
    maker = await bench.worker("maker", gate_seconds=0.1)
    follower = await bench.worker("follower", [picky.reaction])
    deaths = Deaths(monkeypatch, KILLS)
    began = time.monotonic()
    async with bench.running(maker, follower):
        for _ in range(THINGS // 20):
            await bench.write(create=20)
        written = await busy(bench, ROWS)
        # The relay may not have died often enough while it was kept busy.
        async with asyncio.timeout(SECONDS):
            while deaths.died < deaths.most:
                written.committed += await bench.write(change=bench.names[:5])
                await until(bench.drained, "everything is acknowledged", 60.0)
        seconds = time.monotonic() - began
        counted = await judged(bench, written, SECONDS)
        stalled = await poisoned(bench, picky)
    assert written.undone
    held(
        "G2",
        rows=len(written.committed),
        rolled_back=len(written.undone),
        killed_between_sending_and_noting=deaths.died,
        **counted,
        seconds=round(seconds),
        stalled_seconds=round(stalled, 1),
    )


async def _small(bench: Bench) -> Written:
    """A load that any of the guards, once taken out, does not survive: it is written before relay and follower run."""
    await bench.write(create=20)
    return await busy(bench, 200)


async def test_the_gate_notices_events_that_are_not_recorded_in_the_transaction_they_tell_of(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a program that sends before it commits: what is rolled back was told."""
    real, database = bench.record_in, await bench.database("maker")

    async def apart(_: WriteSession, *, create: int = 0, change: Sequence[uuid.UUID] = ()) -> list[uuid.UUID]:
        async with database.write(context()) as another:
            return await real(another, create=create, change=change)

    monkeypatch.setattr(bench, "record_in", apart)
    # Each has two connections of the pool's twenty.
    monkeypatch.setattr(sys.modules[__name__], "PEOPLE", 8)
    written = await _small(bench)
    async with bench.running(
        await bench.worker("maker"), await bench.worker("follower", [following(bench.things, GROUP)])
    ):
        with pytest.raises(AssertionError):
            await judged(bench, written, 60.0)


async def test_the_gate_notices_an_outbox_without_order(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    ordered = ledger._WAITING
    monkeypatch.setattr(ledger, "_WAITING", ordered.replace("ORDER BY o.position", "ORDER BY j.event_id DESC"))
    assert ordered != ledger._WAITING
    written = await _small(bench)
    async with bench.running(
        await bench.worker("maker"), await bench.worker("follower", [following(bench.things, GROUP)])
    ):
        with pytest.raises(AssertionError):
            await judged(bench, written, 15.0)


async def test_the_gate_notices_an_inbox_that_lets_everything_in(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from crm_events.consumer import rules, store

    async def everything(session: WriteSession, place: object, events: Sequence[Envelope]) -> set[uuid.UUID]:
        return {event.id for event in events}

    def judge(watermark: rules.Watermark, stream: str, number: int) -> rules.Outcome:
        return rules.Outcome.APPLY if number > 0 else rules.Outcome.FOREIGN

    monkeypatch.setattr(store, "into_inbox", everything)
    monkeypatch.setattr(rules, "judge", judge)
    Deaths(monkeypatch, 2)
    written = await _small(bench)
    async with bench.running(
        await bench.worker("maker", gate_seconds=0.1),
        await bench.worker("follower", [following(bench.things, GROUP)]),
    ):

        async def sent() -> bool:
            return await bench.drained()

        async def noticed() -> bool:
            try:
                await judged(bench, written, 15.0)
            except AssertionError:
                return True
            # The follower has come to all first copies; the second ones lie behind them.
            return False

        await until(sent, "everything is acknowledged", 60.0)
        await until(noticed, "the second copies are noticed", 30.0)


async def test_the_gate_notices_an_event_that_is_in_no_outbox(bench: Bench) -> None:
    written = await _small(bench)
    async with (await bench.database("maker")).write(context()) as session:
        await session.connection.execute(
            "DELETE FROM outbox WHERE event_id = (SELECT event_id FROM outbox ORDER BY position DESC LIMIT 1)"
        )
    async with bench.running(
        await bench.worker("maker"), await bench.worker("follower", [following(bench.things, GROUP)])
    ):
        with pytest.raises(AssertionError):
            await judged(bench, written, 15.0)

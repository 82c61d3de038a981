"""What a worker says of itself in metrics, with a broker and without, and what `crm status` reads (PL-45)."""

import asyncio
import uuid

import pytest

from crm_events import metrics
from crm_events.figures import Figures, Waiting, figures
from crm_events.observing import Observing
from crm_kernel.ids import new_id
from crm_stack.bus.standing import standing

from .conftest import Bench, context, following, until
from .test_dead_letters import GROUP, Bad, Picky

pytestmark = pytest.mark.requirement("PL-45")


async def figures_of(bench: Bench, service: str) -> Figures:
    async with (await bench.database(service)).read() as session:
        return await figures(session)


async def test_the_age_of_the_outbox_is_that_of_the_oldest_event_never_on_the_bus(bench: Bench) -> None:
    assert await figures_of(bench, "maker") == Figures()
    await bench.write(create=2)
    await bench.write(create=1)
    # As if the first had been recorded ten minutes ago: its id says when.
    first = await bench.value("maker", "SELECT event_id FROM outbox ORDER BY position LIMIT 1")
    old = uuid.UUID(int=first.int - (600_000 << 80))
    async with (await bench.database("maker")).write(context()) as session:
        await session.connection.execute("UPDATE outbox SET event_id = $1 WHERE event_id = $2", old, first)
    found = await figures_of(bench, "maker")
    assert found.backlog == 3
    assert 600 <= found.oldest < 660


async def test_what_is_put_back_counts_as_backlog_but_has_no_age(bench: Bench) -> None:
    """A new group has everything sent again that is years old: nobody has to get up for that."""
    old = uuid.UUID(int=(1_600_000_000_000 << 80) | (7 << 76) | (2 << 62) | 1)
    stream = new_id()
    async with (await bench.database("maker")).write(context()) as session:
        await session.connection.execute(
            "INSERT INTO stream (id, topic, partition, current, head, acknowledged, next, server, started_at)"
            " VALUES ($1, 't', 0, true, 5, 5, 2, 's', now())",
            stream,
        )
        await session.connection.executemany(
            "INSERT INTO publication (stream_id, number, event_id) VALUES ($1, $2, $3)",
            [(stream, n, old) for n in range(1, 7)],
        )
    assert await figures_of(bench, "maker") == Figures(backlog=4)
    async with (await bench.database("maker")).write(context()) as session:
        await session.connection.execute("UPDATE stream SET head = 6")
    found = await figures_of(bench, "maker")
    assert found.backlog == 5
    assert found.oldest > 100_000_000, "number 6 never was on the bus"


async def test_a_worker_says_how_it_stands_and_what_waits_behind_dead_letters(bench: Bench) -> None:
    picky = Picky(bench)
    maker, follower = await bench.worker("maker"), await bench.worker("follower", [picky.reaction])
    said = Observing(follower)
    async with bench.running(maker, follower):
        await bench.write(create=3)
        await bench.followed("follower", GROUP)
        picky.bad[bench.names[0], 2] = Bad("no")
        for _ in range(3):
            await bench.write(change=bench.names)

        async def parked() -> bool:
            await said.looked.look()
            return said.figures is not None and said.figures.waiting == {GROUP: Waiting(1, 1, 2)}

        await until(parked, "one dead letter and two events behind it are told")
        assert list(said.waiting("keys")) == [(1, {"group": GROUP})]
        partitions = [labels["partition"] for _, labels in said.lag()]
        assert sorted(partitions) == [0, 1, 2]

        async def read() -> bool:
            return sum(lag for lag, _ in said.lag()) == 0

        await until(read, "the whole log is read")
        assert list(said.stopped()) == [(0, {"group": GROUP})]

        async def leads() -> bool:
            return metrics.relay_leader.values().get((), 0) >= 1

        await until(leads, "the maker leads")


async def test_the_backlog_is_told_while_the_broker_is_away(bench: Bench) -> None:
    """The gauge was set by the leader once, and without a broker there is none: the alert would have been silent."""
    await bench.write(create=4)
    worker = await bench.worker("maker")
    stop = asyncio.Event()
    observing = Observing(worker)
    running = asyncio.create_task(observing.run(stop))

    async def told() -> bool:
        return observing.figures is not None

    try:
        await until(told, "the figures are read")
        assert metrics.relay_backlog.values()[()] >= 4
        assert metrics.relay_oldest.values()[()] > 0
        assert worker.relay.leader is None
    finally:
        stop.set()
        await running


async def test_a_database_that_is_away_leaves_no_old_figure(bench: Bench) -> None:
    await bench.write(create=1)
    worker = await bench.worker("maker", [following(bench.things, "maker.things")])
    observing = Observing(worker)
    await observing.looked.look()
    assert observing.figures is not None
    await worker.database.close()
    bench.databases.clear()

    class Away:
        def read(self) -> object:
            raise ConnectionRefusedError

    observing.looked.database = Away()  # type: ignore[assignment]
    await observing.looked.look()
    assert observing.figures is None
    assert list(observing.waiting("letters")) == []


@pytest.mark.requirement("PL-45")
async def test_what_status_says_of_the_events_is_what_the_databases_hold(bench: Bench) -> None:
    """As `./crm status` asks: by addresses, of every service, and quietly when one is away."""
    follower, maker = await bench.database("follower"), await bench.database("maker")
    assert follower is not maker
    await bench.write(create=3)
    told = await standing(bench.dsns)
    assert told is not None
    assert (told.backlog, told.behind, told.dead_letters, told.parked_keys) == (3, 0, 0, 0)
    assert told.oldest >= 0
    away = {**bench.dsns, "sales": bench.dsns["maker"].rpartition("/")[0] + "/nobody"}
    assert await standing(away) is None

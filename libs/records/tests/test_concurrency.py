"""Requests at the same time over the same record."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from .conftest import Answered, World


async def until_waiting(world: World, count: int) -> None:
    """Wait until so many sessions wait for a row lock; fail after 5 s."""
    waiting = (
        "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with asyncio.timeout(5):
        while True:
            found = await world.rows(waiting)
            if found[0]["n"] >= count:
                return
            await asyncio.sleep(0.01)


async def together(world: World, record_id: str, *requests: Callable[[], Awaitable[Answered]]) -> list[Answered]:
    """Send requests while the record is locked by somebody else, so that all have begun before one goes on."""
    blocker = await world.database.pool.acquire()
    try:
        await blocker.execute("BEGIN READ WRITE")
        await blocker.execute("SELECT FROM voyage WHERE id = $1 FOR UPDATE", record_id)
        tasks = []
        for number, request in enumerate(requests, start=1):
            tasks.append(asyncio.ensure_future(request()))
            await until_waiting(world, number)
        await blocker.execute("ROLLBACK")
        return list(await asyncio.gather(*tasks))
    finally:
        await blocker.execute("ROLLBACK")
        await world.database.pool.release(blocker)


async def versions(world: World) -> list[tuple[int, str]]:
    rows = await world.rows("SELECT version, type FROM journal ORDER BY version")
    return [(row["version"], row["type"].split(".")[3]) for row in rows]


@pytest.mark.requirement("PL-7")
async def test_of_two_changes_of_the_same_version_one_wins(world: World) -> None:
    rep = world.caller(world.crew[0])
    made = await rep.create("One")
    path = f"/voyages/{made['id']}"

    def patch(**body: Any) -> Callable[[], Awaitable[Answered]]:
        return lambda: rep("PATCH", path, match='"1"', json=body)

    answers = await together(world, made["id"], patch(crew=1), patch(crew=2))
    assert sorted(answer.status for answer in answers) == [200, 412]
    assert [answer["version"] for answer in answers] == [2, 2]
    assert await versions(world) == [(1, "created"), (2, "changed")]


@pytest.mark.requirement("PL-7")
async def test_without_a_condition_both_changes_count_and_are_in_the_history(world: World) -> None:
    rep = world.caller(world.crew[0])
    made = await rep.create("One")
    path = f"/voyages/{made['id']}"
    answers = await together(
        world,
        made["id"],
        lambda: rep("PATCH", path, json={"crew": 1}),
        lambda: rep("PATCH", path, json={"name": "Two"}),
    )
    assert [answer.status for answer in answers] == [200, 200]
    now = await rep("GET", path)
    assert (now["crew"], now["name"], now["version"]) == (1, "Two", 3)
    assert await versions(world) == [(1, "created"), (2, "changed"), (3, "changed")]


@pytest.mark.requirement("PL-30")
async def test_who_lost_the_record_while_waiting_changes_nothing(world: World) -> None:
    rep, captain = world.caller(world.crew[0]), world.caller(world.captain, "subordinates")
    made = await rep.create("One")
    path = f"/voyages/{made['id']}"
    moved, late = await together(
        world,
        made["id"],
        lambda: captain("POST", f"{path}/transfer", json={"to_user_id": str(world.crew[1])}),
        lambda: rep("PATCH", path, json={"crew": 1}),
    )
    assert (moved.status, late.status) == (200, 404)
    assert (await captain("GET", path))["crew"] is None


@pytest.mark.requirement("PL-21", "PL-30")
async def test_who_lost_the_membership_while_waiting_changes_nothing(world: World) -> None:
    """The lock's own statement still sees the membership: it began before."""
    rep, friend = world.caller(world.crew[0]), world.caller(world.crew[21])
    made = await rep.create("One")
    path = f"/voyages/{made['id']}"
    member = f"{path}/members/{world.crew[21]}"
    await rep("PUT", member, json={"right": "write"})
    taken, late = await together(
        world, made["id"], lambda: rep("DELETE", member), lambda: friend("PATCH", path, json={"crew": 1})
    )
    assert (taken.status, late.status) == (200, 404)


async def test_a_membership_given_while_a_change_waits_is_in_its_event(world: World) -> None:
    rep = world.caller(world.crew[0])
    made = await rep.create("One")
    path = f"/voyages/{made['id']}"
    await together(
        world,
        made["id"],
        lambda: rep("PUT", f"{path}/members/{world.crew[21]}", json={"right": "read"}),
        lambda: rep("PATCH", path, json={"crew": 1}),
    )
    rows = await world.rows("SELECT data->'access'->'members' AS members FROM journal ORDER BY version")
    assert [len(row["members"]) for row in rows] == [0, 1, 1]


@pytest.mark.requirement("PL-20")
async def test_a_record_is_restored_once_and_deleted_once(world: World) -> None:
    rep = world.caller(world.crew[0])
    made = await rep.create("One")
    path = f"/voyages/{made['id']}"
    deleted = await together(world, made["id"], lambda: rep("DELETE", path), lambda: rep("DELETE", path))
    assert sorted(answer.status for answer in deleted) == [200, 404]
    restored = await together(
        world, made["id"], lambda: rep("POST", f"{path}/restore"), lambda: rep("POST", f"{path}/restore")
    )
    assert sorted(answer.status for answer in restored) == [200, 409]
    assert await versions(world) == [(1, "created"), (2, "deleted"), (3, "restored")]


async def test_batches_over_the_same_records_in_opposite_order_both_succeed(world: World) -> None:
    rep = world.caller(world.crew[0])
    ids = [(await rep.create(f"Voyage {index}"))["id"] for index in range(20)]

    async def batch(crew: int, order: list[str]) -> Answered:
        rows = [{"id": record_id, "crew": crew} for record_id in order]
        return await rep("POST", "/voyages/batch", json={"mode": "change", "rows": rows})

    for _ in range(5):
        answers = await asyncio.gather(*(batch(crew, ids if crew % 2 else ids[::-1]) for crew in range(1, 7)))
        assert [(answer.status, answer["failed"]) for answer in answers] == [(200, 0)] * 6
    crews = {row["crew"] for row in await world.rows("SELECT crew FROM voyage")}
    assert len(crews) == 1

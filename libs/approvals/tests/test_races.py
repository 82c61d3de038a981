"""Decisions at the same time over the same approval."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from .conftest import Answered, Submitted, World


async def until_waiting(world: World, count: int) -> None:
    """Wait until so many sessions wait for a row lock; fail after 5 s."""
    waiting = (
        "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with asyncio.timeout(5):
        while True:
            if (await world.rows(waiting))[0]["n"] >= count:
                return
            await asyncio.sleep(0.01)


async def together(world: World, given: Submitted, *requests: Callable[[], Awaitable[Answered]]) -> list[Answered]:
    """Send requests while the approval is locked by somebody else, so that all have begun before one goes on."""
    blocker = await world.database.pool.acquire()
    try:
        await blocker.execute("BEGIN READ WRITE")
        await blocker.execute("SELECT FROM approval WHERE id = $1 FOR UPDATE", given.id)
        tasks = []
        for number, request in enumerate(requests, start=1):
            tasks.append(asyncio.ensure_future(request()))
            await until_waiting(world, number)
        await blocker.execute("ROLLBACK")
        return list(await asyncio.gather(*tasks))
    finally:
        await blocker.execute("ROLLBACK")
        await world.database.pool.release(blocker)


@pytest.mark.requirement("BI-14")
async def test_of_two_decisions_at_once_one_counts(world: World) -> None:
    given = await world.caller(world.orphan).submits()
    boss, deputy = world.caller(world.boss), world.caller(world.deputy)
    first, second = await together(
        world, given, lambda: boss.decides(given, "approve"), lambda: deputy.decides(given, "reject", "No")
    )
    assert (first.status, first["status"]) == (200, "approved")
    assert second.outcome == (409, "approval.decided")
    assert await world.facts() == [(1, "submitted"), (2, "approved")]
    decided = await world.rows("SELECT decided_by FROM approval_step")
    assert [row["decided_by"] for row in decided] == [world.boss]
    assert (await world.caller(world.orphan)("GET", f"/memos/{given.memo_id}"))["status"] == "in_force"


@pytest.mark.requirement("BI-14")
@pytest.mark.parametrize("by", ["approval", "record"])
async def test_of_a_decision_and_a_withdrawal_at_once_one_counts(world: World, by: str) -> None:
    given = await world.caller(world.rep).submits()
    rep, manager = world.caller(world.rep), world.caller(world.manager)
    path = f"{given.path}/withdraw" if by == "approval" else f"/memos/{given.memo_id}/withdraw"
    decided, withdrawn = await together(
        world, given, lambda: manager.decides(given, "approve"), lambda: rep("POST", path)
    )
    assert (decided.status, withdrawn.outcome) == (200, (409, "approval.decided"))
    assert await world.facts() == [(1, "submitted"), (2, "approved")]


async def test_many_decisions_at_once_leave_one(world: World) -> None:
    given = await world.caller(world.orphan).submits()
    callers = [world.caller(user) for user in (world.boss, world.deputy)] * 4
    answers = await asyncio.gather(*(caller.decides(given, "reject", "No") for caller in callers))
    assert sorted(answer.status for answer in answers) == [200] + [409] * 7
    assert await world.facts() == [(1, "submitted"), (2, "rejected")]


async def test_of_two_submissions_at_once_one_counts(world: World) -> None:
    rep = world.caller(world.rep)
    made = await rep("POST", "/memos", json={"name": "Twice"})
    path = f"/memos/{made['id']}/submit"
    answers = await asyncio.gather(*(rep("POST", path) for _ in range(4)))
    assert sorted(answer.status for answer in answers) == [200] + [409] * 3
    assert {answer["code"] for answer in answers if answer.status == 409} == {"approval.pending"}
    assert await world.facts() == [(1, "submitted")]

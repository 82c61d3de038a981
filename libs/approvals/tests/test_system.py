"""Approvals that the product itself submits for somebody, and what it may not do."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from crm_approvals import ApprovalPending, decide, submit, submit_all, withdraw
from crm_database import WriteContext
from crm_records import Record, SystemUnit, lock_one, lock_records

from .conftest import NOW, World
from .office import MEMO, MEMO_SUBJECT


@asynccontextmanager
async def acting(world: World, actor: uuid.UUID | None = None) -> AsyncIterator[SystemUnit]:
    kind = "system" if actor is None else "user"
    async with world.database.write(WriteContext(now=NOW, actor_kind=kind, actor_id=actor)) as session:
        yield await SystemUnit.within(session, "a rule of the test")


async def a_memo(world: World, unit: SystemUnit) -> Record:
    rows = await world.rows("SELECT id FROM memo")
    return await lock_one(unit, MEMO, rows[0]["id"], "write")


async def test_the_product_submits_for_somebody_who_then_does_not_decide(world: World) -> None:
    rep = world.caller(world.rep)
    await rep("POST", "/memos", json={"name": "By a rule"})
    async with acting(world) as unit:
        made = await submit(unit, MEMO_SUBJECT, await a_memo(world, unit), submitted_by=world.rep)
    seen = await rep("GET", f"/approvals/{made.id}")
    assert (seen["submitted_by"], seen["steps"][0]["approvers"]) == (str(world.rep), [str(world.manager)])
    assert seen["snapshot_digest"] == made.snapshot_digest
    assert (await rep("POST", f"/approvals/{made.id}/approve", json={})).outcome == (403, "approval.own")


async def test_without_a_user_nothing_is_submitted_decided_or_withdrawn(world: World) -> None:
    given = await world.caller(world.rep).submits()
    approval_id = uuid.UUID(given.id)
    with pytest.raises(RuntimeError, match="by users"):
        async with acting(world) as unit:
            await submit(unit, MEMO_SUBJECT, await a_memo(world, unit))
    with pytest.raises(RuntimeError, match="by users"):
        async with acting(world) as unit:
            await decide(unit, [MEMO_SUBJECT], approval_id, "approve")
    with pytest.raises(RuntimeError, match="by users"):
        async with acting(world) as unit:
            await withdraw(unit, [MEMO_SUBJECT], approval_id)
    assert await world.facts() == [(1, "submitted")]


async def test_a_subject_that_nobody_registered_is_not_decided_on(world: World) -> None:
    given = await world.caller(world.rep).submits()
    with pytest.raises(RuntimeError, match=r"office\.memo"):
        async with acting(world, world.manager) as unit:
            await decide(unit, [], uuid.UUID(given.id), "approve")
    assert await world.facts() == [(1, "submitted")]


async def statements_for(world: World, ids: Sequence[uuid.UUID]) -> int:
    """How many statements it takes to submit these."""
    said: list[str] = []
    async with acting(world, world.rep) as unit:
        found = list((await lock_records(unit, MEMO, ids)).values())
        with unit.session.connection.query_logger(lambda logged: said.append(logged.query)):
            made = await submit_all(unit, MEMO_SUBJECT, found)
            assert await submit_all(unit, MEMO_SUBJECT, []) == []
            await asyncio.sleep(0)  # The driver's logger hears of a statement one turn later.
        assert [one.subject_id for one in made] == [one.id for one in found]
    return len(said)


@pytest.mark.requirement("PL-9")
async def test_many_records_are_submitted_with_as_many_statements_as_one(world: World) -> None:
    rep = world.caller(world.rep)
    for number in range(12):
        await rep("POST", "/memos", json={"name": f"M{number}", "sum": number})
    ids = [row["id"] for row in await world.rows("SELECT id FROM memo ORDER BY name")]
    assert await statements_for(world, ids[:1]) == await statements_for(world, ids[1:]) == 4
    assert len(await world.caller(world.manager).listed("to_decide")) == 12
    with pytest.raises(ApprovalPending):
        await statements_for(world, ids)

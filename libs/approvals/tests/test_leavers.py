"""Somebody leaves while an approval waits: who may act is settled when it is acted."""

import pytest

from .conftest import World


@pytest.mark.requirement("BI-14", "BI-16")
async def test_what_waits_for_who_has_left_waits_for_the_administrators(world: World) -> None:
    given = await world.caller(world.rep).submits("Chairs")
    boss, deputy = world.caller(world.boss), world.caller(world.deputy)
    assert await boss.may(given) == await deputy.may(given) == (False, False)
    await world.leaves(world.manager)
    assert await boss.may(given) == await deputy.may(given) == (True, True)
    # The leaver's superior has no part in it, nor has who submitted it become somebody who decides.
    assert await world.caller(world.director).may(given) == (False, False)
    assert (await world.caller(world.rep).decides(given, "approve")).outcome == (403, "approval.own")
    assert await world.caller(world.rep).may(given) == (True, False)
    done = await boss.decides(given, "approve")
    assert (done.status, done["steps"][0]["decided_by"]) == (200, str(world.boss))
    assert done["steps"][0]["approvers"] == [str(world.manager)]
    assert (await world.caller(world.rep)("GET", f"/memos/{given.memo_id}"))["status"] == "in_force"
    assert (await deputy.decides(given, "approve")).outcome == (409, "approval.decided")
    assert await boss.listed("decided") == ["Chairs"]
    assert await deputy.listed("to_decide") == []
    # The event names who decided among those who see it.
    (event,) = await world.rows("SELECT data FROM journal WHERE type LIKE 'crm.office.approval.approved%'")
    members = {member["user_id"] for member in event["data"]["access"]["members"]}
    assert members == {str(world.manager), str(world.boss)}


@pytest.mark.requirement("BI-14", "BI-16")
async def test_who_comes_back_acts_again_and_the_administrators_no_more(world: World) -> None:
    given = await world.caller(world.rep).submits()
    boss, manager = world.caller(world.boss), world.caller(world.manager)
    await world.tell(world.manager, status="on_leave")
    assert await boss.may(given) == (True, True)
    await world.tell(world.manager, status="active")
    assert await boss.may(given) == (False, False)
    assert (await boss.decides(given, "approve")).outcome == (404, "record.not_found")
    assert await manager.may(given) == (True, True)
    assert (await manager.decides(given, "approve")).status == 200


@pytest.mark.requirement("BI-14")
async def test_an_administrator_inherits_neither_what_they_submitted_nor_what_another_still_decides(
    world: World,
) -> None:
    own = await world.caller(world.boss).submits("The boss's")
    both = await world.caller(world.orphan).submits("Either")
    await world.leaves(world.deputy)
    boss = world.caller(world.boss)
    # Its only approver has left, and no other administrator is there: whose own it is still doesn't decide, but withdraws.
    assert await boss.may(own) == (True, False)
    assert (await boss.decides(own, "approve")).outcome == (403, "approval.own")
    assert await boss.may(both) == (True, True)
    assert (await boss("POST", f"{own.path}/withdraw")).status == 200
    # One of two approvers has left: the other decides, and a third administrator has no part in it.
    await world.tell(world.director, super_admin=True)
    assert await world.caller(world.director).may(both) == (False, False)


@pytest.mark.requirement("BI-14")
@pytest.mark.parametrize("by", ["approval", "record"])
async def test_an_administrator_takes_back_what_somebody_who_has_left_submitted(world: World, by: str) -> None:
    given = await world.caller(world.rep).submits()
    path = f"{given.path}/withdraw" if by == "approval" else f"/memos/{given.memo_id}/withdraw"
    boss, manager = world.caller(world.boss), world.caller(world.manager)
    refused = await boss("POST", path)
    assert refused.outcome == ((404, "record.not_found") if by == "approval" else (403, "approval.not_submitter"))
    await world.leaves(world.rep)
    # To see it is not to decide it: its approver is there.
    assert await boss.may(given) == (True, False)
    assert (await boss.decides(given, "approve")).outcome == (403, "approval.not_approver")
    assert (await manager("POST", path)).outcome == (403, "approval.not_submitter")
    done = await boss("POST", path)
    assert (done.status, done["status"]) == (200, "withdrawn")
    (memo,) = await world.rows("SELECT status FROM memo")
    assert memo["status"] == "draft"
    assert await world.facts() == [(1, "submitted"), (2, "withdrawn")]


@pytest.mark.requirement("BI-14")
async def test_when_both_have_left_the_administrators_may_do_either(world: World) -> None:
    first, second = [await world.caller(world.rep).submits(name) for name in ("First", "Second")]
    await world.leaves(world.rep, world.manager)
    boss = world.caller(world.boss)
    assert await boss.listed("to_decide", limit=1) == ["First", "Second"]
    assert (await boss.decides(first, "reject", "Nobody is there")).status == 200
    assert (await boss("POST", f"{second.path}/withdraw")).status == 200

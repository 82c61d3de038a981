"""My approvals (BI-16): to decide, decided, submitted; by cursors."""

import datetime as dt

import pytest

from .conftest import World


@pytest.mark.requirement("BI-16", "PL-4")
@pytest.mark.parametrize("limit", [1, 2, 200])
async def test_everybody_sees_their_own_lists_page_by_page(world: World, limit: int) -> None:
    rep, colleague, manager = (world.caller(user) for user in (world.rep, world.colleague, world.manager))
    given = {}
    for number, caller in enumerate((rep, colleague, rep, rep, colleague)):
        given[number] = await caller.submits(f"M{number}")
        # Some at the same instant: then the id decides.
        world.clock.advance(dt.timedelta(seconds=number // 2))
    assert await manager.listed("to_decide", limit=limit) == ["M0", "M1", "M2", "M3", "M4"]
    assert await manager.listed("submitted", limit=limit) == await manager.listed("decided", limit=limit) == []
    assert await rep.listed("submitted", limit=limit) == ["M3", "M2", "M0"]
    assert await rep.listed("to_decide", limit=limit) == []
    await manager.decides(given[1], "approve")
    await manager.decides(given[2], "reject", "No")
    await rep("POST", f"{given[3].path}/withdraw")
    assert await manager.listed("to_decide", limit=limit) == ["M0", "M4"]
    assert await manager.listed("decided", limit=limit) == ["M2", "M1"]
    assert await rep.listed("submitted", limit=limit) == ["M3", "M2", "M0"]
    assert await colleague.listed("submitted", limit=limit) == ["M4", "M1"]


async def test_of_several_who_could_decide_only_who_did_finds_it_among_the_decided(world: World) -> None:
    given = await world.caller(world.orphan).submits("Either")
    boss, deputy = world.caller(world.boss), world.caller(world.deputy)
    assert await boss.listed("to_decide") == await deputy.listed("to_decide") == ["Either"]
    await boss.decides(given, "approve")
    assert await boss.listed("to_decide") == await deputy.listed("to_decide") == []
    assert (await boss.listed("decided"), await deputy.listed("decided")) == (["Either"], [])
    # Who could have decided sees what became of it.
    assert (await deputy("GET", given.path))["status"] == "approved"


async def test_a_later_step_waits_for_its_own_approvers_only(world: World) -> None:
    """What the tables are made for: the second step's approver has nothing to decide yet, but sees it."""
    given = await world.caller(world.rep).submits("Two steps")
    await world.change(
        "INSERT INTO approval_step (approval_id, step, part, approvers) VALUES ($1, 2, 1, $2)",
        given.id,
        [world.director],
    )
    director, manager = world.caller(world.director), world.caller(world.manager)
    assert await director.listed("to_decide") == []
    assert (await director("GET", given.path)).status == 200
    assert (await director.decides(given, "approve")).outcome == (403, "approval.not_approver")
    assert await manager.listed("to_decide") == ["Two steps"]


@pytest.mark.requirement("PL-4")
async def test_a_cursor_is_good_for_its_list_and_its_caller_only(world: World) -> None:
    rep, manager = world.caller(world.rep), world.caller(world.manager)
    for name in "ABC":
        await rep.submits(name)
    page = await rep("GET", "/approvals", params={"role": "submitted", "limit": 1})
    assert page["next"]
    for caller, role in ((manager, "submitted"), (rep, "decided"), (rep, "to_decide")):
        answer = await caller("GET", "/approvals", params={"role": role, "cursor": page["next"]})
        assert answer.outcome == (422, "cursor.invalid")
    for cursor in ("", "x", page["next"][:-2]):
        answer = await rep("GET", "/approvals", params={"role": "submitted", "cursor": cursor})
        assert answer.outcome == (422, "cursor.invalid")


@pytest.mark.parametrize(
    "params", [{}, {"role": "all"}, {"role": "decided", "limit": 0}, {"role": "decided", "limit": 201}]
)
async def test_a_list_is_asked_for_properly(world: World, params: dict[str, object]) -> None:
    answer = await world.caller(world.rep)("GET", "/approvals", params=params)
    assert (answer.status, answer["code"]) == (422, "request.invalid")


async def test_a_list_does_not_carry_what_was_submitted(world: World) -> None:
    await world.caller(world.rep).submits("Chairs", sum=4321)
    answer = await world.caller(world.manager)("GET", "/approvals", params={"role": "to_decide"})
    assert answer["items"][0]["title"] == "Chairs"
    assert "4321" not in str(answer.body)

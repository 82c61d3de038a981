"""Opportunities go through their stages (SA-3)."""

import datetime as dt
import uuid
from pathlib import Path
from typing import Any

import pytest
from services.sales.tests.conftest import Stages, make_opportunity, usd

from crm_contracts.sales import OpportunityStageChanged
from crm_events.archive import keep_in
from crm_testing.archived import LONG_AGO, at_the_archive, recorded_long_ago
from crm_testing.service import Caller, Running

DAY = dt.timedelta(days=1)


async def go(caller: Caller, opportunity: Any, stage: str, **more: Any) -> Any:
    return await caller("POST", f"/opportunities/{opportunity['id']}/advance", json={"stage_id": stage, **more})


@pytest.mark.requirement("SA-3")
async def test_forward_and_back_with_history(sales: Running, rep: Caller, stages: Stages) -> None:
    people = sales.people
    made = await make_opportunity(rep, value=usd("100"))
    sales.clock.advance(DAY)
    manager, rep = sales.caller(people.manager), sales.caller(people.rep)
    moved = await go(rep, made, stages["Proposal"])
    assert (moved["stage_id"], moved["probability"], moved["weighted_value"]) == (stages["Proposal"], 60, usd("60.00"))
    assert moved.headers["etag"] == '"2"'
    sales.clock.advance(2 * DAY)
    manager, rep = sales.caller(people.manager), sales.caller(people.rep)
    back = await go(manager, made, stages["Engaging"])
    assert (back["stage_id"], back["probability"]) == (stages["Engaging"], 40)
    sales.clock.advance(DAY)
    rep = sales.caller(people.rep)
    history = (await rep.done("GET", f"/opportunities/{made['id']}/stages"))["items"]
    assert [
        (item["stage"], item["regression"], item["dwell_seconds"], item["by"]["id"], item["expected_days"])
        for item in history
    ] == [
        ("Prospecting", False, 86400, str(people.rep.id), 14),
        ("Proposal", False, 2 * 86400, str(people.rep.id), 30),
        ("Engaging", True, 86400, str(people.manager.id), 60),
    ]
    assert [item["left_at"] for item in history] == [history[1]["entered_at"], history[2]["entered_at"], None]
    assert [item["from_stage_id"] for item in history] == [None, stages["Prospecting"], stages["Proposal"]]
    events = await sales.events("%stage-changed%", made["id"])
    told = [OpportunityStageChanged.model_validate(event["data"]) for event in events]
    assert [(event.dwell_seconds, event.regression) for event in told] == [(86400, False), (2 * 86400, True)]
    assert [str(event.to_stage_id) for event in told] == [stages["Proposal"], stages["Engaging"]]


@pytest.mark.requirement("SA-3", "PL-23")
async def test_the_history_of_stages_is_the_same_when_most_of_it_is_archived(
    sales: Running, rep: Caller, stages: Stages, tmp_path: Path
) -> None:
    made = await make_opportunity(rep, value=usd("100"))
    path = f"/opportunities/{made['id']}/stages"
    for stage in ("Proposal", "Engaging", "Proposal"):
        sales.clock.advance(DAY)
        rep = sales.caller(sales.people.rep)
        assert (await go(rep, made, stages[stage])).status == 200
    before = (await rep.done("GET", path))["items"]
    assert [item["stage"] for item in before] == ["Prospecting", "Proposal", "Engaging", "Proposal"]
    assert await recorded_long_ago(sales.dsn, uuid.UUID(made["id"]), until=3) == 3
    async with at_the_archive(sales.dsn, "sales", tmp_path) as (archiver, storage):
        assert await archiver.archive(LONG_AGO, sales.clock.now()) == 3
    refused = await sales.client.get(
        f"/api/sales/v1{path}", headers={"authorization": f"Bearer {sales.token(sales.people.rep)}"}
    )
    assert (refused.status_code, refused.json()["code"]) == (503, "archive.unreachable")
    keep_in(sales.database, storage)
    assert (await rep.done("GET", path))["items"] == before


@pytest.mark.requirement("SA-3")
async def test_to_the_stage_it_is_in_nothing_happens(sales: Running, rep: Caller, stages: Stages) -> None:
    made = await make_opportunity(rep)
    before = await sales.position()
    same = await go(rep, made, stages["Prospecting"])
    assert (same.status, same["version"]) == (200, 1)
    assert await sales.position() == before


@pytest.mark.requirement("SA-1", "SA-3")
async def test_the_pipeline_says_which_way_one_may_go(
    sales: Running, admin: Caller, rep: Caller, stages: Stages
) -> None:
    body = {
        "name": "Strict",
        "stages": [
            {"name": "A", "probability": 1, "allowed": ["B"]},
            {"name": "B", "probability": 2, "allowed": []},
            {"name": "C", "probability": 3},
        ],
    }
    pipeline = await admin.done("POST", "/pipelines", json=body)
    a, b, c = (stage["id"] for stage in pipeline["stages"])
    made = await make_opportunity(rep, pipeline_id=pipeline["id"])
    assert (await go(rep, made, c))["code"] == "pipeline.jump_not_allowed"
    elsewhere = await go(rep, made, stages["Engaging"])
    assert (elsewhere.status, elsewhere.codes) == (422, [("/stage_id", "pipeline.stage_unknown")])
    assert (await go(rep, made, b)).status == 200
    assert (await go(rep, made, a))["code"] == "pipeline.jump_not_allowed"
    kept = [{k: v for k, v in stage.items() if k != "position"} for stage in pipeline["stages"]]
    kept[2]["retired"] = True
    await admin.done("PUT", f"/pipelines/{pipeline['id']}/stages", json={"stages": kept})
    assert (await rep("POST", "/opportunities", json={"name": "X", "stage_id": c}))["code"] == "pipeline.stage_retired"
    assert (await go(rep, await make_opportunity(rep, pipeline_id=pipeline["id"]), c))[
        "code"
    ] == "pipeline.stage_retired"
    assert len(await sales.events("%stage-changed%")) == 1


@pytest.mark.requirement("SA-3", "PL-20")
async def test_a_step_can_be_dated_by_who_may_backdate(
    sales: Running, rep: Caller, manager: Caller, stages: Stages
) -> None:
    made = await make_opportunity(manager, occurred_at="2026-11-01T00:00:00Z")
    when = "2026-11-03T00:00:00Z"
    theirs = await make_opportunity(rep)
    assert (await go(rep, theirs, stages["Engaging"], occurred_at=when)).status == 403
    moved = await go(manager, made, stages["Engaging"], occurred_at=when)
    assert moved["stage_entered_at"] == when
    (event,) = await sales.events("%stage-changed%")
    assert (event["data"]["occurred_at"], event["data"]["dwell_seconds"]) == (when, 2 * 86400)
    future = await go(manager, made, stages["Proposal"], occurred_at="2027-01-01T00:00:00Z")
    assert (future.status, future.codes) == (422, [("/occurred_at", "record.occurred_in_future")])


@pytest.mark.requirement("SA-4")
async def test_only_an_open_one_goes_on(rep: Caller, stages: Stages) -> None:
    for action, body in (("win", {}), ("lose", {"reason": "price"}), ("hold", {"reason": "budget"})):
        made = await make_opportunity(rep)
        await rep.done("POST", f"/opportunities/{made['id']}/{action}", json=body)
        refused = await go(rep, made, stages["Engaging"])
        assert (refused.status, refused["code"]) == (409, "opportunity.not_open")


async def test_a_stale_step_is_refused(rep: Caller, stages: Stages) -> None:
    made = await make_opportunity(rep)
    await rep.done("PATCH", f"/opportunities/{made['id']}", json={"name": "Renamed"})
    path = f"/opportunities/{made['id']}/advance"
    answer = await rep("POST", path, json={"stage_id": stages["Engaging"]}, match='"1"')
    assert (answer.status, answer["version"]) == (412, 2)


async def test_members_with_the_right_to_write_advance(sales: Running, rep: Caller, stages: Stages) -> None:
    made = await make_opportunity(rep)
    colleague = sales.caller(sales.people.colleague)
    member = f"/opportunities/{made['id']}/members/{sales.people.colleague.id}"
    await rep.done("PUT", member, json={"right": "read"})
    refused = await go(colleague, made, stages["Engaging"])
    assert (refused.status, refused["code"]) == (403, "scope.record")
    await rep.done("PUT", member, json={"right": "write"})
    assert (await go(colleague, made, stages["Engaging"])).status == 200
    (event,) = await sales.events("%stage-changed%")
    assert event["data"]["access"]["members"][0]["user_id"] == str(sales.people.colleague.id)
    assert event["data"]["credit"]["user_id"] == str(sales.people.rep.id)


@pytest.mark.requirement("PL-9", "SA-3")
async def test_many_steps_at_once(sales: Running, rep: Caller, stages: Stages) -> None:
    made = [await make_opportunity(rep, f"No {n}", external_ref={"system": "demo", "id": str(n)}) for n in range(3)]
    theirs = await make_opportunity(sales.caller(sales.people.stranger))
    rows = [
        {"id": made[0]["id"], "stage_id": stages["Engaging"]},
        {"external_ref": {"system": "demo", "id": "1"}, "stage_id": stages["Prospecting"]},
        {"id": made[2]["id"], "stage_id": str(uuid.uuid4())},
        {"id": theirs["id"], "stage_id": stages["Engaging"]},
        {"external_ref": {"system": "demo", "id": "0"}, "stage_id": stages["Proposal"]},
        {"stage_id": stages["Engaging"]},
        {"id": made[1]["id"], "external_ref": {"system": "demo", "id": "1"}, "stage_id": stages["Engaging"]},
        "no row",
    ]
    answer = await rep.done("POST", "/opportunities/advance", json={"rows": rows})
    assert [row.get("done") or row["code"] for row in answer["rows"]] == [
        "changed",
        "unchanged",
        "pipeline.stage_unknown",
        "record.not_found",
        "record.repeated",
        "request.invalid",
        "request.invalid",
        "request.invalid",
    ]
    assert answer["rows"][2]["errors"][0]["pointer"] == "/rows/2/stage_id"
    assert (answer["ok"], answer["failed"]) == (2, 6)
    (event,) = await sales.events("%stage-changed%")
    assert str(event["subject"]) == made[0]["id"]

"""Pipelines over HTTP (SA-1)."""

import asyncio
import uuid
from typing import Any

import pytest
from services.sales.tests.conftest import Stages, default_stages, make_opportunity

from crm_database import WriteContext
from crm_sales.pipeline import store
from crm_testing.service import Caller, Running

TWO = [{"name": "Prospecting", "probability": 10}, {"name": "Engaging", "probability": 40}]


def kept(stage: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A stage as it was read, to be sent back: its place is its place in the list."""
    return {name: value for name, value in {**stage, **changes}.items() if name != "position"}


async def make(admin: Caller, name: str = "Partners", **more: Any) -> Any:
    return await admin.done("POST", "/pipelines", json={"name": name, "stages": TWO, **more})


@pytest.mark.requirement("SA-1")
async def test_a_pipeline_has_ordered_stages(sales: Running, admin: Caller, rep: Caller) -> None:
    stages = [
        {"name": "Prospecting", "probability": 10, "allowed": ["engaging"], "dwell_days": 14},
        {"name": "Engaging", "probability": 40, "required_fields": ["deadline", "value"]},
    ]
    made = await admin("POST", "/pipelines", json={"name": "Partners", "stages": stages})
    assert made.status == 201
    assert made.headers["location"] == f"/api/sales/v1/pipelines/{made['id']}"
    first, second = made["stages"]
    assert first | {"id": None} == {
        "id": None,
        "name": "Prospecting",
        "probability": 10,
        "position": 1,
        "allowed": [second["id"]],
        "required_fields": [],
        "dwell_days": 14,
        "retired": False,
    }
    assert second["required_fields"] == ["deadline", "value"]
    assert await rep.done("GET", f"/pipelines/{made['id']}") == made.body
    (event,) = await sales.events(subject=made["id"])
    assert event["type"] == "crm.sales.pipeline.created.v1"
    assert [s["name"] for s in event["data"]["state"]["stages"]] == ["Prospecting", "Engaging"]


@pytest.mark.requirement("SA-1")
async def test_stages_are_added_renamed_reordered_and_retired(sales: Running, admin: Caller) -> None:
    made = await make(admin)
    first, second = made["stages"]
    path = f"/pipelines/{made['id']}/stages"
    wanted = [
        kept(second, name="Talking"),
        {"name": "Proposal", "probability": 60},
        kept(first, retired=True, probability=5),
    ]
    after = await admin.done("PUT", path, json={"stages": wanted}, match='"1"')
    assert [(s["name"], s["position"], s["probability"], s["retired"]) for s in after["stages"]] == [
        ("Talking", 1, 40, False),
        ("Proposal", 2, 60, False),
        ("Prospecting", 3, 5, True),
    ]
    assert [after["stages"][0]["id"], after["stages"][2]["id"]] == [second["id"], first["id"]]
    assert after["version"] == 2
    # What a reader gets can be sent back, and changes nothing.
    same = await admin.done("PUT", path, json={"stages": [kept(stage) for stage in after["stages"]]})
    assert same == after
    events = await sales.events(subject=made["id"])
    assert [event["type"].split(".")[3] for event in events] == ["created", "changed"]
    assert list(events[1]["data"]["changes"]) == ["stages"]


@pytest.mark.requirement("SA-1")
async def test_a_stage_that_opportunities_are_in_stays(admin: Caller, rep: Caller, stages: Stages) -> None:
    made = await make_opportunity(rep, stage_id=stages["Proposal"])
    path = f"/pipelines/{stages.pipeline}/stages"
    without = [kept(stage) for stage in stages.body["stages"] if stage["name"] != "Proposal"]
    refused = await admin("PUT", path, json={"stages": without})
    assert (refused.status, refused["code"]) == (409, "pipeline.stage_in_use")
    # A deleted one can come back: its stage must be there.
    await admin.done("DELETE", f"/opportunities/{made['id']}")
    assert (await admin("PUT", path, json={"stages": without}))["code"] == "pipeline.stage_in_use"
    empty = [kept(stage) for stage in stages.body["stages"] if stage["name"] != "Negotiation"]
    after = await admin.done("PUT", path, json={"stages": empty})
    assert [stage["name"] for stage in after["stages"]] == ["Prospecting", "Engaging", "Proposal"]


async def test_nothing_enters_a_stage_while_it_is_removed(sales: Running, rep: Caller, stages: Stages) -> None:
    """Who puts an opportunity into a stage waits for who configures, and then sees what was configured."""
    pipeline_id = uuid.UUID(stages.pipeline)
    body = {"name": "Race", "stage_id": stages["Negotiation"]}
    async with sales.database.write(WriteContext(now=sales.clock.now())) as session:
        found = (await store.lock_all(session))[pipeline_id].pipeline
        await store.replace_stages(session, pipeline_id, [one for one in found.stages if one.name != "Negotiation"])
        asked = asyncio.create_task(rep("POST", "/opportunities", json=body))
        async with asyncio.timeout(5):
            while not await sales.rows("SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"):
                assert not asked.done(), asked.result()
                await asyncio.sleep(0.005)
    refused = await asked
    assert (refused.status, refused["code"]) == (422, "pipeline.stage_unknown")


async def test_a_stage_is_removed_or_entered_never_both(sales: Running, admin: Caller, stages: Stages) -> None:
    rep = sales.caller(sales.people.rep)
    without = [kept(stage) for stage in stages.body["stages"] if stage["name"] != "Negotiation"]
    body = {"name": "Race", "stage_id": stages["Negotiation"]}
    removed, *entered = await asyncio.gather(
        admin("PUT", f"/pipelines/{stages.pipeline}/stages", json={"stages": without}),
        *(rep("POST", "/opportunities", json=body) for _ in range(5)),
    )
    went_in = [answer for answer in entered if answer.status == 201]
    assert removed.status == (409 if went_in else 200)
    there = {stage["id"] for stage in (await default_stages(admin)).body["stages"]}
    assert {answer["stage_id"] for answer in went_in} <= there


async def test_there_is_always_one_default(sales: Running, admin: Caller, stages: Stages) -> None:
    refused = await admin("PATCH", f"/pipelines/{stages.pipeline}", json={"is_default": False})
    assert (refused.status, refused["code"]) == (409, "pipeline.default_needed")
    before = await sales.position()
    other = await make(admin)
    after = await admin.done("PATCH", f"/pipelines/{other['id']}", json={"is_default": True, "name": "Main"})
    assert (after["is_default"], after["name"]) == (True, "Main")
    assert [one["is_default"] for one in (await admin.done("GET", "/pipelines"))["items"]] == [True, False]
    told = [(event["subject"], event["data"]["state"]["is_default"]) for event in await sales.events(since=before)]
    assert [(str(key), default) for key, default in told] == [
        (other["id"], False),
        (stages.pipeline, False),
        (other["id"], True),
    ]
    third = await make(admin, "Third", is_default=True)
    assert (await default_stages(admin)).pipeline == third["id"]


async def test_configuring_needs_its_own_permission(manager: Caller, rep: Caller, stages: Stages) -> None:
    for caller in (manager, rep):
        assert (await caller("POST", "/pipelines", json={"name": "Mine", "stages": TWO})).status == 403
        assert (await caller("PATCH", f"/pipelines/{stages.pipeline}", json={"name": "Mine"})).status == 403
        refused = await caller("PUT", f"/pipelines/{stages.pipeline}/stages", json={"stages": TWO})
        assert (refused.status, refused["code"]) == (403, "permission.missing")


async def test_a_stale_configuration_is_refused(admin: Caller, stages: Stages) -> None:
    await admin.done("PATCH", f"/pipelines/{stages.pipeline}", json={"name": "Direct sales"})
    answer = await admin("PUT", f"/pipelines/{stages.pipeline}/stages", json={"stages": TWO}, match='"1"')
    assert (answer.status, answer["version"]) == (412, 2)


async def test_names_are_unique(admin: Caller) -> None:
    await make(admin, "Partners")
    again = await admin("POST", "/pipelines", json={"name": "partners", "stages": TWO})
    assert (again.status, again["code"]) == (409, "pipeline.name_taken")


async def test_bad_input_is_refused_with_its_pointer(admin: Caller, stages: Stages) -> None:
    stage = {"name": "A", "probability": 10}
    table: list[tuple[dict[str, Any], str]] = [
        ({}, "/name"),
        ({"name": "  ", "stages": [stage]}, "/name"),
        ({"name": "X", "stages": []}, "/stages"),
        ({"name": "X", "stages": [stage] * 51}, "/stages"),
        ({"name": "X", "stages": [stage, stage]}, "/stages/1/name"),
        ({"name": "X", "stages": [{**stage, "probability": 101}]}, "/stages/0/probability"),
        ({"name": "X", "stages": [{**stage, "probability": "10"}]}, "/stages/0/probability"),
        ({"name": "X", "stages": [{**stage, "probability": 10.5}]}, "/stages/0/probability"),
        ({"name": "X", "stages": [{**stage, "allowed": ["B"]}]}, "/stages/0/allowed/0"),
        ({"name": "X", "stages": [{**stage, "id": stages["Engaging"]}]}, "/stages/0/id"),
        ({"name": "X", "stages": [{**stage, "id": "no"}]}, "/stages/0/id"),
        ({"name": "X", "stages": [{**stage, "dwell_days": 0}]}, "/stages/0/dwell_days"),
        ({"name": "X", "stages": [{**stage, "required_fields": ["owner_id"]}]}, "/stages/0/required_fields"),
        ({"name": "X", "stages": [{**stage, "retired": True}]}, "/stages"),
        ({"name": "X", "stages": [{**stage, "colour": 1}]}, "/stages/0/colour"),
        ({"name": "X\ny", "stages": [stage]}, "/name"),
    ]
    for body, pointer in table:
        answer = await admin("POST", "/pipelines", json=body)
        assert answer.status == 422, (body, answer)
        assert pointer in [place for place, _ in answer.codes], (body, answer)
    assert len((await admin.done("GET", "/pipelines"))["items"]) == 1
    for method, path in (("GET", "/pipelines/x"), ("PATCH", "/pipelines/x"), ("PUT", "/pipelines/x/stages")):
        assert (await admin(method, path, **({} if method == "GET" else {"json": {"stages": [stage]}}))).status in (
            404,
            422,
        )
    nobody = "01900000-0000-7000-8000-000000000001"
    assert (await admin("PUT", f"/pipelines/{nobody}/stages", json={"stages": [stage]})).status == 404

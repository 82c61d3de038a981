"""Opportunities are made, read and changed (SA-2)."""

import uuid
from typing import Any

import pytest
from services.sales.tests.conftest import Stages, make_customer, make_opportunity, make_product, usd

from crm_contracts.sales import OpportunityState
from crm_testing.service import Caller, Running


@pytest.mark.requirement("SA-2")
async def test_an_opportunity_begins_in_the_default_pipelines_first_stage(
    sales: Running, rep: Caller, stages: Stages
) -> None:
    made = await make_opportunity(rep, value=usd("1000"), deadline="2026-12-24", next_step="Call", source="Fair")
    assert made["number"].startswith("OPP-2611-")
    assert {
        name: made[name] for name in ("pipeline_id", "stage_id", "outcome", "probability", "opened_on", "closed_on")
    } == {
        "pipeline_id": stages.pipeline,
        "stage_id": stages["Prospecting"],
        "outcome": "open",
        "probability": 10,
        "opened_on": "2026-11-23",
        "closed_on": None,
    }
    assert (made["value"], made["weighted_value"]) == (usd("1000.00"), usd("100.00"))
    assert (made["lines"], made["totals"], made["product_ids"], made["contact_ids"]) == ([], None, [], [])
    assert made["owner_id"] == str(sales.people.rep.id)
    (event,) = await sales.events(subject=made["id"])
    state = OpportunityState.model_validate(event["data"]["state"])
    assert (str(state.stage_id), state.probability, state.number) == (stages["Prospecting"], 10, made["number"])
    assert event["data"]["credit"]["user_id"] == str(sales.people.rep.id)
    assert await rep.done("GET", f"/opportunities/{made['id']}") == made


@pytest.mark.requirement("SA-2")
async def test_the_day_it_was_opened_is_the_companys(sales: Running, manager: Caller) -> None:
    """15:30 UTC is the next day in Seoul."""
    made = await make_opportunity(manager, occurred_at="2026-03-01T15:30:00Z")
    assert (made["opened_on"], made["stage_entered_at"]) == ("2026-03-02", "2026-03-01T15:30:00Z")
    (event,) = await sales.events(subject=made["id"])
    assert event["data"]["occurred_at"] == "2026-03-01T15:30:00Z"


@pytest.mark.requirement("PL-20")
async def test_backdating_needs_its_permission(rep: Caller, manager: Caller) -> None:
    for given in ({"occurred_at": "2026-03-01T00:00:00Z"}, {"opened_on": "2026-03-01"}):
        refused = await rep("POST", "/opportunities", json={"name": "Earlier", **given})
        assert (refused.status, refused["permission"]) == (403, "sales.opportunity:backdate")
    # The day that it would have anyway needs none.
    made = await make_opportunity(rep, opened_on="2026-11-23")
    path = f"/opportunities/{made['id']}"
    assert (await rep("PATCH", path, json={"opened_on": "2026-11-01"})).status == 403
    assert (await manager.done("PATCH", path, json={"opened_on": "2026-11-01"}))["opened_on"] == "2026-11-01"
    future = await manager("POST", "/opportunities", json={"name": "Later", "opened_on": "2026-11-24"})
    assert (future.status, future.codes) == (422, [("/opened_on", "record.occurred_in_future")])


@pytest.mark.requirement("SA-2", "SA-3")
async def test_the_probability_set_by_hand_counts_until_the_next_stage(rep: Caller, stages: Stages) -> None:
    made = await make_opportunity(rep, value=usd("1000"), probability_override=33)
    assert (made["probability"], made["weighted_value"]) == (33, usd("330.00"))
    path = f"/opportunities/{made['id']}"
    plain = await rep.done("PATCH", path, json={"probability_override": None})
    assert (plain["probability"], plain["weighted_value"]) == (10, usd("100.00"))
    await rep.done("PATCH", path, json={"probability_override": 75})
    after = await rep.done("POST", f"{path}/advance", json={"stage_id": stages["Engaging"]})
    assert (after["probability"], after["probability_override"], after["weighted_value"]) == (40, None, usd("400.00"))


@pytest.mark.requirement("SA-3")
async def test_the_weighted_value_follows_the_value(sales: Running, rep: Caller) -> None:
    made = await make_opportunity(rep)
    assert (made["value"], made["weighted_value"]) == (None, None)
    path = f"/opportunities/{made['id']}"
    after = await rep.done("PATCH", path, json={"value": usd("99.99")})
    assert after["weighted_value"] == usd("10.00")
    event = (await sales.events(subject=made["id"]))[-1]
    assert sorted(event["data"]["changes"]) == ["value", "weighted_value"]
    gone = await rep.done("PATCH", path, json={"value": None})
    assert (gone["value"], gone["weighted_value"]) == (None, None)


@pytest.mark.requirement("SA-3")
async def test_an_existing_opportunity_changes_its_stage_only_by_advancing(
    sales: Running, rep: Caller, stages: Stages
) -> None:
    made = await make_opportunity(rep)
    path = f"/opportunities/{made['id']}"
    before = await sales.position()
    refused = await rep("PATCH", path, json={"stage_id": stages["Engaging"]})
    assert (refused.status, refused["code"]) == (422, "opportunity.stage_by_advance")
    assert refused.codes == [("/stage_id", "opportunity.stage_by_advance")]
    other = str(uuid.uuid4())
    assert (await rep("PATCH", path, json={"pipeline_id": other}))["code"] == "opportunity.stage_by_advance"
    same = await rep.done("PATCH", path, json={"stage_id": stages["Prospecting"], "pipeline_id": stages.pipeline})
    assert same["version"] == 1
    assert await sales.position() == before


@pytest.mark.requirement("SA-1")
async def test_what_a_stage_requires_must_be_there_and_stay(admin: Caller, rep: Caller) -> None:
    pipeline = await admin.done(
        "POST",
        "/pipelines",
        json={
            "name": "Strict",
            "stages": [
                {"name": "Start", "probability": 10},
                {"name": "Qualified", "probability": 40, "required_fields": ["deadline", "lines"]},
            ],
        },
    )
    start, qualified = (stage["id"] for stage in pipeline["stages"])
    product = await make_product(admin)
    refused = await rep("POST", "/opportunities", json={"name": "Early", "stage_id": qualified})
    assert (refused.status, refused["code"]) == (422, "pipeline.fields_missing")
    assert [pointer for pointer, _ in refused.codes] == ["/deadline", "/lines"]
    made = await make_opportunity(rep, pipeline_id=pipeline["id"])
    assert made["stage_id"] == start
    path = f"/opportunities/{made['id']}"
    assert (await rep("POST", f"{path}/advance", json={"stage_id": qualified}))["code"] == "pipeline.fields_missing"
    await rep.done(
        "PATCH", path, json={"deadline": "2027-01-01", "lines": [{"product_id": product["id"], "quantity": "1"}]}
    )
    await rep.done("POST", f"{path}/advance", json={"stage_id": qualified})
    for emptied in ({"deadline": None}, {"lines": []}):
        again = await rep("PATCH", path, json=emptied)
        assert (again.status, again["code"]) == (422, "pipeline.fields_missing"), emptied
    await rep.done("PATCH", path, json={"deadline": "2027-02-01"})


async def test_products_of_interest_must_exist_when_they_are_added(admin: Caller, rep: Caller) -> None:
    product = await make_product(admin, on_sale=False)
    nobody = str(uuid.uuid4())
    refused = await rep("POST", "/opportunities", json={"name": "X", "product_ids": [product["id"], nobody]})
    assert (refused.status, refused.codes) == (422, [("/product_ids", "opportunity.product_unknown")])
    made = await make_opportunity(rep, product_ids=[product["id"]])
    await admin.done("DELETE", f"/products/{product['id']}")
    path = f"/opportunities/{made['id']}"
    # What it had it may keep.
    await rep.done("PATCH", path, json={"product_ids": [product["id"]], "name": "Y"})
    assert (await rep("PATCH", path, json={"product_ids": [product["id"], nobody]})).status == 422
    assert (await rep.done("PATCH", path, json={"product_ids": []}))["product_ids"] == []


@pytest.mark.requirement("PL-30", "SA-2")
async def test_everybody_sees_exactly_their_part(sales: Running, rep: Caller) -> None:
    people = sales.people
    mine = await make_opportunity(rep, "Mine")
    theirs = await make_opportunity(sales.caller(people.colleague), "Colleague's")
    far = await make_opportunity(sales.caller(people.stranger), "Stranger's")

    async def seen(caller: Caller) -> tuple[set[str], int]:
        page = await caller.done("GET", "/opportunities", params={"count": "exact"})
        return {item["id"] for item in page["items"]}, page["count"]

    assert await seen(rep) == ({mine["id"]}, 1)
    assert await seen(sales.caller(people.manager)) == ({mine["id"], theirs["id"]}, 2)
    assert await seen(sales.caller(people.other_manager)) == ({far["id"]}, 1)
    assert await seen(sales.caller(people.executive)) == ({mine["id"], theirs["id"], far["id"]}, 3)
    for path in ("", "/history", "/stages", "/owners"):
        assert (await rep("GET", f"/opportunities/{theirs['id']}{path}")).status == 404
    for action, body in (
        ("advance", {"stage_id": mine["stage_id"]}),
        ("win", {}),
        ("lose", {"reason": "price"}),
        ("hold", {"reason": "later"}),
    ):
        assert (await rep("POST", f"/opportunities/{theirs['id']}/{action}", json=body)).status == 404
    # The executive sees all and changes nothing.
    assert (await sales.caller(people.executive)("POST", f"/opportunities/{mine['id']}/win", json={})).status == 403


@pytest.mark.requirement("SA-4")
async def test_lists_are_filtered_by_outcome(rep: Caller) -> None:
    ids = [(await make_opportunity(rep, f"No {n}", value=usd("10")))["id"] for n in range(4)]
    await rep.done("POST", f"/opportunities/{ids[0]}/win", json={})
    await rep.done("POST", f"/opportunities/{ids[1]}/lose", json={"reason": "price"})
    await rep.done("POST", f"/opportunities/{ids[2]}/hold", json={"reason": "budget"})
    for outcome, expected in (("won", ids[0]), ("lost", ids[1]), ("on_hold", ids[2]), ("open", ids[3])):
        wanted: dict[str, Any] = {"field": "outcome", "op": "eq", "value": outcome}
        page = await rep.done("POST", "/opportunities/search", json={"filter": wanted, "count": "exact"})
        assert ([item["id"] for item in page["items"]], page["count"]) == ([expected], 1)


async def test_a_new_opportunity_can_be_somebody_elses(sales: Running, manager: Caller, rep: Caller) -> None:
    people = sales.people
    made = await make_opportunity(manager, owner_id=str(people.rep.id))
    assert made["owner_id"] == str(people.rep.id)
    assert (await rep("POST", "/opportunities", json={"name": "X", "owner_id": str(people.colleague.id)})).status == 403
    outside = await manager("POST", "/opportunities", json={"name": "X", "owner_id": str(people.stranger.id)})
    assert outside.status == 403


async def test_an_opportunitys_customer_is_one_that_its_maker_sees(sales: Running, rep: Caller) -> None:
    mine = await make_customer(sales, sales.people.rep)
    made = await make_opportunity(rep, customer_id=mine)
    assert made["customer_id"] == mine

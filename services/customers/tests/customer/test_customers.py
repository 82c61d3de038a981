"""Customers over HTTP: fields, parents, lock."""

import asyncio
from typing import Any

import pytest
from services.customers.tests.conftest import make_customer, told

from crm_testing.service import Caller, Running


@pytest.mark.requirement("CU-10", "PL-2")
async def test_a_customer_has_a_number_and_tells_of_itself(customers: Running, rep: Caller) -> None:
    made = await make_customer(
        rep,
        grade="VVIP",
        phone="02-1234-5678",
        annual_revenue={"amount": "1234.5", "currency": "USD"},
        external_ref={"system": "erp", "id": "4711"},
    )
    assert made["number"] == "AACC-2611-0001"
    assert made["phone"] == "+82212345678"
    assert (made["lifecycle"], made["locked"], made["pool_id"]) == ("prospect", False, None)
    assert await rep.done("GET", f"/customers/{made['id']}") == made
    [(fact, event)] = await told(customers, made)
    assert (fact, event.state.name, event.state.grade) == ("created", "주식회사 예시", "VVIP")
    assert event.state.annual_revenue.model_dump(mode="json") == {"amount": "1234.50", "currency": "USD"}
    assert event.access is not None
    assert event.credit is not None
    rep_id = customers.people.rep.id
    assert (event.access.owner_id, event.credit.user_id) == (rep_id, rep_id)
    assert event.credit.department_id == customers.people.north


async def test_what_only_actions_set_cannot_be_sent(rep: Caller) -> None:
    made = await make_customer(rep)
    for field, value in (("lifecycle", "customer"), ("locked", True), ("pool_id", None), ("dealt_at", None)):
        assert (await rep("PATCH", f"/customers/{made['id']}", json={field: value})).status == 422


@pytest.mark.requirement("CU-20")
async def test_a_customer_belongs_to_a_parent_that_its_user_sees(
    customers: Running, rep: Caller, manager: Caller
) -> None:
    parent = await make_customer(rep, "Parent")
    child = await make_customer(rep, "Child", parent_id=parent["id"])
    assert child["parent_id"] == parent["id"]
    hidden = await make_customer(customers.caller(customers.people.stranger), "Hidden")
    absent = "01900000-0000-7000-8000-00000000ffff"
    for parent_id in (hidden["id"], absent):
        refused = await rep("POST", "/customers", json={"name": "Other", "parent_id": parent_id})
        assert (refused.status, refused.codes) == (422, [("/parent_id", "customer.parent_unknown")])
        refused = await rep("PATCH", f"/customers/{child['id']}", json={"parent_id": parent_id})
        assert (refused.status, refused.codes) == (422, [("/parent_id", "customer.parent_unknown")])
    found = await rep.done(
        "POST", "/customers/search", json={"filter": {"field": "parent_id", "op": "eq", "value": parent["id"]}}
    )
    assert [one["id"] for one in found["items"]] == [child["id"]]
    await rep.done("PATCH", f"/customers/{child['id']}", json={"parent_id": None})


@pytest.mark.requirement("CU-20")
async def test_a_deleted_customer_becomes_no_parent(rep: Caller, manager: Caller) -> None:
    gone = await make_customer(rep, "Gone")
    await manager.done("DELETE", f"/customers/{gone['id']}")
    refused = await rep("POST", "/customers", json={"name": "Child", "parent_id": gone["id"]})
    assert refused.codes == [("/parent_id", "customer.parent_unknown")]


@pytest.mark.requirement("CU-20")
async def test_a_parent_that_went_out_of_sight_may_stay(customers: Running, rep: Caller, manager: Caller) -> None:
    parent = await make_customer(rep, "Parent")
    child = await make_customer(rep, "Child", parent_id=parent["id"])
    body = {"to_user_id": str(customers.people.colleague.id)}
    await manager.done("POST", f"/customers/{parent['id']}/transfer", json=body)
    changed = await rep.done("PATCH", f"/customers/{child['id']}", json={"name": "Renamed", "parent_id": parent["id"]})
    assert (changed["name"], changed["parent_id"]) == ("Renamed", parent["id"])


async def _belongs(caller: Caller, child: Any, parent: Any) -> Any:
    return await caller("PATCH", f"/customers/{child['id']}", json={"parent_id": parent["id"]})


@pytest.mark.requirement("CU-20")
async def test_no_customer_belongs_to_itself_in_any_number_of_steps(rep: Caller) -> None:
    a, b, c = [await make_customer(rep, name) for name in "abc"]
    assert (await _belongs(rep, b, a)).status == 200
    assert (await _belongs(rep, c, b)).status == 200
    for child, parent in ((a, c), (a, b), (a, a), (b, c)):
        refused = await _belongs(rep, child, parent)
        assert (refused.status, refused.codes) == (422, [("/parent_id", "customer.parent_cycle")])


@pytest.mark.requirement("CU-20", "PL-9")
async def test_rows_of_a_batch_close_no_cycle_together(rep: Caller) -> None:
    a, b = [await make_customer(rep, name) for name in "ab"]
    rows = [{"id": a["id"], "parent_id": b["id"]}, {"id": b["id"], "parent_id": a["id"]}]
    answer = await rep.done("POST", "/customers/batch", json={"mode": "change", "rows": rows})
    assert [row["status"] for row in answer["rows"]] == ["ok", "error"]
    assert answer["rows"][1]["errors"][0]["code"] == "customer.parent_cycle"
    assert answer["rows"][1]["errors"][0]["pointer"] == "/rows/1/parent_id"


@pytest.mark.requirement("CU-20")
async def test_moves_at_the_same_time_close_no_cycle_together(rep: Caller) -> None:
    for _ in range(5):
        a, b, c = [await make_customer(rep, name) for name in "abc"]
        answers = await asyncio.gather(_belongs(rep, a, b), _belongs(rep, b, c), _belongs(rep, c, a))
        assert sorted(answer.status for answer in answers) == [200, 200, 422]


@pytest.mark.requirement("CU-13")
async def test_a_locked_customer_says_so_once(customers: Running, rep: Caller, colleague: Caller) -> None:
    made = await make_customer(rep)
    path = f"/customers/{made['id']}"
    assert (await colleague("POST", f"{path}/lock")).status == 404
    assert (await rep("POST", f"{path}/lock", match='"7"')).status == 412
    locked = await rep("POST", f"{path}/lock", match='"1"')
    assert (locked["locked"], locked["version"], locked.headers["etag"]) == (True, 2, '"2"')
    assert (await rep.done("POST", f"{path}/lock"))["version"] == 2
    assert (await rep.done("POST", f"{path}/unlock"))["locked"] is False
    assert [(fact, event.state.locked) for fact, event in await told(customers, made)] == [
        ("created", False),
        ("changed", True),
        ("changed", False),
    ]
    executive = customers.caller(customers.people.executive)
    assert (await executive("POST", f"{path}/lock")).status == 403

"""Contracts are drafted by hand or from won opportunities, changed, deleted and made void."""

import asyncio

import pytest
from services.billing.tests.conftest import decide, draft, make_customer, make_opportunity, make_product, submit, usd

from crm_testing.service import Caller, Running


@pytest.mark.requirement("BI-1")
async def test_a_contract_has_lines_and_comes_to_their_totals(billing: Running, rep: Caller, customer: str) -> None:
    product = await make_product(billing)
    lines = [{"product_id": product, "quantity": "2", "discount_percent": "5", "tax_percent": "10"}]
    made = await draft(rep, customer, None, lines=lines)
    assert (made["number"][:9], made["status"]) == ("CTR-2611-", "draft")
    assert (made["value"], made["totals"]["total"], made["instalments"]) == (usd("209.00"), usd("209.00"), [])
    refused = await rep("PATCH", f"/contracts/{made['id']}", json={"value": usd("1.00")})
    assert (refused.status, refused["code"]) == (422, "contract.value_from_lines")
    after = await rep.done("PATCH", f"/contracts/{made['id']}", json={"lines": [], "value": usd("7.00")})
    assert (after["value"], after["lines"], after["totals"]) == (usd("7.00"), [], None)
    (event,) = await billing.events("crm.billing.contract.changed.v1", made["id"])
    assert event["data"]["state"]["value"] == usd("7.00")
    assert event["data"]["changes"]["lines"]["new"] == []


async def test_products_that_are_off_sale_or_unknown_are_on_no_new_line(
    billing: Running, rep: Caller, customer: str
) -> None:
    off = await make_product(billing, on_sale=False)
    for product, code in ((off, "line.product_off_sale"), (customer, "line.product_unknown")):
        refused = await rep(
            "POST",
            "/contracts",
            json={"name": "C", "customer_id": customer, "lines": [{"product_id": product, "quantity": "1"}]},
        )
        assert (refused.status, refused.codes) == (422, [("/lines/0/product_id", code)])


@pytest.mark.requirement("BI-1")
async def test_only_a_customer_that_one_sees_can_be_named(billing: Running, rep: Caller, customer: str) -> None:
    others = await make_customer(billing, billing.people.stranger)
    gone = await make_customer(billing, billing.people.rep, deleted=True)
    for unseen in (others, gone):
        refused = await rep("POST", "/contracts", json={"name": "C", "customer_id": unseen})
        assert (refused.status, refused["code"]) == (422, "contract.customer_unknown")
    made = await draft(rep, customer)
    refused = await rep("PATCH", f"/contracts/{made['id']}", json={"customer_id": others})
    assert (refused.status, refused["code"]) == (422, "contract.customer_unknown")


async def test_a_contract_ends_after_it_starts_also_when_only_one_day_changes(rep: Caller, customer: str) -> None:
    made = await draft(rep, customer, starts_on="2026-12-01", ends_on="2026-12-31")
    refused = await rep("PATCH", f"/contracts/{made['id']}", json={"ends_on": "2026-11-30"})
    assert (refused.status, refused.codes) == (422, [("/ends_on", "contract.ends_before_start")])


@pytest.mark.requirement("SA-8")
async def test_a_won_opportunity_becomes_a_draft_with_customer_lines_and_value_exactly(
    billing: Running, rep: Caller, customer: str
) -> None:
    product = await make_product(billing)
    price = usd("100.00")
    line = {
        "id": "01900000-0000-7000-8000-000000000099",
        "product_id": product,
        "quantity": "3",
        "list_price": price,
        "unit_price": usd("90.00"),
        "discount_percent": "10",
        "tax_percent": "0",
        "net": usd("243.00"),
        "tax": usd("0.00"),
        "total": usd("243.00"),
    }
    totals = {"net": usd("243.00"), "tax": usd("0.00"), "total": usd("243.00")}
    # It was won at less than its lines come to.
    won = await make_opportunity(
        billing, billing.people.rep, customer_id=customer, value=usd("240.00"), lines=[line], totals=totals
    )
    made = await rep("POST", "/contracts/from-opportunity", json={"opportunity_id": won})
    assert made.status == 201
    shown = await rep.done("GET", made.headers["location"])
    assert shown == made.body
    (copied,) = shown["lines"]
    assert {**copied, "id": None} == {**line, "id": None}
    assert copied["id"] != line["id"]
    assert (shown["customer_id"], shown["opportunity_id"], shown["name"]) == (customer, won, "GTX for Example")
    assert (shown["value"], shown["totals"]) == (usd("240.00"), totals)
    # Changing something else, or saying the same value again, leaves the agreed value alone.
    same = await rep.done("PATCH", f"/contracts/{shown['id']}", json={"name": "Other", "value": usd("240.00")})
    assert same["value"] == usd("240.00")


@pytest.mark.requirement("SA-8")
async def test_an_opportunity_has_one_contract_unless_that_is_void(
    billing: Running, rep: Caller, admin: Caller, customer: str
) -> None:
    won = await make_opportunity(billing, billing.people.rep, customer_id=customer, value=usd("5.00"))
    body = {"opportunity_id": won}
    answers = await asyncio.gather(*(rep("POST", "/contracts/from-opportunity", json=body) for _ in range(4)))
    assert sorted(one.status for one in answers) == [201, 409, 409, 409]
    assert {one["code"] for one in answers if one.status == 409} == {"contract.already_drafted"}
    (first,) = [one["id"] for one in answers if one.status == 201]
    assert (await rep.done("POST", f"/contracts/{first}/void"))["status"] == "void"
    second = await rep.done("POST", "/contracts/from-opportunity", json=body)
    # A deleted one makes room too, and can't come back when its place is taken.
    await admin.done("DELETE", f"/contracts/{second['id']}")
    third = await rep.done("POST", "/contracts/from-opportunity", json=body)
    refused = await admin("POST", f"/contracts/{second['id']}/restore")
    assert (refused.status, refused["code"]) == (409, "contract.already_drafted")
    await rep.done("POST", f"/contracts/{third['id']}/void")
    assert (await admin("POST", f"/contracts/{second['id']}/restore")).status == 200


@pytest.mark.requirement("SA-8")
async def test_only_won_opportunities_that_one_sees_are_drafted(billing: Running, rep: Caller, customer: str) -> None:
    people = billing.people
    others = await make_opportunity(billing, people.stranger, customer_id=customer)
    unplaced = await make_opportunity(billing, people.rep)
    unseen = await make_customer(billing, people.stranger)
    foreign = await make_opportunity(billing, people.rep, customer_id=unseen)
    for opportunity, code in (
        (others, "contract.opportunity_unknown"),
        (customer, "contract.opportunity_unknown"),
        (unplaced, "contract.customer_unknown"),
        (foreign, "contract.customer_unknown"),
    ):
        refused = await rep("POST", "/contracts/from-opportunity", json={"opportunity_id": opportunity})
        assert (refused.status, refused["code"]) == (422, code)
    for outcome in ("open", "lost", "on_hold"):
        pending = await make_opportunity(billing, people.rep, customer_id=customer, outcome=outcome)
        refused = await rep("POST", "/contracts/from-opportunity", json={"opportunity_id": pending})
        assert (refused.status, refused["code"]) == (409, "contract.opportunity_not_won")


@pytest.mark.requirement("BI-2")
async def test_what_waits_for_approval_is_neither_changed_nor_deleted_nor_void(
    rep: Caller, admin: Caller, colleague: Caller, customer: str
) -> None:
    made = await draft(rep, customer)
    path = f"/contracts/{made['id']}"
    assert (await colleague("GET", path)).status == 404
    await submit(rep, made["id"])
    for method, target, body in (
        ("PATCH", path, {"name": "Other"}),
        ("PUT", f"{path}/instalments", {"instalments": []}),
        ("POST", f"{path}/submit", {}),
        ("POST", f"{path}/void", None),
        ("DELETE", path, None),
    ):
        refused = await admin(method, target, **({} if body is None else {"json": body}))
        assert (refused.status, refused["code"]) == (409, "contract.not_draft"), target
        assert refused["status"] == 409


@pytest.mark.requirement("BI-2", "PL-20")
async def test_an_import_that_is_repeated_changes_no_contract_whatever_became_of_it(
    billing: Running, rep: Caller, manager: Caller, admin: Caller, customer: str
) -> None:
    product = await make_product(billing)
    with_lines = {
        "external_ref": {"system": "erp", "id": "1"},
        "name": "Imported",
        "customer_id": customer,
        "lines": [{"product_id": product, "quantity": "2", "discount_percent": "5"}],
        "ends_on": "2027-12-31",
    }
    entered = {"external_ref": {"system": "erp", "id": "2"}, "name": "By value", "customer_id": customer}
    rows = [
        with_lines,
        {**entered, "value": usd("70.00")},
        {**with_lines, "external_ref": {"system": "erp", "id": "3"}},
    ]

    async def upserted() -> list[tuple[str, str]]:
        answer = await rep("POST", "/contracts/batch", json={"mode": "upsert", "rows": rows})
        return [(one["status"], one.get("done") or one["code"]) for one in answer["rows"]]

    assert await upserted() == [("ok", "created")] * 3
    found = await rep.done("GET", "/contracts", params={"limit": 10})
    ids = {one["external_ref"]["id"]: one["id"] for one in found["items"]}
    for reference in ("1", "2"):
        await submit(rep, ids[reference])
    await rep.done("POST", f"/contracts/{ids['3']}/void")
    assert await upserted() == [("ok", "unchanged")] * 3
    for reference in ("1", "2"):
        assert (await decide(manager, ids[reference])).status == 200
    assert await upserted() == [("ok", "unchanged")] * 3
    path = f"/contracts/{ids['1']}"
    before = await rep.done("GET", path)
    for same in ({"value": None}, {"value": before["value"]}, {"external_ref": with_lines["external_ref"]}, {}):
        assert (await rep.done("PATCH", path, json=same))["version"] == before["version"]
    for other in (
        {"name": "Other"},
        {"value": usd("1.00")},
        {"ends_on": None},
        {"external_ref": {"system": "erp", "id": "9"}},
        {"external_ref": None},
        {"customer_id": product},
        {"lines": []},
        {"lines": [{"product_id": product, "quantity": "3", "discount_percent": "5"}]},
        {"lines": [{"product_id": customer, "quantity": "2"}]},
        {"lines": with_lines["lines"] * 2},
    ):
        refused = await admin("PATCH", path, json=other)
        assert (refused.status, refused["code"]) == (409, "contract.not_draft"), other
    refused = await admin("PATCH", f"/contracts/{ids['2']}", json={"value": None})
    assert (refused.status, refused["code"]) == (409, "contract.not_draft")
    assert await rep.done("GET", path) == before

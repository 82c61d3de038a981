"""Lines over HTTP (SA-5)."""

from decimal import Decimal
from typing import Any

import pytest
from services.sales.tests.conftest import make_opportunity, make_product, usd

from crm_contracts.sales import OpportunityState
from crm_testing.service import Caller, Running


@pytest.mark.requirement("SA-5")
async def test_lines_are_reckoned_exactly(sales: Running, admin: Caller, rep: Caller) -> None:
    pro = await make_product(admin, "PRO", "0.10")
    basic = await make_product(admin, "BASIC", "550.00")
    made = await make_opportunity(
        rep,
        lines=[
            {"product_id": pro["id"], "quantity": "3", "tax_percent": "10"},
            {
                "product_id": basic["id"],
                "quantity": "1.5",
                "unit_price": usd("500"),
                "discount_percent": "12.5",
                "tax_percent": "7.7",
            },
        ],
    )
    first, second = made["lines"]
    assert (
        first["quantity"],
        first["list_price"],
        first["unit_price"],
        first["net"],
        first["tax"],
        first["total"],
    ) == (
        "3",
        usd("0.10"),
        usd("0.10"),
        usd("0.30"),
        usd("0.03"),
        usd("0.33"),
    )
    # 1.5 × 500 × 0.875 = 656.25; 7.7 % of it is 50.53125.
    assert (second["list_price"], second["unit_price"], second["net"], second["tax"]) == (
        usd("550.00"),
        usd("500.00"),
        usd("656.25"),
        usd("50.53"),
    )
    assert made["totals"] == {"net": usd("656.55"), "tax": usd("50.56"), "total": usd("707.11")}
    assert (made["value"], made["weighted_value"]) == (usd("656.55"), usd("65.66"))
    assert await rep.done("GET", f"/opportunities/{made['id']}") == made
    (event,) = await sales.events(subject=made["id"])
    state = OpportunityState.model_validate(event["data"]["state"])
    assert [line.model_dump(mode="json") for line in state.lines] == made["lines"]
    assert sum(Decimal(line.net.amount) for line in state.lines) == Decimal("656.55")


@pytest.mark.requirement("SA-5", "SA-10", "SA-11")
async def test_off_sale_products_and_new_prices_touch_only_new_lines(admin: Caller, rep: Caller) -> None:
    product = await make_product(admin, price="100")
    line = {"product_id": product["id"], "quantity": "1"}
    made = await make_opportunity(rep, lines=[line])
    path = f"/opportunities/{made['id']}"
    await admin.done("PATCH", f"/products/{product['id']}", json={"list_price": usd("200"), "on_sale": False})
    kept = await rep.done("PATCH", path, json={"lines": [{**line, "quantity": "2"}]})
    assert (kept["lines"][0]["id"], kept["lines"][0]["list_price"], kept["value"]) == (
        made["lines"][0]["id"],
        usd("100.00"),
        usd("200.00"),
    )
    refused = await rep("PATCH", path, json={"lines": [line, line]})
    assert (refused.status, refused["code"]) == (422, "lines.invalid")
    assert refused.codes == [("/lines/1/product_id", "line.product_off_sale")]
    assert (await rep("POST", "/opportunities", json={"name": "New", "lines": [line]})).status == 422
    await admin.done("PATCH", f"/products/{product['id']}", json={"on_sale": True})
    more = await rep.done("PATCH", path, json={"lines": [line, line]})
    assert [one["list_price"] for one in more["lines"]] == [usd("100.00"), usd("200.00")]


async def test_a_change_of_lines_is_in_the_history_once(sales: Running, admin: Caller, rep: Caller) -> None:
    product = await make_product(admin, price="100")
    line = {"product_id": product["id"], "quantity": "1"}
    made = await make_opportunity(rep, value=usd("7"))
    path = f"/opportunities/{made['id']}"
    after = await rep.done("PATCH", path, json={"lines": [line]})
    assert (after["version"], after["value"]) == (2, usd("100.00"))
    entries = (await rep.done("GET", f"{path}/history"))["items"]
    assert sorted(entries[0]["changes"]) == ["lines", "value", "weighted_value"]
    assert entries[0]["changes"]["lines"] == {"old": [], "new": after["lines"]}
    before = await sales.position()
    assert (await rep.done("PATCH", path, json={"lines": [line]}))["version"] == 2
    with_ids = [{"id": after["lines"][0]["id"], **line}]
    assert (await rep.done("PATCH", path, json={"lines": with_ids}))["version"] == 2
    assert await sales.position() == before
    # Without lines the last value stays, as an estimate.
    bare = await rep.done("PATCH", path, json={"lines": []})
    assert (bare["lines"], bare["totals"], bare["value"]) == ([], None, usd("100.00"))
    (row,) = await sales.rows("SELECT count(*) FROM opportunity_line")
    assert row[0] == 0


@pytest.mark.requirement("SA-5")
async def test_with_lines_the_value_is_their_sum(admin: Caller, rep: Caller) -> None:
    product = await make_product(admin, price="100")
    line = {"product_id": product["id"], "quantity": "1"}
    refused = await rep("POST", "/opportunities", json={"name": "X", "lines": [line], "value": usd("99")})
    assert (refused.status, refused.codes) == (422, [("/value", "opportunity.value_from_lines")])
    made = await make_opportunity(rep, lines=[line], value=usd("100"))
    again = await rep("PATCH", f"/opportunities/{made['id']}", json={"value": usd("99")})
    assert (again.status, again.codes) == (422, [("/value", "opportunity.value_from_lines")])
    moved = await rep.done("PATCH", f"/opportunities/{made['id']}", json={"value": usd("99"), "lines": []})
    assert moved["value"] == usd("99.00")


async def test_an_advance_and_a_win_carry_the_lines(sales: Running, admin: Caller, rep: Caller) -> None:
    product = await make_product(admin, price="100")
    made = await make_opportunity(rep, lines=[{"product_id": product["id"], "quantity": "1"}])
    await rep.done("POST", f"/opportunities/{made['id']}/win", json={"value": usd("80")})
    (event,) = await sales.events("%.won.v1")
    assert event["data"]["state"]["lines"] == made["lines"]
    assert event["data"]["state"]["value"] == usd("80.00")


@pytest.mark.requirement("PL-9", "PL-20")
async def test_the_second_load_changes_nothing(sales: Running, admin: Caller, manager: Caller) -> None:
    product = await make_product(admin, price="100")
    stages = (await manager.done("GET", "/pipelines"))["items"][0]["stages"]

    def row(key: str, **more: Any) -> dict[str, Any]:
        return {
            "name": f"Deal {key}",
            "external_ref": {"system": "demo", "id": key},
            "owner_id": str(sales.people.rep.id),
            "stage_id": stages[1]["id"],
            "product_ids": [product["id"]],
            "occurred_at": "2016-10-20T00:00:00Z",
            "opened_on": "2016-10-20",
            "value": usd("1054"),
            **more,
        }

    rows = [
        row("a"),
        row("b", value=None, lines=[{"product_id": product["id"], "quantity": "2", "discount_percent": "5"}]),
        row("c", owner_id=str(sales.people.stranger.id)),
        row("d", stage_id="01900000-0000-7000-8000-000000000001"),
        row("e", opened_on="2027-01-01"),
    ]
    first = await manager.done("POST", "/opportunities/batch", json={"mode": "upsert", "rows": rows})
    assert [one.get("done") or one["code"] for one in first["rows"]] == [
        "created",
        "created",
        "scope.target_out_of_scope",
        "pipeline.stage_unknown",
        "record.occurred_in_future",
    ]
    outcomes = [
        {
            "external_ref": {"system": "demo", "id": "a"},
            "outcome": "won",
            "value": usd("1054"),
            "closed_on": "2017-03-01",
            "occurred_at": "2017-03-01T00:00:00Z",
        },
        {
            "external_ref": {"system": "demo", "id": "b"},
            "outcome": "lost",
            "value": usd("0"),
            "reason": "Not stated",
            "closed_on": "2017-03-01",
            "occurred_at": "2017-03-01T00:00:00Z",
        },
    ]
    closed = await manager.done("POST", "/opportunities/outcomes", json={"rows": outcomes})
    assert closed["failed"] == 0
    before = await sales.position()
    again = await manager.done("POST", "/opportunities/batch", json={"mode": "upsert", "rows": rows[:2]})
    assert [one["done"] for one in again["rows"]] == ["unchanged", "unchanged"], again
    assert (await manager.done("POST", "/opportunities/outcomes", json={"rows": outcomes}))["rows"][0][
        "done"
    ] == "unchanged"
    assert await sales.position() == before
    # A stage that differs is said, not ignored.
    moved = await manager.done(
        "POST",
        "/opportunities/batch",
        json={"mode": "upsert", "rows": [row("b", stage_id=stages[2]["id"], value=None)]},
    )
    assert moved["rows"][0]["code"] == "opportunity.stage_by_advance"

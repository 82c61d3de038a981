"""Products over HTTP (SA-10)."""

import asyncio
from typing import Any

import pytest
from services.sales.tests.conftest import make_product, usd

from crm_testing.service import Caller, Running


@pytest.mark.requirement("SA-10")
async def test_a_product_has_what_a_product_has(sales: Running, admin: Caller, rep: Caller) -> None:
    made = await make_product(
        admin, code="GTX-PRO", name="GTX Pro", category=" Hardware / Servers ", unit="piece", description="Fast"
    )
    seen = await rep.done("GET", f"/products/{made['id']}")
    assert {name: seen[name] for name in ("code", "name", "category", "unit", "description", "on_sale")} == {
        "code": "GTX-PRO",
        "name": "GTX Pro",
        "category": "Hardware/Servers",
        "unit": "piece",
        "description": "Fast",
        "on_sale": True,
    }
    assert seen["list_price"] == usd("4821.00")
    (event,) = await sales.events(subject=made["id"])
    assert event["type"] == "crm.sales.product.created.v1"
    assert event["data"]["state"]["list_price"] == usd("4821.00")
    assert event["data"]["access"] is None


@pytest.mark.requirement("SA-10")
async def test_products_are_changed_deleted_and_restored(sales: Running, admin: Caller) -> None:
    made = await make_product(admin)
    path = f"/products/{made['id']}"
    changed = await admin.done("PATCH", path, json={"on_sale": False, "list_price": usd("5000")}, match='"1"')
    assert (changed["on_sale"], changed["list_price"]) == (False, usd("5000.00"))
    await admin.done("DELETE", path)
    assert (await admin("GET", path)).status == 404
    await admin.done("POST", f"{path}/restore")
    assert (await admin.done("GET", path))["version"] == 4
    facts = [event["type"].split(".")[3] for event in await sales.events(subject=made["id"])]
    assert facts == ["created", "changed", "deleted", "restored"]


async def test_who_may_only_see_products_changes_none(sales: Running, admin: Caller, rep: Caller) -> None:
    made = await make_product(admin)
    assert (await rep("POST", "/products", json={"code": "X", "name": "X"})).status == 403
    assert (await rep("PATCH", f"/products/{made['id']}", json={"name": "Y"})).status == 403
    agent = sales.caller(sales.people.agent)
    assert (await agent("GET", "/products")).status == 403


async def test_a_code_is_taken_whatever_its_case(admin: Caller) -> None:
    first = await make_product(admin, code="gtx-pro")
    second = await admin("POST", "/products", json={"code": "GTX-PRO", "name": "Other"})
    assert (second.status, second["code"]) == (409, "product.code_taken")
    assert second.codes == [("/code", "product.code_taken")]
    # Its own code in another case is free for it.
    await admin.done("PATCH", f"/products/{first['id']}", json={"code": "GTX-PRO"})
    other = await make_product(admin, code="MG")
    clash = await admin("PATCH", f"/products/{other['id']}", json={"code": "Gtx-Pro"})
    assert (clash.status, clash["code"]) == (409, "product.code_taken")


async def test_a_deleted_products_code_is_free_until_it_comes_back(admin: Caller) -> None:
    first = await make_product(admin, code="GTX")
    await admin.done("DELETE", f"/products/{first['id']}")
    second = await make_product(admin, code="GTX")
    refused = await admin("POST", f"/products/{first['id']}/restore")
    assert (refused.status, refused["code"]) == (409, "product.code_taken")
    await admin.done("DELETE", f"/products/{second['id']}")
    await admin.done("POST", f"/products/{first['id']}/restore")


async def test_of_many_who_take_a_code_at_once_one_gets_it(sales: Running, admin: Caller) -> None:
    async def take(index: int) -> int:
        answer = await admin("POST", "/products", json={"code": ("GTX", "gtx")[index % 2], "name": f"No {index}"})
        if answer.status != 201:
            # The lock and not the index: whoever loses learns which field it was.
            assert answer["code"] == "product.code_taken"
        return answer.status

    statuses = await asyncio.gather(*(take(index) for index in range(8)))
    assert sorted(statuses) == [201] + [409] * 7
    assert len(await sales.events("crm.sales.product.created.v1")) == 1


async def test_a_batch_answers_per_row_and_the_second_load_changes_nothing(sales: Running, admin: Caller) -> None:
    def row(code: str, **more: Any) -> dict[str, Any]:
        return {"code": code, "name": code, "external_ref": {"system": "demo", "id": more.pop("ref", code)}, **more}

    rows = [
        row("A", list_price=usd("1"), category="GTX"),
        row("B"),
        row("a", ref="other"),
        row("C", list_price={"amount": "1.001", "currency": "USD"}),
        row("D", category="/"),
    ]
    first = await admin.done("POST", "/products/batch", json={"mode": "upsert", "rows": rows})
    assert [(r["status"], r.get("done") or r["code"]) for r in first["rows"]] == [
        ("ok", "created"),
        ("ok", "created"),
        ("error", "product.code_taken"),
        ("error", "request.invalid"),
        ("error", "product.category_invalid"),
    ]
    assert first["rows"][2]["errors"][0]["pointer"] == "/rows/2/code"
    before = await sales.position()
    again = await admin.done("POST", "/products/batch", json={"mode": "upsert", "rows": rows[:2]})
    assert [r["done"] for r in again["rows"]] == ["unchanged", "unchanged"]
    assert await sales.position() == before


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": "X"}, "/code"),
        ({"code": "", "name": "X"}, "/code"),
        ({"code": "X" * 61, "name": "X"}, "/code"),
        ({"code": "X", "name": "X", "list_price": usd("-1")}, "/list_price"),
        ({"code": "X", "name": "X", "list_price": usd("1.234")}, "/list_price"),
        ({"code": "X", "name": "X", "list_price": {"amount": 5, "currency": "USD"}}, "/list_price"),
        ({"code": "X", "name": "X", "list_price": {"amount": "5", "currency": "usd"}}, "/list_price"),
        ({"code": "X", "name": "X", "list_price": usd("99999999999999999999")}, "/list_price"),
        ({"code": "X", "name": "X", "on_sale": "yes"}, "/on_sale"),
        ({"code": "X", "name": "X", "owner_id": "01900000-0000-7000-8000-000000000001"}, "/owner_id"),
        ({"code": "X", "name": "X", "category": "A//B"}, "/category"),
        ({"code": "X", "name": "X", "colour": "red"}, "/colour"),
    ],
)
async def test_bad_input_is_refused_with_its_pointer(admin: Caller, body: dict[str, Any], pointer: str) -> None:
    answer = await admin("POST", "/products", json=body)
    assert answer.status == 422, answer
    assert [place for place, _ in answer.codes] == [pointer]


@pytest.mark.parametrize("name", ["on_sale", "code", "name"])
async def test_what_is_never_empty_is_not_emptied(admin: Caller, name: str) -> None:
    made = await make_product(admin)
    answer = await admin("PATCH", f"/products/{made['id']}", json={name: None})
    assert answer.status == 422, answer

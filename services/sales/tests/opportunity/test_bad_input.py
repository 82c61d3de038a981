"""Bad input is refused with a pointer, and never answered with a 5xx (the caller of crm_testing.service asserts that)."""

import uuid
from typing import Any

import pytest
from services.sales.tests.conftest import Stages, make_opportunity, make_product, usd

from crm_testing.service import Caller, Running

NOBODY = "01900000-0000-7000-8000-000000000001"


async def test_of_a_new_opportunity(sales: Running, admin: Caller, rep: Caller, stages: Stages) -> None:
    product = (await make_product(admin))["id"]
    before = await sales.position()
    line = {"product_id": product, "quantity": "1"}
    table: list[tuple[dict[str, Any], str]] = [
        ({}, "/name"),
        ({"name": ""}, "/name"),
        ({"name": None}, "/name"),
        ({"name": "x" * 201}, "/name"),
        ({"name": 5}, "/name"),
        ({"number": "OPP-1"}, "/number"),
        ({"outcome": "won"}, "/outcome"),
        ({"probability": 50}, "/probability"),
        ({"closed_on": "2026-01-01"}, "/closed_on"),
        ({"totals": None}, "/totals"),
        ({"customer_id": "x"}, "/customer_id"),
        ({"customer_id": NOBODY}, "/customer_id"),
        ({"contact_ids": ["x"]}, "/contact_ids"),
        ({"contact_ids": [NOBODY] * 51}, "/contact_ids"),
        ({"product_ids": NOBODY}, "/product_ids"),
        ({"product_ids": [NOBODY]}, "/product_ids"),
        ({"product_ids": [stages["Engaging"]]}, "/product_ids"),
        ({"pipeline_id": NOBODY}, "/pipeline_id"),
        ({"pipeline_id": stages["Engaging"]}, "/pipeline_id"),
        ({"stage_id": stages.pipeline}, "/stage_id"),
        ({"deadline": "2026-02-30"}, "/deadline"),
        ({"deadline": "30.02.2026"}, "/deadline"),
        ({"deadline": "9999-12-31"}, "/deadline"),
        ({"opened_on": "2026-11-23T00:00:00Z"}, "/opened_on"),
        ({"occurred_at": "2026-11-23"}, "/occurred_at"),
        ({"occurred_at": "2026-11-23T00:00:00"}, "/occurred_at"),
        ({"probability_override": 101}, "/probability_override"),
        ({"probability_override": -1}, "/probability_override"),
        ({"probability_override": True}, "/probability_override"),
        ({"value": usd("-0.01")}, "/value"),
        ({"value": usd("1.001")}, "/value"),
        ({"value": usd("1e5")}, "/value"),
        ({"value": usd("NaN")}, "/value"),
        ({"value": {"amount": "1", "currency": "XXY"}}, "/value"),
        ({"value": "5"}, "/value"),
        ({"lines": {}}, "/lines"),
        ({"lines": [line] * 201}, "/lines"),
        ({"lines": [5]}, "/lines/0"),
        ({"lines": [{}]}, "/lines/0/product_id"),
        ({"lines": [{**line, "product_id": NOBODY}]}, "/lines/0/product_id"),
        ({"lines": [{**line, "quantity": "0"}]}, "/lines/0/quantity"),
        ({"lines": [{**line, "quantity": "-1"}]}, "/lines/0/quantity"),
        ({"lines": [{**line, "quantity": 1}]}, "/lines/0/quantity"),
        ({"lines": [{**line, "quantity": None}]}, "/lines/0/quantity"),
        ({"lines": [{**line, "quantity": "1.1234567"}]}, "/lines/0/quantity"),
        ({"lines": [{**line, "quantity": "1000000001"}]}, "/lines/0/quantity"),
        ({"lines": [{**line, "discount_percent": "100.1"}]}, "/lines/0/discount_percent"),
        ({"lines": [{**line, "tax_percent": "-1"}]}, "/lines/0/tax_percent"),
        ({"lines": [{**line, "tax_percent": None}]}, "/lines/0/tax_percent"),
        ({"lines": [{**line, "unit_price": usd("-1")}]}, "/lines/0/unit_price"),
        ({"lines": [{**line, "unit_price": usd("92233720368547758.07"), "quantity": "2"}]}, "/lines/0"),
        ({"lines": [line, {**line, "unit_price": {"amount": "1", "currency": "KRW"}}]}, "/lines/1/unit_price"),
        ({"lines": [{**line, "id": NOBODY}]}, "/lines/0/id"),
        ({"lines": [{**line, "net": usd("1")}]}, "/lines/0/net"),
        ({"external_ref": {"system": "", "id": "1"}}, "/external_ref"),
    ]
    for given, pointer in table:
        body = given if "name" in given or not given else {"name": "X", **given}
        answer = await rep("POST", "/opportunities", json=body)
        assert answer.status == 422, (given, answer)
        assert [place for place, _ in answer.codes][:1] == [pointer], (given, answer)
    for name in ("\x00", "a\ud800b"):
        raw = ('{"name": "' + name.encode("unicode_escape").decode().replace("\\x00", "\\u0000") + '"}').encode()
        answer = await rep("POST", "/opportunities", content=raw, headers={"content-type": "application/json"})
        assert answer.status in (400, 422), answer
    assert await sales.position() == before


async def test_of_a_change(sales: Running, rep: Caller, stages: Stages) -> None:
    made = await make_opportunity(rep)
    path = f"/opportunities/{made['id']}"
    before = await sales.position()
    table: list[tuple[dict[str, Any], str]] = [
        ({"name": None}, "/name"),
        ({"stage_id": None}, "/stage_id"),
        ({"pipeline_id": None}, "/pipeline_id"),
        ({"opened_on": None}, "/opened_on"),
        ({"stage_id": NOBODY}, "/stage_id"),
        ({"customer_id": NOBODY}, "/customer_id"),
        ({"product_ids": [NOBODY]}, "/product_ids"),
        ({"lines": [{"product_id": NOBODY, "quantity": "1"}]}, "/lines/0/product_id"),
        ({"owner_id": NOBODY}, "/owner_id"),
        ({"stage_entered_at": "2026-01-01T00:00:00Z"}, "/stage_entered_at"),
        ({"weighted_value": usd("1")}, "/weighted_value"),
    ]
    for body, pointer in table:
        answer = await rep("PATCH", path, json=body)
        assert answer.status == 422, (body, answer)
        assert [place for place, _ in answer.codes][:1] == [pointer], (body, answer)
    assert (await rep("PATCH", path, json={"name": "Y"}, match='"7"')).status == 412
    assert await sales.position() == before


@pytest.mark.parametrize("action", ["advance", "win", "lose", "hold", "reopen"])
async def test_of_an_action(sales: Running, manager: Caller, stages: Stages, action: str) -> None:
    made = await make_opportunity(manager)
    path = f"/opportunities/{made['id']}/{action}"
    before = await sales.position()
    good = {"advance": {"stage_id": stages["Engaging"]}, "lose": {"reason": "x"}, "hold": {"reason": "x"}}.get(
        action, {}
    )
    for more in (
        {"colour": 1},
        {"occurred_at": "yesterday"},
        {"occurred_at": "2026-11-24T03:00:00Z"},
        {"occurred_at": 5},
    ):
        answer = await manager("POST", path, json={**good, **more})
        assert answer.status == 422, (more, answer)
    if action in ("win", "lose"):
        for more in ({"value": usd("-1")}, {"value": 5}, {"closed_on": "2026-02-30"}, {"closed_on": 5}):
            assert (await manager("POST", path, json={**good, **more})).status == 422, more
    if action == "advance":
        for body in ({}, {"stage_id": None}, {"stage_id": "x"}, {"stage_id": NOBODY}):
            assert (await manager("POST", path, json=body)).status == 422, body
    for content in (b"", b"[]", b"null", b"{", b'"x"'):
        answer = await manager("POST", path, content=content, headers={"content-type": "application/json"})
        assert answer.status in (400, 422, 200 if content == b"" else 422), (content, answer)
    await manager("POST", path, json=good)
    missing = await manager("POST", f"/opportunities/{uuid.uuid4()}/{action}", json=good)
    assert missing.status == 404
    assert (await manager("POST", f"/opportunities/x/{action}", json=good)).status in (404, 422)
    assert await sales.position() <= before + 1


async def test_of_lists(rep: Caller) -> None:
    for params in (
        {"filter": "{"},
        {"filter": '{"field":"nothing","op":"eq","value":1}'},
        {"filter": '{"field":"value","op":"eq","value":"5"}'},
        {"filter": '{"field":"lines","op":"eq","value":[]}'},
        {"sort": "customer_id"},
        {"sort": "nothing"},
        {"fields": "lines"},
        {"limit": "0"},
        {"cursor": "forged"},
        {"count": "perhaps"},
    ):
        assert (await rep("GET", "/opportunities", params=params)).status in (400, 422), params

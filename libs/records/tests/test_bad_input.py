"""Bad input: always a problem with a stable code and a pointer, never a 5xx, nothing written."""

import random
import uuid
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conftest import World

BODIES: list[tuple[dict[str, Any], str, str]] = [
    ({}, "/name", "field.required"),
    ({"name": None}, "/name", "field.required"),
    ({"name": "  "}, "/name", "field.required"),
    ({"name": 5}, "/name", "field.type"),
    ({"name": "x" * 121}, "/name", "field.too_long"),
    ({"name": "a\nb"}, "/name", "field.format"),
    ({"name": "x", "id": str(uuid.uuid4())}, "/id", "field.unknown"),
    ({"name": "x", "status": "sailing"}, "/status", "field.unknown"),
    ({"name": "x", "crew": True}, "/crew", "field.type"),
    ({"name": "x", "crew": 1.0}, "/crew", "field.type"),
    ({"name": "x", "crew": -1}, "/crew", "field.too_small"),
    ({"name": "x", "crew": 10**30}, "/crew", "field.too_large"),
    ({"name": "x", "weight": 5}, "/weight", "field.type"),
    ({"name": "x", "weight": "1.2345"}, "/weight", "field.too_precise"),
    ({"name": "x", "weight": "1e5"}, "/weight", "field.type"),
    ({"name": "x", "weight": "-1"}, "/weight", "field.too_small"),
    ({"name": "x", "price": {"amount": "1.001", "currency": "USD"}}, "/price", "money.over_precise"),
    ({"name": "x", "price": {"amount": "-1", "currency": "USD"}}, "/price", "field.too_small"),
    ({"name": "x", "price": {"amount": "1", "currency": "XXX"}}, "/price", "money.unknown_currency"),
    ({"name": "x", "price": {"amount": "9" * 5000, "currency": "USD"}}, "/price", "money.out_of_range"),
    ({"name": "x", "price": {"amount": 1, "currency": "USD"}}, "/price", "money.malformed"),
    ({"name": "x", "price": {"amount": "1"}}, "/price", "field.type"),
    ({"name": "x", "insured": None}, "/insured", "field.required"),
    ({"name": "x", "insured": "yes"}, "/insured", "field.type"),
    ({"name": "x", "departs_on": "2026-02-30"}, "/departs_on", "field.format"),
    ({"name": "x", "departs_on": "20260230"}, "/departs_on", "field.type"),
    ({"name": "x", "departs_on": "0001-01-01"}, "/departs_on", "calendar.day_out_of_range"),
    ({"name": "x", "docked_at": "2026-01-01T00:00:00"}, "/docked_at", "field.type"),
    ({"name": "x", "docked_at": "2026-01-01T25:00:00Z"}, "/docked_at", "field.format"),
    ({"name": "x", "docked_at": "0001-01-01T00:00:00+23:59"}, "/docked_at", "calendar.day_out_of_range"),
    ({"name": "x", "kind": "war"}, "/kind", "field.choice"),
    ({"name": "x", "kind": ["freight"]}, "/kind", "field.type"),
    ({"name": "x", "port_id": "KRPUS"}, "/port_id", "field.type"),
    ({"name": "x", "stop_ids": [str(uuid.uuid4())] * 101}, "/stop_ids", "field.too_long"),
    ({"name": "x", "stop_ids": [1]}, "/stop_ids", "field.type"),
    ({"name": "x", "phone": "call me"}, "/phone", "phone.invalid"),
    ({"name": "x", "phone": "02-123-4567 ext. 5"}, "/phone", "phone.invalid"),
    ({"name": "x", "email": "a@b@c"}, "/email", "email.invalid"),
    ({"name": "x", "website": "javascript:alert(1)"}, "/website", "url.invalid"),
    ({"name": "x", "website": "http://[::1"}, "/website", "url.invalid"),
    ({"name": "x", "note": "y" * 10_001}, "/note", "field.too_long"),
    ({"name": "x", "external_ref": {"system": "", "id": "1"}}, "/external_ref", "field.required"),
    ({"name": "x", "external_ref": {"system": "a"}}, "/external_ref", "field.type"),
    ({"name": "x", "external_ref": "a"}, "/external_ref", "field.type"),
    ({"name": "x", "occurred_at": "yesterday"}, "/occurred_at", "field.type"),
    ({"name": "x", "owner_id": 5}, "/owner_id", "field.type"),
    ({"name": "x", "cargo": [{"goods": "g", "tons": "3"}]}, "/cargo/0/tons", "field.type"),
]


@pytest.mark.parametrize(("body", "pointer", "code"), BODIES)
async def test_what_can_not_be_stored_is_refused_where_it_stands(
    world: World, body: dict[str, Any], pointer: str, code: str
) -> None:
    rep = world.caller(world.crew[0])
    made = await rep.create("One")
    answers = [("", await rep("POST", "/voyages", json=body))]
    if body != {}:
        answers.append(("", await rep("PATCH", f"/voyages/{made['id']}", json=body)))
    for _, answer in answers:
        if pointer == "/owner_id" and answer["errors"][0]["code"] == "field.unknown":
            continue  # A change can't name an owner at all.
        assert answer.status == 422, answer.body
        assert [(error["pointer"], error["code"]) for error in answer["errors"]] == [(pointer, code)]
    batch = await rep("POST", "/voyages/batch", json={"mode": "create", "rows": [body]})
    assert [(e["pointer"], e["code"]) for e in batch["rows"][0]["errors"]] == [(f"/rows/0{pointer}", code)]
    assert len(await world.rows("SELECT FROM journal")) == 1


FILTERS: list[tuple[Any, str, str]] = [
    ([], "", "field.type"),
    ({}, "/field", "field.required"),
    ({"field": "name", "op": "eq"}, "/value", "field.required"),
    ({"field": "name", "op": "eq", "value": None}, "/value", "field.required"),
    ({"field": "nope", "op": "eq", "value": 1}, "/field", "filter.unknown_field"),
    ({"field": "deleted_at", "op": "is_empty"}, "/field", "filter.unknown_field"),
    ({"field": "search_text", "op": "eq", "value": "x"}, "/field", "filter.unknown_field"),
    ({"field": "cargo", "op": "eq", "value": "x"}, "/field", "filter.unknown_field"),
    ({"field": "name", "op": "like", "value": "x"}, "/op", "filter.unknown_op"),
    ({"field": "note", "op": "eq", "value": "x"}, "/op", "filter.unknown_op"),
    ({"field": "name", "op": "eq", "value": "x", "extra": 1}, "/extra", "field.unknown"),
    ({"field": "name", "op": 5, "value": "x"}, "/op", "field.type"),
    ({"field": ["name"], "op": "eq", "value": "x"}, "/field", "field.type"),
    ({"field": "crew", "op": "eq", "value": "5"}, "/value", "field.type"),
    ({"field": "crew", "op": "eq", "value": 2**31}, "/value", "field.too_large"),
    ({"field": "crew", "op": "in", "value": 5}, "/value", "field.type"),
    ({"field": "crew", "op": "in", "value": [1, "2"]}, "/value/1", "field.type"),
    ({"field": "crew", "op": "in", "value": [1] * 501}, "/value", "field.too_long"),
    ({"field": "crew", "op": "between", "value": [1]}, "/value", "field.type"),
    ({"field": "price", "op": "gt", "value": 5}, "/value", "field.type"),
    (
        {
            "field": "price",
            "op": "between",
            "value": [{"amount": "1", "currency": "USD"}, {"amount": "1", "currency": "KRW"}],
        },
        "/value",
        "money.currency_mismatch",
    ),
    ({"field": "owner_id", "op": "me", "value": "somebody"}, "/value", "field.type"),
    ({"field": "departs_on", "op": "within_last", "value": 0}, "/value", "field.too_small"),
    ({"field": "departs_on", "op": "within_last", "value": 10**9}, "/value", "field.too_large"),
    ({"field": "departs_on", "op": "within_last", "value": "7"}, "/value", "field.type"),
    ({"field": "name", "op": "contains", "value": " "}, "/value", "field.required"),
    ({"field": "name", "op": "contains", "value": "x\x00"}, "/value", "field.unreadable"),
    ({"field": "port_id", "op": "eq", "value": "x"}, "/value", "field.type"),
    ({"and": []}, "/and", "field.type"),
    ({"and": {"field": "name"}}, "/and", "field.type"),
    ({"or": [{"field": "name", "op": "eq", "value": "x"}, 5]}, "/or/1", "field.type"),
    ({"not": {"and": [{"field": "nope", "op": "eq"}]}}, "/not/and/0/field", "filter.unknown_field"),
    ({"and": [{"field": "crew", "op": "eq", "value": 1}] * 51}, "/and", "filter.too_many_conditions"),
    (
        {"or": [{"or": [{"field": "crew", "op": "eq", "value": 1}] * 26}] * 2},
        "/or/1/or/24",
        "filter.too_many_conditions",
    ),
    ({"not": {"not": {"not": {"not": {"not": {"not": {}}}}}}}, "/not/not/not/not/not/not", "filter.too_deep"),
]


@pytest.mark.requirement("PL-5")
@pytest.mark.parametrize(("tree", "pointer", "code"), FILTERS)
async def test_a_filter_that_means_nothing_is_refused_with_its_place(
    world: World, tree: Any, pointer: str, code: str
) -> None:
    rep = world.caller(world.crew[0])
    answer = await rep("GET", "/voyages", params={"filter": orjson.dumps(tree).decode()})
    assert answer.status == 422, answer.body
    assert [(e["pointer"], e["code"]) for e in answer["errors"]] == [(f"query:filter{pointer}", code)]
    if isinstance(tree, dict) and code != "field.unreadable":
        answer = await rep("POST", "/voyages/search", json={"filter": tree})
        assert [(e["pointer"], e["code"]) for e in answer["errors"]] == [(f"/filter{pointer}", code)]


@pytest.mark.requirement("PL-4")
@pytest.mark.parametrize(
    ("params", "pointer", "code"),
    [
        ({"limit": "0"}, "query:limit", "field.too_small"),
        ({"limit": "201"}, "query:limit", "field.too_large"),
        ({"limit": "ten"}, "query:limit", "field.format"),
        ({"sort": "nope"}, "query:sort", "sort.unknown_field"),
        ({"sort": "note"}, "query:sort", "sort.unknown_field"),
        ({"sort": "--name"}, "query:sort", "sort.unknown_field"),
        ({"sort": "name,-name"}, "query:sort", "sort.repeated"),
        ({"sort": "name,crew,kind,weight"}, "query:sort", "sort.too_many"),
        ({"fields": "name,nope"}, "query:fields", "fields.unknown"),
        ({"fields": ""}, "query:fields", "fields.unknown"),
        ({"count": "yes"}, "query:count", "field.choice"),
        ({"deleted": "yes"}, "query:deleted", "field.choice"),
        ({"filter": "{"}, "query:filter", "filter.malformed"),
        ({"filter": "NaN"}, "query:filter", "filter.malformed"),
        ({"filter": '"\\ud800"'}, "query:filter", "filter.malformed"),
        ({"filter": "[" * 5000}, "query:filter", "filter.malformed"),
        ({"q": "x" * 101}, "query:q", "field.too_long"),
        ({"offset": "5"}, "query:offset", "query.unknown"),
        ({"cursor": "x" * 5000}, "query:cursor", "field.too_long"),
    ],
)
async def test_a_list_that_can_not_be_asked_for_is_refused(world: World, params: Any, pointer: str, code: str) -> None:
    answer = await world.caller(world.crew[0])("GET", "/voyages", params=params)
    assert answer.status == 422, answer.body
    assert [(e["pointer"], e["code"]) for e in answer["errors"]] == [(pointer, code)]


async def test_ids_versions_and_bodies_of_the_wrong_kind_are_refused(world: World) -> None:
    rep = world.caller(world.crew[0])
    made = await rep.create("One")
    path = f"/voyages/{made['id']}"
    for method, where, body in (
        ("GET", "/voyages/5", None),
        ("PATCH", "/voyages/no-id", {}),
        ("POST", f"{path}/history/0/revert", {}),
        ("POST", f"{path}/history/{2**40}/revert", {}),
        ("PUT", f"{path}/members/x", {"right": "read"}),
        ("PUT", f"{path}/members/{world.captain}", {"right": "own"}),
        ("PUT", f"{path}/members/{world.captain}", {"right": "read", "expires_at": "soon"}),
        ("POST", f"{path}/transfer", {}),
        ("POST", f"{path}/transfer", {"to_user_id": "x"}),
        ("POST", f"{path}/transfer", {"to_user_id": str(world.captain), "reason": "x" * 501}),
        ("POST", "/voyages/batch", {"mode": "destroy", "rows": [{}]}),
        ("POST", "/voyages/batch", {"mode": "create", "rows": {}}),
        ("POST", "/voyages/search", {"limit": "5"}),
        ("POST", "/voyages/search", {"surprise": 1}),
        ("PATCH", path, []),
        ("GET", f"{path}/history?limit=0", None),
        ("GET", f"{path}/owners?limit=9999", None),
        ("GET", f"{path}/history?cursor=x", None),
    ):
        answer = await rep(method, where, json=body)
        assert answer.status == 422, (method, where, answer.body)
        assert answer["errors"], (method, where)
    port = await rep("POST", "/ports", json={"code": "KRPUS", "name": "부산"})
    assert (await rep("GET", f"/voyages/{port['id']}")).status == 404
    assert (await rep("PATCH", path, match="nonsense", json={"crew": 1})).status == 400
    assert (await rep("PATCH", path, match='W/"1"', json={"crew": 1})).status == 412
    assert (await rep("GET", path))["version"] == 1


def json_values() -> st.SearchStrategy[Any]:
    texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    numbers = st.one_of(st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False))
    return st.recursive(
        st.one_of(st.none(), st.booleans(), numbers, texts),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
        max_leaves=5,
    )


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_body_at_all_makes_the_service_fail(world: World, data: st.DataObject) -> None:
    names = [
        "name",
        "crew",
        "price",
        "phone",
        "email",
        "website",
        "weight",
        "departs_on",
        "docked_at",
        "stop_ids",
        "external_ref",
        "cargo",
    ]
    body = data.draw(st.dictionaries(st.sampled_from(names), json_values(), max_size=4))
    body.setdefault("name", "One")
    rep = world.caller(world.crew[0])
    single = await rep("POST", "/voyages", json=body)
    assert single.status in (201, 400, 409, 422)
    batch = await rep("POST", "/voyages/batch", json={"mode": "create", "rows": [body]})
    assert batch.status in (200, 400)
    ops = st.sampled_from(("eq", "in", "gt", "contains"))
    tree = data.draw(
        st.fixed_dictionaries(
            {
                "field": st.sampled_from(names),
                "op": ops,
                "value": json_values(),
            }
        )
    )
    assert (await rep("POST", "/voyages/search", json={"filter": tree, "q": random.choice("a부%")})).status in (
        200,
        400,
        422,
    )

"""Lists against a naive oracle: every record that may be seen, exactly once, in order, under any filter, order and scope width."""

import datetime as dt
import uuid
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conftest import NOW, World
from .fleet import WORDS, Fleet, build_fleet, fold, holds, in_order

SORTABLE = (
    "name",
    "crew",
    "weight",
    "price",
    "insured",
    "departs_on",
    "docked_at",
    "kind",
    "created_at",
    "updated_at",
    "number",
    "id",
)

examples = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture
async def fleet(world: World) -> Fleet:
    return await build_fleet(world)


def widths(world: World) -> list[tuple[uuid.UUID, str, set[uuid.UUID] | None]]:
    """Somebody for each shape of query: nobody, one owner, a few, more than sixteen, all."""
    lead, other = world.captain, world.other_captain
    return [
        (world.crew[0], "", set()),
        (world.crew[1], "self", {world.crew[1]}),
        (other, "subordinates", {other, *world.crew[20:]}),
        (lead, "subordinates", {lead, *world.crew[:20]}),
        (world.director, "all", None),
    ]


def orders() -> st.SearchStrategy[str]:
    keys = st.lists(st.sampled_from(SORTABLE), min_size=1, max_size=3, unique=True)
    return keys.flatmap(lambda names: st.tuples(*(st.sampled_from((name, f"-{name}")) for name in names)).map(",".join))


def conditions(people: list[uuid.UUID], ports: list[uuid.UUID]) -> st.SearchStrategy[dict[str, Any]]:
    compared = ("gt", "gte", "lt", "lte", "eq", "ne")
    words = st.sampled_from([*WORDS, "부", "산항", "철수", "PFEL", "ёл", "ABC", "b", "%", "_", "\\", " "])
    days = st.integers(-12, 12).map(lambda n: (NOW.date() + dt.timedelta(days=n)).isoformat())
    instants = st.integers(-250, 250).map(lambda n: (NOW + dt.timedelta(hours=n)).isoformat().replace("+00:00", "Z"))
    money = st.tuples(st.sampled_from(("KRW", "USD")), st.integers(0, 4)).map(
        lambda pair: {"amount": str(pair[1] * (100 if pair[0] == "KRW" else 1)), "currency": pair[0]}
    )
    users = st.sampled_from(people).map(str)

    def one(field: str, ops: tuple[str, ...], values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
        return st.builds(lambda op, value: {"field": field, "op": op, "value": value}, st.sampled_from(ops), values)

    def both(field: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
        return st.one_of(
            one(field, compared, values),
            one(field, ("in",), st.lists(values, max_size=3)),
            one(field, ("is_empty",), st.booleans()),
        )

    def between(field: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
        return st.tuples(values, values).map(lambda pair: {"field": field, "op": "between", "value": list(pair)})

    whole = st.integers(-1, 6)
    return st.one_of(
        both("crew", whole),
        between("crew", whole),
        both("weight", st.integers(0, 5000).map(lambda n: f"{n // 1000}.{n % 1000:03}")),
        both("price", money),
        money.map(lambda m: {"field": "price", "op": "between", "value": [m, {**m, "amount": "300"}]}),
        both("departs_on", days),
        between("departs_on", days),
        both("docked_at", instants),
        both("updated_at", instants),
        one("departs_on", ("within_last", "before_next"), st.integers(1, 10)),
        one("docked_at", ("within_last", "before_next"), st.integers(1, 10)),
        one("name", ("contains", "starts_with", "eq", "ne", "gt", "lte"), words.filter(lambda w: w.strip())),
        one("note", ("contains",), words.filter(lambda w: w.strip())),
        one("phone", ("contains", "starts_with"), st.sampled_from(("+8210", "0000", "10", "55"))),
        one("insured", ("eq", "ne"), st.booleans()),
        one("kind", ("eq", "ne"), st.sampled_from(("freight", "passengers"))),
        one("stop_ids", ("contains",), st.sampled_from(ports).map(str)),
        one("stop_ids", ("is_empty",), st.booleans()),
        one("port_id", ("eq", "ne"), st.sampled_from(ports).map(str)),
        one("captain_id", ("eq", "ne"), users),
        one("owner_id", ("in",), st.lists(users, max_size=3)),
        st.sampled_from(("captain_id", "owner_id")).flatmap(
            lambda name: st.sampled_from(({"field": name, "op": "me"}, {"field": name, "op": "my_team"}))
        ),
    )


def filters(people: list[uuid.UUID], ports: list[uuid.UUID]) -> st.SearchStrategy[dict[str, Any]]:
    return st.recursive(
        conditions(people, ports),
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"and": parts}),
            st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"or": parts}),
            inner.map(lambda part: {"not": part}),
        ),
        max_leaves=4,
    )


@pytest.mark.requirement("PL-4", "PL-5", "PL-30")
@given(data=st.data())
@examples
async def test_pages_give_each_visible_match_exactly_once_in_order(
    world: World, fleet: Fleet, data: st.DataObject
) -> None:
    user, scope, owners = data.draw(st.sampled_from(widths(world)), label="who")
    people = [world.director, world.captain, world.other_captain, *world.crew[:3]]
    tree = data.draw(st.one_of(st.none(), filters(people, fleet.ports)), label="filter")
    sort = data.draw(orders(), label="sort")
    limit = data.draw(st.sampled_from((3, 17, 200)), label="limit")
    team = {user} | ({*world.crew[:20]} if user == world.captain else set())
    team |= {*world.crew[20:]} if user == world.other_captain else set()
    team |= {world.captain, world.other_captain, world.leaver, *world.crew} if user == world.director else set()
    # Who has no rule at all reaches nothing, shared records included.
    seen = fleet.visible(user, owners) if scope else []
    expected = in_order([row for row in seen if tree is None or holds(row, tree, user, team)], sort)
    caller = world.caller(user, scope)
    found: list[str] = []
    cursor = None
    while True:
        body = {"sort": sort, "limit": limit, "fields": ["id"], "filter": tree, "cursor": cursor, "count": "exact"}
        page = await caller("POST", "/voyages/search", json=body)
        assert page.status == 200, page.body
        assert page["count"] == len(expected)
        assert all(set(item) == {"id"} for item in page["items"])
        found += [item["id"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
        assert len(page["items"]) == limit
    assert found == [str(row["id"]) for row in expected]


@pytest.mark.requirement("PL-11")
@given(data=st.data())
@settings(examples, max_examples=60)
async def test_a_search_finds_parts_of_names_in_any_script(world: World, fleet: Fleet, data: st.DataObject) -> None:
    user, scope, owners = data.draw(st.sampled_from(widths(world)[1:]), label="who")
    word = data.draw(
        st.sampled_from([*WORDS, "산", "철수", "pfel", "Е", "京", "ｂｃ", "0%", "\\b", "nothing"]), label="q"
    )
    expected = [
        row for row in fleet.visible(user, owners) if fold(word) in fold(f"{row['name']}\n{row['phone'] or ''}")
    ]
    answer = await world.caller(user, scope)("GET", "/voyages", params={"q": word, "limit": 200, "count": "exact"})
    assert [item["id"] for item in answer["items"]] == [str(row["id"]) for row in in_order(expected, "-updated_at")]
    assert answer["count"] == len(expected)


async def test_a_telephone_number_is_found_as_people_write_it(world: World) -> None:
    rep = world.caller(world.crew[0])
    await rep.create("One", phone="010-1234-5678")
    await rep.create("Two", phone="+49 30 123456")
    for written in ("010-1234-5678", "010 1234", "+82 10-1234", "1234-5678", "12345678"):
        assert await rep.names(q=written) == ["One"], written


@pytest.mark.requirement("PL-21")
async def test_a_shared_record_is_seen_until_the_instant_at_which_the_membership_expires(world: World) -> None:
    rep, friend = world.crew[0], world.crew[21]
    made = await world.caller(rep).create("Shared")
    until = NOW + dt.timedelta(seconds=5)
    given_ = await world.caller(rep)(
        "PUT", f"/voyages/{made['id']}/members/{friend}", json={"right": "read", "expires_at": until.isoformat()}
    )
    assert given_.status == 200
    assert await world.caller(friend).names() == ["Shared"]
    world.clock.advance(dt.timedelta(seconds=4))
    assert (await world.caller(friend)("GET", f"/voyages/{made['id']}")).status == 200
    world.clock.advance(dt.timedelta(seconds=1))
    assert await world.caller(friend).names() == []
    assert (await world.caller(friend)("GET", f"/voyages/{made['id']}")).status == 404
    assert (await world.caller(friend)("GET", f"/voyages/{made['id']}/history")).status == 404


@pytest.mark.requirement("PL-4")
async def test_a_cursor_is_good_for_its_caller_filter_order_and_operation_only(world: World) -> None:
    captain = world.caller(world.captain, "subordinates")
    for index in range(4):
        await captain.create(f"Voyage {index}")
    asked: dict[str, Any] = {"limit": 2, "sort": "name", "filter": '{"field":"insured","op":"eq","value":false}'}
    cursor = (await captain("GET", "/voyages", params=asked))["next"]
    assert (await captain("GET", "/voyages", params={**asked, "cursor": cursor, "limit": 1})).status == 200
    director = world.caller(world.director, "all")
    tampered = ("A" if cursor[0] != "A" else "B") + cursor[1:]
    body = {"limit": 2, "sort": "name", "filter": orjson.loads(asked["filter"]), "cursor": cursor}
    for answer in (
        await director("GET", "/voyages", params={**asked, "cursor": cursor}),
        await captain("GET", "/voyages", params={**asked, "cursor": cursor, "sort": "-name"}),
        await captain("GET", "/voyages", params={**asked, "cursor": cursor, "q": "Voyage"}),
        await captain("GET", "/voyages", params={"limit": 2, "sort": "name", "cursor": cursor}),
        await captain("GET", "/voyages", params={**asked, "cursor": tampered}),
        await captain("GET", "/voyages", params={**asked, "cursor": "x"}),
        await captain("POST", "/voyages/search", json=body),
    ):
        assert (answer.status, answer["code"]) == (422, "cursor.invalid")


async def test_a_scope_that_shrank_between_two_pages_counts_at_once(world: World) -> None:
    captain = world.caller(world.captain, "subordinates")
    rep = world.caller(world.crew[0])
    for index in range(3):
        await captain.create(f"Captain's {index}")
        await rep.create(f"Rep's {index}")
    page = await captain("GET", "/voyages", params={"limit": 1, "sort": "name"})
    narrow = world.caller(world.captain, "self")
    rest = await narrow("GET", "/voyages", params={"limit": 50, "sort": "name", "cursor": page["next"]})
    assert [item["name"] for item in rest["items"]] == ["Captain's 1", "Captain's 2"]


async def test_a_list_answers_only_the_fields_asked_for(world: World) -> None:
    rep = world.caller(world.crew[0])
    made = await rep.create("One", price={"amount": "5", "currency": "KRW"}, external_ref={"system": "a", "id": "b"})
    answer = await rep("GET", "/voyages", params={"fields": "price,external_ref"})
    assert answer["items"] == [
        {"id": made["id"], "price": {"amount": "5", "currency": "KRW"}, "external_ref": {"system": "a", "id": "b"}}
    ]
    whole = (await rep("GET", "/voyages"))["items"][0]
    assert set(whole) == set(made) - {"cargo"}


async def test_deleted_records_are_listed_only_for_those_who_may_restore(world: World) -> None:
    rep = world.caller(world.crew[0], permissions=["read"])
    refused = await rep("GET", "/voyages", params={"deleted": "only"})
    assert (refused.status, refused["permission"]) == (403, "shipping.voyage:restore")


async def test_an_estimate_is_exact_for_as_many_as_are_looked_at(world: World, fleet: Fleet) -> None:
    answer = await world.caller(world.director, "all")("GET", "/voyages", params={"count": "estimate", "limit": 1})
    assert answer["count"] == len(fleet.visible(world.director, None))
    none = await world.caller(world.director, "all")("GET", "/voyages", params={"limit": 1})
    assert "count" not in none.body


async def test_records_without_owners_are_everybodys_who_has_the_permission(world: World) -> None:
    rep = world.caller(world.crew[0], "")
    for code, name in (("KRPUS", "부산"), ("NLRTM", "Rotterdam")):
        assert (await rep("POST", "/ports", json={"code": code, "name": name})).status == 201
    listed = await world.caller(world.crew[5], "", ["read"])("GET", "/ports", params={"sort": "code", "count": "exact"})
    assert ([item["code"] for item in listed["items"]], listed["count"]) == (["KRPUS", "NLRTM"], 2)
    assert (await world.caller(world.crew[5], "all", ["create"])("GET", "/ports")).status == 403

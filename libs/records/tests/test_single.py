"""One record: create, read, change, delete, restore."""

import asyncio
import datetime as dt
import uuid
from typing import Any

import pytest

from crm_contracts import registry
from crm_database import WriteContext

from .conftest import World


@pytest.mark.requirement("PL-20", "PL-2")
async def test_a_new_record_is_as_it_was_sent_and_read_again_the_same(world: World) -> None:
    rep = world.caller(world.crew[0])
    sent: dict[str, Any] = {
        "name": "  부산 – Rotterdam ",
        "phone": "02-123-4567",
        "email": "anna@EXAMPLE.com",
        "website": "example.com",
        "crew": 12,
        "weight": "1200.5",
        "price": {"amount": "1500000", "currency": "KRW"},
        "insured": True,
        "departs_on": "2026-12-01",
        "docked_at": "2026-12-01T09:00:00+09:00",
        "kind": "freight",
        "port_id": str(uuid.uuid4()),
        "captain_id": str(world.captain),
        "stop_ids": [str(uuid.uuid4()), str(uuid.uuid4())],
        "note": "line one\nline two",
        "cargo": [{"goods": "쌀", "tons": 3}],
        "external_ref": {"system": "erp", "id": "4711"},
    }
    made = await rep("POST", "/voyages", json=sent)
    assert made.status == 201, made.body
    number = made["number"]
    assert number.startswith("V-2611-")
    expected = {
        **sent,
        "name": "부산 – Rotterdam",
        "phone": "+8221234567",
        "email": "anna@example.com",
        "website": "https://example.com",
        "weight": "1200.500",
        "docked_at": "2026-12-01T00:00:00Z",
        "id": made["id"],
        "version": 1,
        "number": number,
        "status": "planned",
        "owner_id": str(world.crew[0]),
        "custom": {},
        "created_at": "2026-11-23T03:00:00Z",
        "updated_at": "2026-11-23T03:00:00Z",
        "created_by": str(world.crew[0]),
        "deleted_at": None,
    }
    assert made.body == expected
    assert made.headers["etag"] == '"1"'
    assert made.headers["location"] == f"/api/shipping/v1/voyages/{made['id']}"
    read = await rep("GET", f"/voyages/{made['id']}")
    assert read.body == expected
    listed = await rep("GET", "/voyages")
    assert listed["items"] == [{k: v for k, v in expected.items() if k != "cargo"}]


@pytest.mark.requirement("PL-7")
async def test_a_stale_change_is_refused_with_the_present_version_and_without_if_match_the_last_wins(
    world: World,
) -> None:
    rep = world.caller(world.crew[0])
    made = await rep.create("One")
    path = f"/voyages/{made['id']}"
    first = await rep("PATCH", path, match='"1"', json={"name": "Two"})
    assert (first.status, first["version"], first.headers["etag"]) == (200, 2, '"2"')
    stale = await rep("PATCH", path, match='"1"', json={"name": "Three"})
    assert (stale.status, stale["code"], stale["version"], stale.headers["etag"]) == (412, "record.stale", 2, '"2"')
    last = await rep("PATCH", path, json={"name": "Four"})
    assert (last.status, last["name"], last["version"]) == (200, "Four", 3)
    history = await rep("GET", f"{path}/history")
    assert [entry["changes"].get("name") for entry in history["items"]] == [
        {"old": "Two", "new": "Four"},
        {"old": "One", "new": "Two"},
        {"old": None, "new": "One"},
    ]


async def test_a_change_without_a_difference_is_none(world: World) -> None:
    rep = world.caller(world.crew[0])
    made = await rep.create("One", crew=3)
    same = await rep("PATCH", f"/voyages/{made['id']}", json={"name": "One ", "crew": 3})
    assert (same.status, same["version"], same["updated_at"]) == (200, 1, made["updated_at"])
    assert len(await world.rows("SELECT FROM journal")) == 1


@pytest.mark.requirement("PL-20")
async def test_a_deleted_record_is_gone_until_it_is_restored(world: World) -> None:
    rep = world.caller(world.crew[0])
    made = await rep.create("One")
    path = f"/voyages/{made['id']}"
    deleted = await rep("DELETE", path)
    assert (deleted.status, deleted["version"], deleted["deleted_at"]) == (200, 2, "2026-11-23T03:00:00Z")
    for method, where, body in (
        ("GET", path, None),
        ("PATCH", path, {"name": "x"}),
        ("DELETE", path, None),
        ("POST", f"{path}/transfer", {"to_user_id": str(world.crew[0])}),
        ("PUT", f"{path}/members/{world.captain}", {"right": "read"}),
    ):
        gone = await rep(method, where, json=body)
        assert (gone.status, gone["code"]) == (404, "record.not_found"), (method, where)
    assert await rep.names() == []
    assert await rep.names(deleted="only") == ["One"] == await rep.names(deleted="include")
    back = await rep("POST", f"{path}/restore")
    assert (back.status, back["version"], back["deleted_at"]) == (200, 3, None)
    assert await rep.names() == ["One"]
    again = await rep("POST", f"{path}/restore")
    assert (again.status, again["code"]) == (409, "record.not_deleted")


async def test_after_thirty_days_nothing_is_restored(world: World) -> None:
    rep = world.caller(world.crew[0])
    made = [await rep.create(name) for name in ("One", "Two")]
    for one in made:
        await rep("DELETE", f"/voyages/{one['id']}")
    world.clock.advance(dt.timedelta(days=30))
    rep = world.caller(world.crew[0])
    assert (await rep("POST", f"/voyages/{made[0]['id']}/restore")).status == 200
    world.clock.advance(dt.timedelta(seconds=1))
    late = await rep("POST", f"/voyages/{made[1]['id']}/restore")
    assert (late.status, late["code"]) == (409, "record.restore_too_late")


@pytest.mark.requirement("PL-20")
async def test_what_happened_earlier_is_entered_with_both_times_by_those_who_may(world: World) -> None:
    rep = world.caller(world.crew[0])
    made = await rep.create("One", occurred_at="2026-03-01T09:00:00+09:00")
    history = await rep("GET", f"/voyages/{made['id']}/history")
    (entry,) = history["items"]
    assert (entry["occurred_at"], entry["recorded_at"]) == ("2026-03-01T00:00:00Z", "2026-11-23T03:00:00Z")
    future = await rep("POST", "/voyages", json={"name": "x", "occurred_at": "2026-11-23T03:02:00Z"})
    assert (future.status, future["code"]) == (422, "record.occurred_in_future")
    plain = world.caller(world.crew[0], permissions=["read", "create", "update"])
    refused = await plain("POST", "/voyages", json={"name": "x", "occurred_at": "2026-03-01T00:00:00Z"})
    assert (refused.status, refused["permission"]) == (403, "shipping.voyage:backdate")
    refused = await plain("PATCH", f"/voyages/{made['id']}", json={"name": "x", "occurred_at": "2026-03-01T00:00:00Z"})
    assert refused.status == 403
    assert len(await world.rows("SELECT FROM journal")) == 1


@pytest.mark.requirement("PL-20")
async def test_an_external_reference_is_unique_per_record_type(world: World) -> None:
    rep, other = world.caller(world.crew[0]), world.caller(world.crew[1])
    ref = {"system": "erp", "id": "1"}
    made = await rep.create("One", external_ref=ref)
    taken = await other("POST", "/voyages", json={"name": "Two", "external_ref": ref})
    assert (taken.status, taken["code"]) == (409, "record.external_ref_taken")
    two = await other.create("Two")
    taken = await other("PATCH", f"/voyages/{two['id']}", json={"external_ref": ref})
    assert (taken.status, taken["code"]) == (409, "record.external_ref_taken")
    freed = await rep("PATCH", f"/voyages/{made['id']}", json={"external_ref": None})
    assert (freed.status, freed["external_ref"]) == (200, None)
    assert (await other("PATCH", f"/voyages/{two['id']}", json={"external_ref": ref})).status == 200
    port = await rep("POST", "/ports", json={"code": "KRPUS", "name": "부산", "external_ref": ref})
    assert port.status == 201


async def test_a_hook_refuses_and_nothing_is_written(world: World) -> None:
    rep = world.caller(world.crew[0])
    refused = await rep("POST", "/voyages", json={"name": "Pirate ship"})
    assert (refused.status, refused["code"]) == (409, "voyage.pirates")
    made = await rep.create("Honest ship")
    refused = await rep("PATCH", f"/voyages/{made['id']}", json={"name": "Pirate ship"})
    assert refused.status == 409
    assert [row["version"] for row in await world.rows("SELECT version FROM journal")] == [1]


async def test_parts_are_in_answers_and_in_every_event(world: World) -> None:
    rep = world.caller(world.crew[0])
    made = await rep.create("One", cargo=[{"goods": "rice", "tons": 3}])
    path = f"/voyages/{made['id']}"
    assert made["cargo"] == [{"goods": "rice", "tons": 3}]
    assert (await rep("PATCH", path, json={"crew": 4}))["cargo"] == [{"goods": "rice", "tons": 3}]
    changed = await rep("PATCH", path, json={"cargo": [{"goods": "tea", "tons": 1}]})
    assert (changed["cargo"], changed["version"]) == ([{"goods": "tea", "tons": 1}], 3)
    assert (await rep("GET", path))["cargo"] == [{"goods": "tea", "tons": 1}]
    states = await world.rows("SELECT data->'state'->'cargo' AS cargo FROM journal ORDER BY version")
    assert [row["cargo"][0]["goods"] for row in states] == ["rice", "rice", "tea"]


@pytest.mark.requirement("PL-23")
async def test_events_say_who_from_where_to_whom_it_counts_and_who_may_see(world: World) -> None:
    rep = world.caller(world.crew[0])
    made = await rep("POST", "/voyages", json={"name": "One"}, headers={"x-crm-address": "192.0.2.7"})
    (row,) = await world.rows("SELECT type, subject, version, data FROM journal")
    data = row["data"]
    assert (row["type"], str(row["subject"]), row["version"]) == ("crm.shipping.voyage.created.v1", made["id"], 1)
    assert data["actor"] == {"kind": "user", "id": str(world.crew[0])}
    assert data["origin"] == {"channel": "api", "address": "192.0.2.7"}
    assert data["access"] == {"owner_id": str(world.crew[0]), "members": []}
    assert data["credit"]["user_id"] == str(world.crew[0])
    assert len(data["credit"]["department_path"]) == 1
    assert data["state"]["name"] == "One"
    port = await rep("POST", "/ports", json={"code": "KRPUS", "name": "부산"})
    (row,) = await world.rows("SELECT data FROM journal WHERE subject = $1", uuid.UUID(port["id"]))
    assert (row["data"]["access"], row["data"]["credit"]) == (None, None)


@pytest.mark.requirement("PL-2")
async def test_numbers_are_unique_however_many_are_drawn_at_once(world: World) -> None:
    rep = world.caller(world.crew[0])
    made = await asyncio.gather(*(rep.create(f"Voyage {index}") for index in range(20)))
    assert len({one["number"] for one in made}) == 20


@pytest.mark.requirement("PL-23")
async def test_a_value_is_set_back_from_the_history(world: World) -> None:
    rep = world.caller(world.crew[0])
    made = await rep.create("One", crew=3, price={"amount": "12.50", "currency": "USD"})
    path = f"/voyages/{made['id']}"
    await rep("PATCH", path, json={"name": "Two", "crew": None, "price": {"amount": "9.00", "currency": "EUR"}})
    await rep("PATCH", path, json={"note": "later"})
    back = await rep("POST", f"{path}/history/2/revert", json={"fields": ["price", "crew"]})
    assert (back.status, back["version"]) == (200, 4)
    assert (back["name"], back["crew"], back["price"]) == ("Two", 3, {"amount": "12.50", "currency": "USD"})
    rest = await rep("POST", f"{path}/history/2/revert", json={})
    assert (rest["name"], rest["note"], rest["version"]) == ("One", "later", 5)
    for version, code in ((1, "record.nothing_to_revert"), (9, "record.not_found")):
        assert (await rep("POST", f"{path}/history/{version}/revert", json={}))["code"] == code
    wrong = await rep("POST", f"{path}/history/2/revert", json={"fields": ["note"]})
    assert (wrong.status, wrong["errors"][0]["pointer"]) == (422, "/fields")
    page = await rep("GET", f"{path}/history", params={"limit": 2})
    assert [entry["version"] for entry in page["items"]] == [5, 4]
    page = await rep("GET", f"{path}/history", params={"limit": 3, "cursor": page["next"]})
    assert ([entry["version"] for entry in page["items"]], page["next"]) == ([3, 2, 1], None)


@pytest.mark.requirement("PL-23")
async def test_the_history_shows_what_was_recorded_in_an_earlier_version_in_the_newest(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    rep = world.caller(world.crew[0])
    made = await rep.create("One")
    path = f"/voyages/{made['id']}"
    await rep("PATCH", path, json={"name": "Two"})
    # As if the release that recorded these had called the name otherwise.
    async with world.database.write(WriteContext(now=dt.datetime.now(dt.UTC))) as session:
        await session.connection.execute(
            "UPDATE journal SET data = jsonb_set(data, '{changes}', jsonb_build_object('label', data#>'{changes,name}')) "
            "WHERE version = 2"
        )

    def label_is_the_name(data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "changes": {"name": data["changes"]["label"]}}

    monkeypatch.setitem(registry.upcasters, "crm.shipping.voyage.changed.v1", label_is_the_name)
    history = await rep("GET", f"{path}/history")
    newest, first = history["items"]
    assert (newest["type"], newest["changes"]) == (
        "crm.shipping.voyage.changed.v2",
        {"name": {"old": "One", "new": "Two"}},
    )
    assert first["type"] == "crm.shipping.voyage.created.v1"
    back = await rep("POST", f"{path}/history/2/revert", json={})
    assert (back.status, back["name"]) == (200, "One")

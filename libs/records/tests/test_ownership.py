"""Who may do what with whose records: scope, members, transfer."""

import uuid
from typing import Any

import pytest

from crm_records.jobs import matching

from .conftest import Caller, World


async def every_change(caller: Caller, record_id: str, friend: uuid.UUID) -> list[tuple[str, int, str]]:
    """What each kind of change answers: 404 for what is not seen, 403 for what is only read."""
    path = f"/voyages/{record_id}"
    found = []
    for name, method, where, body in (
        ("update", "PATCH", path, {"crew": 3}),
        ("revert", "POST", f"{path}/history/2/revert", {}),
        ("share", "PUT", f"{path}/members/{friend}", {"right": "read"}),
        ("unshare", "DELETE", f"{path}/members/{friend}", None),
        ("transfer", "POST", f"{path}/transfer", {"to_user_id": str(friend)}),
        ("delete", "DELETE", path, None),
    ):
        answer = await caller(method, where, json=body)
        found.append((name, answer.status, (answer.body or {}).get("code", "")))
    return found


@pytest.mark.requirement("PL-3", "PL-30")
async def test_what_is_not_seen_is_not_found_whatever_is_asked(world: World) -> None:
    made = await world.caller(world.crew[0]).create("Secret")
    stranger = world.caller(world.crew[1])
    for method, path in (
        ("GET", ""),
        ("GET", "/history"),
        ("GET", "/owners"),
        ("GET", "/members"),
        ("POST", "/restore"),
    ):
        answer = await stranger(method, f"/voyages/{made['id']}{path}")
        missing = await stranger(method, f"/voyages/{uuid.uuid4()}{path}")
        assert (answer.status, answer["code"]) == (404, "record.not_found"), path
        # Nothing but the trace id tells the two apart.
        assert {**answer.body, "trace_id": ""} == {**missing.body, "trace_id": ""}
    # Transfer asks first whom the caller may give records to at all.
    assert await every_change(stranger, made["id"], world.crew[1]) == [
        (name, 404, "record.not_found") for name in ("update", "revert", "share", "unshare", "transfer", "delete")
    ]


@pytest.mark.requirement("PL-3", "PL-21")
async def test_members_never_delete_transfer_or_share(world: World) -> None:
    owner = world.caller(world.crew[0])
    made = await owner.create("Shared")
    friend = world.crew[21]
    await owner("PUT", f"/voyages/{made['id']}/members/{friend}", json={"right": "write"})
    writer = world.caller(friend)
    assert await every_change(writer, made["id"], friend) == [
        ("update", 200, ""),
        ("revert", 409, "record.nothing_to_revert"),
        ("share", 403, "scope.record"),
        ("unshare", 403, "scope.record"),
        ("transfer", 403, "scope.record"),
        ("delete", 403, "scope.record"),
    ]
    await owner("PUT", f"/voyages/{made['id']}/members/{friend}", json={"right": "read"})
    assert {status for _, status, _ in await every_change(world.caller(friend), made["id"], friend)} == {403}
    await owner("DELETE", f"/voyages/{made['id']}/members/{friend}")
    assert {status for _, status, _ in await every_change(world.caller(friend), made["id"], friend)} == {404}


@pytest.mark.requirement("PL-21")
async def test_members_are_put_listed_and_removed_with_an_event_each(world: World) -> None:
    owner = world.caller(world.crew[0])
    made = await owner.create("Shared")
    path = f"/voyages/{made['id']}/members"
    friend = world.crew[21]
    put = await owner(
        "PUT", f"{path}/{friend}", match='"1"', json={"right": "read", "expires_at": "2026-12-01T00:00:00Z"}
    )
    assert (put.status, put.headers["etag"]) == (200, '"2"')
    assert put.body == {"items": [{"user_id": str(friend), "right": "read", "expires_at": "2026-12-01T00:00:00Z"}]}
    assert (await owner("GET", path)).body == put.body
    same = await owner("PUT", f"{path}/{friend}", json={"right": "read", "expires_at": "2026-12-01T00:00:00Z"})
    assert same.headers["etag"] == '"2"'
    stale = await owner("PUT", f"{path}/{friend}", match='"1"', json={"right": "write"})
    assert stale.status == 412
    inactive = "record.owner_not_active"
    for user, code in ((world.crew[0], "record.member_is_owner"), (world.leaver, inactive), (uuid.uuid4(), inactive)):
        assert (await owner("PUT", f"{path}/{user}", json={"right": "read"}))["code"] == code
    removed = await owner("DELETE", f"{path}/{friend}")
    assert (removed.body, removed.headers["etag"]) == ({"items": []}, '"3"')
    assert (await owner("DELETE", f"{path}/{friend}")).status == 404
    events = await world.rows("SELECT type, data->'access'->'members' AS members FROM journal ORDER BY version")
    assert [(row["type"].split(".")[3], len(row["members"])) for row in events] == [
        ("created", 0),
        ("members-changed", 1),
        ("members-changed", 0),
    ]


@pytest.mark.requirement("PL-22")
async def test_a_transfer_changes_the_owner_and_the_old_one_may_stay(world: World) -> None:
    captain = world.caller(world.captain, "subordinates")
    old, new = world.crew[0], world.crew[1]
    made = await world.caller(old).create("Voyage")
    path = f"/voyages/{made['id']}"
    await world.caller(old)("PUT", f"{path}/members/{new}", json={"right": "read"})
    moved = await captain("POST", f"{path}/transfer", json={"to_user_id": str(new), "stay": "read", "reason": " left "})
    assert (moved.status, moved["owner_id"], moved["version"]) == (200, str(new), 3)
    assert (await world.caller(new)("GET", f"{path}/members"))["items"] == [
        {"user_id": str(old), "right": "read", "expires_at": None}
    ]
    assert (await world.caller(old)("PATCH", path, json={"crew": 1})).status == 403
    (event,) = await world.rows("SELECT data FROM journal WHERE version = 3")
    data = event["data"]
    assert (data["from_user_id"], data["to_user_id"], data["reason"]) == (str(old), str(new), "left")
    assert data["access"]["owner_id"] == str(new)
    assert [member["user_id"] for member in data["access"]["members"]] == [str(old)]
    assert data["credit"]["user_id"] == str(new)
    owners = await captain("GET", f"{path}/owners")
    assert [
        (entry["fact"], entry["from_user_id"], entry["to_user_id"], entry["reason"]) for entry in owners["items"]
    ] == [
        ("transferred", str(old), str(new), "left"),
        ("created", None, str(old), None),
    ]
    assert owners["items"][0]["by"] == {"kind": "user", "id": str(world.captain)}
    same = await captain("POST", f"{path}/transfer", match='"3"', json={"to_user_id": str(new)})
    assert (same.status, same["version"]) == (200, 3)
    assert (await captain("POST", f"{path}/transfer", match='"2"', json={"to_user_id": str(old)})).status == 412


@pytest.mark.requirement("PL-22")
async def test_records_go_only_to_active_users_within_reach(world: World) -> None:
    captain = world.caller(world.captain, "subordinates")
    made = await captain.create("Voyage")
    outside = world.crew[21]
    for path, body in (
        (f"/voyages/{made['id']}/transfer", {}),
        ("/voyages/transfer", {"ids": [made["id"]]}),
        ("/voyages/transfer", {"filter": {"field": "name", "op": "eq", "value": "Voyage"}}),
    ):
        for user, status, code in (
            (outside, 403, "scope.target_out_of_scope"),
            (world.leaver, 422, "record.owner_not_active"),
            (uuid.uuid4(), 403, "scope.target_out_of_scope"),
        ):
            answer = await captain("POST", path, json={"to_user_id": str(user), **body})
            assert (answer.status, answer["code"]) == (status, code), (path, user)
    director = world.caller(world.director, "all")
    answer = await director("POST", f"/voyages/{made['id']}/transfer", json={"to_user_id": str(uuid.uuid4())})
    assert answer["code"] == "record.owner_not_active"
    assert await captain.names() == ["Voyage"]


@pytest.mark.requirement("PL-22", "PL-9")
async def test_many_are_transferred_by_ids_or_filter_each_with_its_answer(world: World) -> None:
    captain = world.caller(world.captain, "subordinates")
    first, second = world.crew[0], world.crew[1]
    mine = [await world.caller(first).create(f"Voyage {index}") for index in range(3)]
    hidden = await world.caller(world.crew[21]).create("Voyage hidden")
    ids = [mine[0]["id"], hidden["id"], mine[1]["id"]]
    answer = await captain("POST", "/voyages/transfer", json={"ids": ids, "to_user_id": str(second), "stay": "write"})
    assert [(row["id"], row.get("done") or row["code"]) for row in answer["rows"]] == [
        (ids[0], "transferred"),
        (ids[1], "record.not_found"),
        (ids[2], "transferred"),
    ]
    by_filter = {"filter": {"field": "name", "op": "starts_with", "value": "voyage"}, "to_user_id": str(world.captain)}
    answer = await captain("POST", "/voyages/transfer", json=by_filter)
    assert (answer["ok"], answer["failed"], sorted(row["id"] for row in answer["rows"])) == (
        3,
        0,
        sorted(one["id"] for one in mine),
    )
    assert len(await captain.names(filter='{"field":"owner_id","op":"me"}')) == 3
    # What is seen but can't be transferred (shared) and what could be but isn't seen is no match.
    friend = world.caller(world.crew[21])
    await friend("PUT", f"/voyages/{hidden['id']}/members/{world.captain}", json={"right": "write"})
    assert len(await captain.names()) == 4
    assert (await captain("POST", "/voyages/transfer", json=by_filter))["ok"] == 3
    blind = world.caller(
        world.captain, "subordinates", ["transfer"], classes={"read": "self", "transfer": "subordinates"}
    )
    await world.caller(second).create("Voyage of the crew")
    assert (await blind("POST", "/voyages/transfer", json=by_filter))["ok"] == 3
    assert (await world.caller(world.crew[21])("GET", f"/voyages/{hidden['id']}")).status == 200
    for body, pointer in (
        ({"ids": ids, "filter": {}}, "/ids"),
        ({}, "/ids"),
        ({"ids": [ids[0], ids[0]]}, "/ids"),
        ({"ids": []}, "/ids"),
        ({"filter": {"field": "nope", "op": "eq", "value": 1}}, "/filter/field"),
    ):
        wrong = await captain("POST", "/voyages/transfer", json={**body, "to_user_id": str(second)})
        assert (wrong.status, wrong["errors"][0]["pointer"]) == (422, pointer)


async def test_a_filter_that_matches_too_many_transfers_none(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "MAX_ROWS", 1)
    monkeypatch.setattr(matching, "MAX_MATCHES", 2)
    rep = world.caller(world.crew[0])
    for index in range(3):
        await rep.create(f"Voyage {index}")
    body: dict[str, Any] = {"filter": {"field": "crew", "op": "is_empty"}, "to_user_id": str(world.crew[0])}
    answer = await rep("POST", "/voyages/transfer", json=body)
    assert (answer.status, answer["code"]) == (422, "record.too_many_matches")


async def test_a_record_is_created_for_somebody_else_only_by_who_may_give_it(world: World) -> None:
    captain = world.caller(world.captain, "subordinates")
    made = await captain.create("For the crew", owner_id=str(world.crew[0]))
    assert (made["owner_id"], made["created_by"]) == (str(world.crew[0]), str(world.captain))
    for caller, owner, code in (
        (captain, world.crew[21], "scope.target_out_of_scope"),
        (captain, world.leaver, "record.owner_not_active"),
        (world.caller(world.crew[0]), world.crew[1], "scope.target_out_of_scope"),
        (world.caller(world.captain, "subordinates", ["create"]), world.crew[0], "permission.missing"),
    ):
        assert (await caller("POST", "/voyages", json={"name": "x", "owner_id": str(owner)}))["code"] == code
    assert len(await world.rows("SELECT FROM voyage")) == 1

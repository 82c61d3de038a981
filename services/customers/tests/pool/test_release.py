"""Release, assignment and the pool's history (CU-43, CU-44)."""

import uuid
from pathlib import Path

import pytest
from services.customers.tests.conftest import make_customer, told
from services.customers.tests.pool.pools import assign, claim, make_pool, moves, pooled

from crm_events.archive import keep_in
from crm_testing.archived import LONG_AGO, at_the_archive, recorded_long_ago
from crm_testing.service import Caller, Running


@pytest.mark.requirement("CU-43")
async def test_an_owner_releases_with_a_reason(customers: Running, rep: Caller, colleague: Caller) -> None:
    people = customers.people
    made = await make_customer(rep)
    path = f"/customers/{made['id']}/release"
    assert (await rep("POST", path, json={})).codes == [("/reason", "field.required")]
    assert (await rep("POST", path, json={"reason": ""})).status == 422
    assert (await colleague("POST", path, json={"reason": "not mine"})).status == 404
    assert (await rep("POST", path, json={"reason": "x"}, match='"9"')).status == 412
    released = await rep("POST", path, json={"reason": "No need this year"}, match='"1"')
    assert (released.status, released["owner_id"], released["version"]) == (200, None, 2)
    (default,) = [one for one in (await rep.done("GET", "/pools"))["items"] if one["is_default"]]
    assert (released["pool_id"], released["pooled_at"]) == (default["id"], "2026-11-23T03:00:00Z")
    (*_, (fact, event)) = await told(customers, made)
    assert (fact, event.reason, event.previous_owner_id) == ("released", "No need this year", people.rep.id)
    assert str(event.pool_id) == default["id"]
    assert event.access is not None
    assert event.access.owner_id is None
    assert event.credit is not None
    assert event.credit.user_id == people.rep.id, "who gave it up"
    assert (await rep("GET", f"/customers/{made['id']}")).status == 404
    assert (await rep("POST", path, json={"reason": "again"})).status == 404


@pytest.mark.requirement("CU-13", "CU-43")
async def test_what_is_locked_or_pooled_is_not_released(rep: Caller, admin: Caller) -> None:
    made = await make_customer(rep)
    await rep.done("POST", f"/customers/{made['id']}/lock")
    refused = await rep("POST", f"/customers/{made['id']}/release", json={"reason": "x"})
    assert (refused.status, refused["code"]) == (409, "customer.locked")
    waiting = await pooled(rep)
    refused = await admin("POST", f"/customers/{waiting['id']}/release", json={"reason": "x"})
    assert (refused.status, refused["code"]) == (409, "customer.already_in_pool")
    unknown = {"reason": "x", "pool_id": "01900000-0000-7000-8000-00000000ffff"}
    refused = await rep("POST", f"/customers/{(await make_customer(rep))['id']}/release", json=unknown)
    assert (refused.status, refused.codes) == (422, [("/pool_id", "pool.unknown")])


@pytest.mark.requirement("CU-43", "PL-21")
async def test_members_of_a_customer_do_not_release_it(customers: Running, rep: Caller, colleague: Caller) -> None:
    made = await make_customer(rep)
    await rep.done("PUT", f"/customers/{made['id']}/members/{customers.people.colleague.id}", json={"right": "write"})
    refused = await colleague("POST", f"/customers/{made['id']}/release", json={"reason": "x"})
    assert (refused.status, refused["code"]) == (403, "scope.record")


@pytest.mark.requirement("CU-43", "PL-22")
async def test_a_pooled_customer_changes_hands_only_through_its_pool(
    customers: Running, rep: Caller, admin: Caller
) -> None:
    waiting = await pooled(rep)
    to = {"to_user_id": str(customers.people.rep.id)}
    refused = await admin("POST", f"/customers/{waiting['id']}/transfer", json=to)
    assert (refused.status, refused["code"]) == (409, "customer.already_in_pool")
    owned = await make_customer(rep)
    answer = await admin.done("POST", "/customers/transfer", json={**to, "ids": [waiting["id"], owned["id"]]})
    assert [row["status"] for row in answer["rows"]] == ["error", "ok"]


@pytest.mark.requirement("CU-43", "PL-9")
async def test_an_administrator_assigns_one_or_many_and_is_answered_per_customer(
    customers: Running, admin: Caller, rep: Caller, colleague: Caller, manager: Caller
) -> None:
    people = customers.people
    pool = await make_pool(admin, administrator_ids=[str(people.manager.id)], hold_hours=24, daily_claim_cap=1)
    first, second, elsewhere = await pooled(rep, pool), await pooled(rep, pool), await pooled(rep)
    mine = await make_customer(rep)
    absent = {"id": "01900000-0000-7000-8000-00000000ffff"}
    asked = [first, elsewhere, mine, absent, second]
    answer = await assign(manager, pool["id"], asked, people.colleague, "takes over")
    assert [(row["id"], row["status"], row["code"]) for row in answer["rows"]] == [
        (first["id"], "ok", None),
        (elsewhere["id"], "error", "customer.already_claimed"),
        (mine["id"], "error", "customer.already_claimed"),
        (absent["id"], "error", "customer.already_claimed"),
        (second["id"], "ok", None),
    ]
    for one in (first, second):
        seen = await colleague.done("GET", f"/customers/{one['id']}")
        assert (seen["owner_id"], seen["pool_id"], seen["pooled_at"]) == (str(people.colleague.id), None, None)
        (*_, (fact, event)) = await told(customers, one)
        assert (fact, event.reason, event.previous_owner_id) == ("assigned", "takes over", people.rep.id)
        assert event.actor.id == people.manager.id
        assert event.credit is not None
        assert event.credit.user_id == people.colleague.id


@pytest.mark.requirement("CU-43")
async def test_only_administrators_assign_and_only_to_active_users_within_their_reach(
    customers: Running, admin: Caller, rep: Caller, manager: Caller
) -> None:
    people = customers.people
    pool = await make_pool(admin, administrator_ids=[str(people.manager.id)])
    waiting = await pooled(rep, pool)
    assert (await assign(rep, pool["id"], [waiting], people.rep))["code"] == "permission.missing"
    other = customers.caller(people.other_manager)
    assert (await assign(other, pool["id"], [waiting], people.stranger))["code"] == "pool.not_administrator"
    assert (await assign(manager, pool["id"], [waiting], people.stranger))["code"] == "scope.target_out_of_scope"
    assert (await assign(manager, pool["id"], [waiting], people.leaver)).status == 422
    assert (await assign(admin, "01900000-0000-7000-8000-00000000ffff", [waiting], people.rep)).status == 404
    assert (await assign(manager, pool["id"], [waiting], people.rep))["rows"][0]["status"] == "ok"


@pytest.mark.requirement("CU-44")
async def test_the_history_of_a_pool_and_of_a_customer_tell_each_move(
    customers: Running, admin: Caller, rep: Caller, colleague: Caller
) -> None:
    people = customers.people
    pool = await make_pool(admin)
    customer = await pooled(rep, pool, reason="first")
    await claim(colleague, customer)
    body = {"reason": "second", "pool_id": pool["id"]}
    await colleague.done("POST", f"/customers/{customer['id']}/release", json=body)
    await assign(admin, pool["id"], [customer], people.rep, "back")
    elsewhere = await pooled(rep)
    expected = [
        ("released", people.rep.id, people.rep.id, None, "first"),
        ("claimed", people.colleague.id, people.rep.id, people.colleague.id, None),
        ("released", people.colleague.id, people.colleague.id, None, "second"),
        ("assigned", people.administrator.id, people.colleague.id, people.rep.id, "back"),
    ]
    wanted = [
        (action, str(actor), str(before), None if owner is None else str(owner), reason)
        for action, actor, before, owner, reason in expected
    ]
    for path in (f"/pools/{pool['id']}/history", f"/customers/{customer['id']}/pool-history"):
        found = await moves(rep, path, limit=1)
        told_of = [
            (one["action"], one["actor_id"], one["previous_owner_id"], one["owner_id"], one["reason"]) for one in found
        ]
        assert told_of == wanted
        assert {one["customer_id"] for one in found} == {customer["id"]}
        assert {one["pool_id"] for one in found} == {pool["id"]}
    assert (await colleague("GET", f"/customers/{customer['id']}/pool-history")).status == 404
    assert (await rep("GET", f"/customers/{elsewhere['id']}/pool-history")).status == 404, "a pooled one is nobody's"


@pytest.mark.requirement("CU-44", "PL-23")
async def test_the_history_of_a_pool_is_the_same_when_it_is_archived(
    customers: Running, admin: Caller, rep: Caller, colleague: Caller, tmp_path: Path
) -> None:
    pool = await make_pool(admin)
    customer = await pooled(rep, pool, reason="first")
    await claim(colleague, customer)
    body = {"reason": "a second time, with much to say " * 5, "pool_id": pool["id"]}
    await colleague.done("POST", f"/customers/{customer['id']}/release", json=body)
    await assign(admin, pool["id"], [customer], customers.people.rep, "back")
    paths = (f"/pools/{pool['id']}/history", f"/customers/{customer['id']}/pool-history")
    before = [await moves(rep, path, limit=1) for path in paths]
    assert [[one["action"] for one in found] for found in before] == [
        ["released", "claimed", "released", "assigned"]
    ] * 2
    moved = await recorded_long_ago(customers.dsn, uuid.UUID(customer["id"]))
    # The ids are other ones now; everything else is to stay.
    plain = [await moves(rep, path, limit=1) for path in paths]
    async with at_the_archive(customers.dsn, "customers", tmp_path) as (archiver, storage):
        assert await archiver.archive(LONG_AGO, customers.clock.now()) == moved
    headers = {"authorization": f"Bearer {customers.token(customers.people.rep)}"}
    for path in paths:
        refused = await customers.client.get(f"/api/customers/v1{path}", headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (503, "archive.unreachable")
    keep_in(customers.database, storage)
    assert [await moves(rep, path, limit=1) for path in paths] == plain
    assert [[one["reason"] for one in found] for found in plain] == [
        [one["reason"] for one in found] for found in before
    ]


@pytest.mark.requirement("CU-40")
async def test_members_see_who_waits_the_longest_waiting_first(
    customers: Running, admin: Caller, rep: Caller, colleague: Caller
) -> None:
    people = customers.people
    pool = await make_pool(admin, open_to_all=False, member_user_ids=[str(people.colleague.id)])
    waiting = [await pooled(rep, pool, f"Pooled {number}") for number in range(5)]
    path = f"/pools/{pool['id']}/customers"
    for caller in (rep, customers.caller(people.stranger)):
        refused = await caller("GET", path)
        assert (refused.status, refused["code"]) == (403, "pool.not_member")
        assert (await caller("GET", f"/pools/{pool['id']}/history")).status == 403
    seen, cursor = [], None
    while True:
        params = {"limit": 2} | ({} if cursor is None else {"cursor": cursor})
        page = await colleague.done("GET", path, params=params)
        seen += [one["id"] for one in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
        assert (await admin("GET", path, params=params | {"cursor": cursor}))["code"] == "cursor.invalid"
    assert seen == [one["id"] for one in waiting]
    await claim(colleague, waiting[0])
    await admin.done("DELETE", f"/customers/{waiting[1]['id']}")
    assert [one["id"] for one in (await colleague.done("GET", path))["items"]] == [one["id"] for one in waiting[2:]]

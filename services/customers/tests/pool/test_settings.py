"""Setting up pools (CU-40)."""

import pytest
from services.customers.tests.conftest import told
from services.customers.tests.pool.pools import make_pool

from crm_contracts.customers import PoolCreated
from crm_testing.service import Caller, Running


@pytest.mark.requirement("CU-40")
async def test_a_company_has_a_pool_from_the_start(customers: Running, rep: Caller) -> None:
    (first,) = (await rep.done("GET", "/pools"))["items"]
    assert (first["name"], first["is_default"], first["open_to_all"]) == ("Public pool", True, True)
    assert (first["daily_claim_cap"], first["cooldown_days"], first["hold_hours"]) == (None, 0, 0)
    (event,) = await customers.events("crm.customers.pool.%", first["id"])
    state = PoolCreated.model_validate(event["data"]).state
    assert (event["version"], state.name, state.open_to_all) == (1, "Public pool", True)


@pytest.mark.requirement("CU-40", "PL-7")
async def test_pools_are_set_up_and_changed_by_who_may_configure_them(
    customers: Running, admin: Caller, rep: Caller, manager: Caller
) -> None:
    people = customers.people
    assert (await rep("POST", "/pools", json={"name": "X"})).status == 403
    assert (await manager("POST", "/pools", json={"name": "X"})).status == 403
    made = await make_pool(
        admin,
        name="서울",
        administrator_ids=[str(people.manager.id)],
        member_user_ids=[str(people.rep.id), str(people.colleague.id)],
        member_department_ids=[str(people.north)],
        open_to_all=False,
        daily_claim_cap=5,
        cooldown_days=7,
        hold_hours=1,
    )
    path = f"/pools/{made['id']}"
    assert await rep.done("GET", path) == made
    assert (made["member_user_ids"], made["version"]) == ([str(people.rep.id), str(people.colleague.id)], 1)
    assert (await rep("PATCH", path, json={"name": "Y"})).status == 403
    assert (await admin("PATCH", path, json={"name": "Y"}, match='"2"')).status == 412
    body = {"daily_claim_cap": None, "hold_hours": 2, "member_user_ids": []}
    changed = await admin("PATCH", path, json=body, match='"1"')
    assert (changed["daily_claim_cap"], changed["hold_hours"], changed["member_user_ids"]) == (None, 2, [])
    assert (changed["name"], changed["administrator_ids"], changed["version"]) == ("서울", [str(people.manager.id)], 2)
    assert (await admin.done("PATCH", path, json=body))["version"] == 2, "no difference, no version"
    (created, told_change) = await told(customers, made)
    assert (created[0], told_change[0]) == ("created", "changed")
    assert set(told_change[1].changes) == {"daily_claim_cap", "hold_hours", "member_user_ids"}
    assert told_change[1].state.administrator_ids == [people.manager.id]
    assert (await admin("GET", "/pools/01900000-0000-7000-8000-00000000ffff")).status == 404
    assert (await admin("PATCH", "/pools/01900000-0000-7000-8000-00000000ffff", json={"name": "X"})).status == 404


async def test_a_pool_with_senseless_limits_is_refused(admin: Caller) -> None:
    for wrong in ({"name": ""}, {"daily_claim_cap": 0}, {"hold_hours": -1}, {"cooldown_days": 99999}, {"else": 1}):
        assert (await admin("POST", "/pools", json={"name": "X", **wrong})).status == 422
    made = await make_pool(admin)
    assert (await admin("PATCH", f"/pools/{made['id']}", json={"name": None})).status == 422

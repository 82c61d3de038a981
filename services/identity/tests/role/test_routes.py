import asyncio
from typing import Any

import pytest
from services.identity.tests.conftest import Identity, Organisation

from crm_identity.app import SERVICE

ROLE: dict[str, Any] = {
    "name": "Key accounts",
    "permissions": ["customers.customer:read", "sales.*:read", "analytics.*:*"],
    "scopes": {"customers.customer": {"*": {"scope": "self"}}, "sales.*": {"read": {"scope": "department_tree"}}},
}


@pytest.mark.requirement("ID-10", "ID-12")
async def test_a_role_is_defined_held_and_its_rights_are_in_the_token(
    identity: Identity, organisation: Organisation
) -> None:
    made = await organisation.admin.post("/roles", ROLE)
    assert made.status_code == 201, made.text
    organisation.roles["key"] = made.json()["id"]
    await organisation.user("kim", "key", "general")
    me = (await (await identity.login("kim@example.com")).get("/me")).json()
    assert me["permissions"]["customers"] == {"customer": ["read"]}
    assert me["scopes"]["customers"] == {"customer": {"*": ["self"]}}
    assert me["scopes"]["sales"] == {"*": {"read": ["department_tree"]}}
    event = (await identity.events("crm.identity.role.created.v1", made.json()["id"]))[0]
    assert event["data"]["state"]["scopes"] == made.json()["scopes"]


@pytest.mark.requirement("ID-24")
async def test_an_edit_is_one_event_and_makes_the_tokens_of_all_holders_stale(
    identity: Identity, organisation: Organisation
) -> None:
    role = (await organisation.admin.post("/roles", ROLE)).json()["id"]
    organisation.roles["key"] = role
    callers = []
    for name in ("kim", "lee"):
        await organisation.user(name, "key")
        callers.append(await identity.login(f"{name}@example.com"))
    before = len(await identity.events())
    edited = await organisation.admin.patch(f"/roles/{role}", {"permissions": ["customers.customer:read"]})
    assert edited.json()["epoch"] == 2
    assert len(await identity.events()) == before + 1
    for caller in callers:
        await caller.until_stale()
        assert (await caller.refresh()).status_code == 200
        assert "sales" not in (await caller.get("/me")).json()["permissions"]
    renamed = await organisation.admin.patch(f"/roles/{role}", {"name": "Renamed"})
    assert renamed.json()["epoch"] == 2
    assert (await callers[0].get("/me")).json()["roles"][0]["name"] in ("Key accounts", "Renamed")


@pytest.mark.requirement("ID-1", "ID-10")
async def test_the_super_administrators_rights_are_never_cut(organisation: Organisation) -> None:
    role = organisation.roles["super_administrator"]
    for body in ({"name": "Clerk"}, {"permissions": []}, {"scopes": {}}):
        assert (await organisation.admin.patch(f"/roles/{role}", body)).json()["code"] == "role.immutable"
    assert (await organisation.admin.delete(f"/roles/{role}")).json()["code"] == "role.immutable"
    shipped = organisation.roles["general"]
    assert (await organisation.admin.patch(f"/roles/{shipped}", {"name": "Everybody"})).status_code == 200


@pytest.mark.requirement("ID-11")
async def test_what_no_operation_or_record_is_called_is_refused_with_a_pointer(organisation: Organisation) -> None:
    body = {
        "name": "Wrong",
        "permissions": ["customers.customer:read", "customers.unicorn:read", "nonsense", "*:*", "customers.*:fly", "*"],
        "scopes": {
            "customers.customer": {"read": {"scope": "self"}, "ride": {"scope": "self"}},
            "customers.uni/corn": {"read": {"scope": "all"}},
            "sales.*": {"read": {"scope": "departments", "set_id": "01900000-0000-7000-8000-000000000009"}},
        },
    }
    refused = await organisation.admin.post("/roles", body)
    assert refused.status_code == 422
    assert [error["pointer"] for error in refused.json()["errors"]] == [
        "/permissions/1",
        "/permissions/2",
        "/permissions/3",
        "/permissions/4",
    ]
    body["permissions"] = []
    refused = await organisation.admin.post("/roles", body)
    assert {error["pointer"] for error in refused.json()["errors"]} == {
        "/scopes/customers.customer/ride",
        "/scopes/customers.uni~1corn",
        "/scopes/sales.*/read/set_id",
    }
    without = await organisation.admin.post("/roles", {"name": "W", "scopes": {"*": {"*": {"scope": "departments"}}}})
    assert without.json()["errors"][0]["code"] == "scope.set"
    unknown = await organisation.admin.post("/roles", {"name": "W", "scopes": {"*": {"*": {"scope": "galaxy"}}}})
    assert unknown.json()["errors"][0]["code"] == "field.choice"


async def test_a_held_role_stays_and_a_removed_one_is_given_to_nobody(organisation: Organisation) -> None:
    role = (await organisation.admin.post("/roles", ROLE)).json()["id"]
    double = await organisation.admin.post("/roles", {"name": "KEY ACCOUNTS"})
    assert double.json()["code"] == "role.name_taken"
    organisation.roles["key"] = role
    user = await organisation.user("kim", "key")
    assert (await organisation.admin.delete(f"/roles/{role}")).json()["code"] == "role.held"
    assert (await organisation.admin.patch(f"/users/{user}", {"role_ids": []})).status_code == 200
    deleted, given = await asyncio.gather(
        organisation.admin.delete(f"/roles/{role}"),
        organisation.admin.patch(f"/users/{user}", {"role_ids": [role]}),
    )
    assert (deleted.status_code, given.status_code) in {(204, 422), (409, 200)}


@pytest.mark.requirement("ID-12")
async def test_a_set_of_departments_gives_reach_and_stays_while_it_is_named(
    identity: Identity, organisation: Organisation
) -> None:
    admin = organisation.admin
    wrong = await admin.post("/department-sets", {"name": "X", "departments": ["01900000-0000-7000-8000-000000000009"]})
    assert wrong.json()["errors"][0]["pointer"] == "/departments/0"
    made = await admin.post("/department-sets", {"name": "South", "subtrees": [organisation.departments["south"]]})
    assert made.status_code == 201, made.text
    south = made.json()["id"]
    body = {
        "name": "Auditor",
        "permissions": ["identity.user:read"],
        "scopes": {"identity.user": {"read": {"scope": "departments", "set_id": south}}},
    }
    organisation.roles["auditor"] = (await admin.post("/roles", body)).json()["id"]
    kim = await organisation.user("kim", "auditor")
    lee = await organisation.user("lee", department="south")
    auditor = await identity.login("kim@example.com")
    assert {item["id"] for item in (await auditor.get("/users")).json()["items"]} == {kim, lee}
    assert (await admin.delete(f"/department-sets/{south}")).json()["code"] == "department_set.used"
    changed = await admin.patch(f"/department-sets/{south}", {"subtrees": []})
    assert changed.status_code == 200
    async with asyncio.timeout(10):
        while len((await auditor.get("/users")).json()["items"]) > 1:  # noqa: ASYNC110  (a condition with a deadline)
            await asyncio.sleep(0.02)
    assert (await admin.patch(f"/roles/{organisation.roles['auditor']}", {"scopes": {}})).status_code == 200
    assert (await admin.delete(f"/department-sets/{south}")).status_code == 204
    types = [event["type"].split(".")[-2] for event in await identity.events("crm.identity.department-set.%")]
    assert types == ["created", "changed", "deleted"]


@pytest.mark.requirement("ID-11")
async def test_the_catalogue_lists_every_operation_in_four_languages(
    identity: Identity, organisation: Organisation
) -> None:
    items = (await organisation.admin.get("/permissions")).json()["items"]
    codes = {item["code"] for item in items}
    assert all(set(item["names"]) == {"en", "ko", "zh", "ru"} for item in items)
    assert {route.declared.permission for route in SERVICE.routes if route.declared.permission} <= codes

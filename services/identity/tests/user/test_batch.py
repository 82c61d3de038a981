import asyncio
from typing import Any

import pytest
from services.identity.tests.conftest import PASSWORD, Identity, Organisation

from crm_database import WriteContext
from crm_identity.credential.hashing import Hasher
from crm_identity.user.batch import Row, hash_passwords


def row(name: str, **more: Any) -> dict[str, Any]:
    return {
        "external_ref": {"system": "demo", "id": name},
        "name": name.capitalize(),
        "email": f"{name}@demo.example",
        **more,
    }


def ref(name: str) -> dict[str, str]:
    return {"system": "demo", "id": name}


@pytest.mark.requirement("PL-9")
async def test_a_batch_makes_people_with_superiors_in_any_order_and_twice_is_once(
    identity: Identity, organisation: Organisation
) -> None:
    north = organisation.departments["north"]
    rows = [
        row(
            "kim",
            department_id=north,
            superior_ref=ref("boss"),
            status="active",
            password=PASSWORD,
            role_ids=[organisation.roles["sales_representative"]],
        ),
        row(
            "boss", department_id=north, status="active", password=PASSWORD, role_ids=[organisation.roles["supervisor"]]
        ),
        row("lee", department_id=north),
    ]
    first = (await organisation.admin.post("/users/batch", {"rows": rows})).json()
    assert [one["done"] for one in first["rows"]] == ["created"] * 3
    kim = await identity.login("kim@demo.example")
    assert (await kim.get("/me")).json()["place"]["superior_name"] == "Boss"
    assert (await identity.token("lee@demo.example")).status_code == 400
    before = len(await identity.events())
    again = (await organisation.admin.post("/users/batch", {"rows": rows})).json()
    assert [one["done"] for one in again["rows"]] == ["unchanged"] * 3
    assert len(await identity.events()) == before
    assert (await kim.get("/me")).status_code == 200
    rows[2] = row("lee", department_id=organisation.departments["south"])
    changed = (await organisation.admin.post("/users/batch", {"rows": rows})).json()
    assert [one["done"] for one in changed["rows"]] == ["unchanged", "unchanged", "changed"]


@pytest.mark.requirement("PL-9")
async def test_a_wrong_row_says_why_and_stops_no_other(organisation: Organisation) -> None:
    north = organisation.departments["north"]
    await organisation.user("taken")
    rows = [
        row("good", department_id=north),
        {**row("double", department_id=north), "email": "taken@example.com"},
        row("weak", department_id=north, password="password", status="active"),
        row("none", department_id=north, status="active"),
        row("lost", department_ref=ref("nowhere")),
        row("nowhere"),
        row("a", department_id=north, superior_ref=ref("b")),
        row("b", department_id=north, superior_ref=ref("a")),
        row("report", department_id=north, superior_ref=ref("double")),
        row("same", department_id=north),
        {**row("same too", department_id=north), "email": "same@demo.example"},
        {**row("bad", department_id=north), "email": "nonsense", "mobile": "12", "shoe_size": 42},
        "no row",
    ]
    answer = await organisation.admin.post("/users/batch", {"rows": rows})
    assert answer.status_code == 200, answer.text
    found = [one.get("done") or one["code"] for one in answer.json()["rows"]]
    assert found == [
        "created",
        "user.email_taken",
        "password.unacceptable",
        "user.password_missing",
        "department.unknown",
        "department.unknown",
        "user.superior_cycle",
        "user.superior_cycle",
        "user.unknown_superior",
        "created",
        "user.email_taken",
        "request.invalid",
        "request.invalid",
    ]
    assert (answer.json()["ok"], answer.json()["failed"]) == (2, 11)
    assert {(error["pointer"], error["code"]) for error in answer.json()["rows"][11]["errors"]} == {
        ("/rows/11/email", "field.email"),
        ("/rows/11/mobile", "field.phone"),
        ("/rows/11/shoe_size", "field.unknown"),
    }
    assert (await organisation.admin.get("/users?count=exact")).json()["count"] == 4


async def test_forty_five_people_with_passwords_are_one_request(organisation: Organisation) -> None:
    rows = [
        row(f"agent{number}", department_id=organisation.departments["north"], status="active", password=PASSWORD)
        for number in range(45)
    ]
    answer = await organisation.admin.post("/users/batch", {"rows": rows})
    assert answer.json()["ok"] == 45


async def test_a_batch_changes_only_people_within_reach(identity: Identity, organisation: Organisation) -> None:
    admin = organisation.admin
    role = await admin.post(
        "/roles",
        {
            "name": "Team lead",
            "permissions": ["identity.user:read", "identity.user:import"],
            "scopes": {"identity.*": {"*": {"scope": "subordinates"}}},
        },
    )
    organisation.roles["lead"] = role.json()["id"]
    lead = await organisation.user("lead", "lead")
    north = organisation.departments["north"]
    await admin.post("/users/batch", {"rows": [row("far", department_id=north)]})
    caller = await identity.login("lead@example.com")
    rows = [
        row("far", department_id=organisation.departments["south"]),
        row("new", department_id=north, superior_id=lead),
        row("free", department_id=north),
        row("crown", department_id=north, superior_id=lead, role_ids=[organisation.roles["super_administrator"]]),
    ]
    answer = (await caller.post("/users/batch", {"rows": rows})).json()
    assert [one.get("done") or one["code"] for one in answer["rows"]] == [
        "user.out_of_reach",
        "created",
        "user.out_of_reach",
        "user.super_admin_only",
    ]


class BusyHasher(Hasher):
    """As on a machine that has much else to do."""

    async def hash(self, password: str) -> str:
        await asyncio.sleep(0.5)
        return await super().hash(password)


@pytest.mark.requirement("PL-9")
async def test_hashing_may_take_longer_than_a_transaction_may_stand_idle(identity: Identity) -> None:
    hasher = BusyHasher()
    try:
        async with identity.database.write(WriteContext(now=identity.clock.now())) as session:
            await session.connection.execute("SET LOCAL idle_in_transaction_session_timeout = '100ms'")
            rows = [Row(("demo", "kim"), {"name": "Kim"}, password=PASSWORD)]
            hashes = await hash_passwords(session, hasher, rows)
            # The server would have ended the connection by now.
            assert await session.connection.fetchval("SELECT 1") == 1
        assert await hasher.verify(str(hashes[0]), PASSWORD)
    finally:
        hasher.close()

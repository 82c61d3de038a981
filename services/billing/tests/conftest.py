"""The billing service on a migrated database, with an organisation, and what most tests need of it."""

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from crm_authz import apply_state
from crm_authz.shipped import COLLECTIONS_REPRESENTATIVE, SHIPPED_ROLES, SUPER_ADMINISTRATOR
from crm_billing.app import SERVICE
from crm_contracts import identity
from crm_contracts.customers import CUSTOMER_EVENTS
from crm_contracts.sales import OPPORTUNITY_EVENTS, PRODUCT_EVENTS
from crm_database import WriteContext
from crm_kernel import new_id
from crm_testing.servers import MakeDatabase, SharedPostgres
from crm_testing.service import Answered, Caller, Person, Running, envelope, migrated, running


@pytest.fixture
def billing_dsn(make_database: MakeDatabase, postgres_server: SharedPostgres) -> str:
    return make_database(migrated("billing", postgres_server))


@pytest.fixture
async def billing(billing_dsn: str) -> AsyncIterator[Running]:
    async with running(SERVICE, billing_dsn) as found:
        await _give_roles(found)
        yield found
        assert await found.dead_letters() == []


async def _give_roles(billing: Running) -> None:
    """The directory knows everybody's role: who may decide on approvals goes by it, not by a token."""
    roles: dict[str, uuid.UUID] = {role.key: new_id() for role in SHIPPED_ROLES}
    async with billing.database.write(WriteContext(now=billing.clock.now())) as session:
        for role in SHIPPED_ROLES:
            known = identity.RoleState(
                name=role.key,
                shipped=role.key,
                permissions=list(role.permissions),
                scopes=role.scopes_json(),
                epoch=1,
            )
            await apply_state(session, identity.ROLE_TOPIC.name, roles[role.key], 1, known)
        for person in billing.people.all:
            state = identity.UserState(
                name="Kim",
                status=person.status,
                department_id=person.department,
                superior_id=person.superior,
                role_ids=[roles[person.role.key]],
                super_admin=person.role is SUPER_ADMINISTRATOR,
                epoch=1,
            )
            await apply_state(session, identity.USER_TOPIC.name, person.id, 2, state)


@pytest.fixture
def admin(billing: Running) -> Caller:
    return billing.caller(billing.people.administrator)


@pytest.fixture
def rep(billing: Running) -> Caller:
    return billing.caller(billing.people.rep)


@pytest.fixture
def colleague(billing: Running) -> Caller:
    return billing.caller(billing.people.colleague)


@pytest.fixture
def manager(billing: Running) -> Caller:
    return billing.caller(billing.people.manager)


@pytest.fixture
def executive(billing: Running) -> Caller:
    """The manager's superior."""
    return billing.caller(billing.people.executive)


@pytest.fixture
async def customer(billing: Running) -> str:
    """A customer of the representative's."""
    return await make_customer(billing, billing.people.rep)


def usd(amount: str) -> dict[str, str]:
    """An amount of money, as the API takes it."""
    return {"amount": amount, "currency": "USD"}


def part(amount: str, due_on: str = "2026-12-31", **more: Any) -> dict[str, Any]:
    """An instalment, as the API takes it."""
    return {"amount": usd(amount), "due_on": due_on, **more}


def _told(state: dict[str, Any], owner: Person | None, version: int) -> dict[str, Any]:
    owner_id = None if owner is None else owner.id
    return {
        "version": version,
        "occurred_at": "2026-11-20T09:00:00Z",
        "actor": {"kind": "user", "id": owner_id},
        "origin": {"channel": "api", "address": None},
        "state": {"created_at": "2026-11-20T09:00:00Z", "updated_at": "2026-11-20T09:00:00Z", **state},
        "access": None if owner is None else {"owner_id": owner_id, "members": []},
    }


async def make_customer(billing: Running, owner: Person, **state: Any) -> str:
    """A customer that the customers service told of."""
    values = {
        "number": "AACC-2611-0001",
        "name": "주식회사 예시",
        "lifecycle": "prospect",
        "owner_id": owner.id,
        **state,
    }
    event = envelope(CUSTOMER_EVENTS.created, new_id(), _told(values, owner, 1))
    await billing.hear(event)
    return str(event.subject)


async def make_product(billing: Running, code: str = "GTX-PRO", price: str = "100.00", **state: Any) -> str:
    """A product that the sales service told of."""
    values = {"code": code, "name": code, "list_price": usd(price), **state}
    event = envelope(PRODUCT_EVENTS.created, new_id(), _told(values, None, 1))
    await billing.hear(event)
    return str(event.subject)


async def make_opportunity(billing: Running, owner: Person, **state: Any) -> str:
    """An opportunity that the sales service told of; won unless said otherwise."""
    values = {
        "number": "OPP-2611-0001",
        "name": "GTX for Example",
        "pipeline_id": new_id(),
        "stage_id": new_id(),
        "stage_entered_at": "2026-11-20T09:00:00Z",
        "outcome": "won",
        "opened_on": "2026-11-01",
        "probability": 100,
        "owner_id": owner.id,
        **state,
    }
    event = envelope(OPPORTUNITY_EVENTS.created, new_id(), _told(values, owner, 1))
    await billing.hear(event)
    return str(event.subject)


async def draft(caller: Caller, customer: str, value: str | None = "1000.00", **fields: Any) -> Any:
    """A contract's draft."""
    body = {"name": "A contract", "customer_id": customer, **fields}
    if value is not None:
        body["value"] = usd(value)
    return await caller.done("POST", "/contracts", json=body)


async def plan(caller: Caller, contract_id: str, *parts: dict[str, Any]) -> Answered:
    """Replace a contract's instalments."""
    return await caller("PUT", f"/contracts/{contract_id}/instalments", json={"instalments": list(parts)})


async def submit(caller: Caller, contract_id: str, comment: str | None = None) -> Any:
    return await caller.done("POST", f"/contracts/{contract_id}/submit", json={"comment": comment})


async def waiting_for(caller: Caller) -> list[Any]:
    """The approvals that wait for somebody."""
    found: list[Any] = (await caller.done("GET", "/approvals", params={"role": "to_decide"}))["items"]
    return found


async def decide(caller: Caller, subject_id: str, verb: str = "approve", comment: str | None = None) -> Answered:
    """Decide on what waits for somebody about a record."""
    (approval,) = [one for one in await waiting_for(caller) if one["subject_id"] == subject_id]
    return await caller("POST", f"/approvals/{approval['id']}/{verb}", json={"comment": comment})


async def activate(rep: Caller, manager: Caller, customer: str, *parts: dict[str, Any], value: str = "1000.00") -> Any:
    """An active contract of the representative's, approved by the manager."""
    made = await draft(rep, customer, value)
    if parts:
        assert (await plan(rep, made["id"], *parts)).status == 200
    await submit(rep, made["id"])
    assert (await decide(manager, made["id"])).status == 200
    return await rep.done("GET", f"/contracts/{made['id']}")


def amounts(view: Any) -> dict[str, str | None]:
    """The sums of a balance."""
    return {name: money and money["amount"] for name, money in view.items() if name != "instalments"}


@pytest.fixture
def collector(billing: Running) -> Caller:
    """Somebody who sees to payments; their superior is the manager."""
    return billing.caller(billing.people.colleague, rights=COLLECTIONS_REPRESENTATIVE)


async def pay(caller: Caller, contract_id: str, amount: str, **more: Any) -> Answered:
    """Record a payment. more: allocations, paid_on, …"""
    body = {"contract_id": contract_id, "amount": usd(amount), "paid_on": "2026-11-23", **more}
    headers = {"idempotency-key": more.pop("key")} if "key" in more else {}
    body.pop("key", None)
    return await caller("POST", "/payments", json=body, headers=headers)

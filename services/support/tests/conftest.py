"""The support service on a migrated database, with an organisation, and what most tests need of it."""

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from crm_authz.shipped import SUPPORT_AGENT
from crm_contracts.customers import CONTACT_EVENTS, CUSTOMER_EVENTS
from crm_kernel import new_id
from crm_support.app import SERVICE
from crm_testing.servers import MakeDatabase, SharedPostgres
from crm_testing.service import Answered, Caller, Person, Rights, Running, envelope, migrated, running

AGENT = Rights(SUPPORT_AGENT.permissions, SUPPORT_AGENT.scopes)


@pytest.fixture
def support_dsn(make_database: MakeDatabase, postgres_server: SharedPostgres) -> str:
    return make_database(migrated("support", postgres_server))


@pytest.fixture
async def support(support_dsn: str) -> AsyncIterator[Running]:
    async with running(SERVICE, support_dsn) as found:
        yield found
        assert await found.dead_letters() == []


@pytest.fixture
def admin(support: Running) -> Caller:
    return support.caller(support.people.administrator)


@pytest.fixture
def agent(support: Running) -> Caller:
    """An agent of the north."""
    return support.caller(support.people.agent)


@pytest.fixture
def southern(support: Running) -> Caller:
    """An agent of the south."""
    return support.caller(support.people.stranger, rights=AGENT)


def told(
    events: Any, kind: str, id: uuid.UUID | None, owner: Person | None, version: int, state: dict[str, Any]
) -> Any:
    """One of the customers service's events."""
    owner_id = None if owner is None else owner.id
    times = {"created_at": "2026-11-20T09:00:00Z", "updated_at": "2026-11-20T09:00:00Z"}
    data: dict[str, Any] = {
        "version": version,
        "occurred_at": "2026-11-20T09:00:00Z",
        "actor": {"kind": "user", "id": owner_id},
        "origin": {"channel": "api", "address": None},
        "state": {"owner_id": owner_id, **times, **state},
        "access": {"owner_id": owner_id, "members": []},
    }
    return envelope(getattr(events, kind), id or new_id(), data)


async def make_customer(
    support: Running,
    owner: Person,
    name: str = "주식회사 예시",
    *,
    id: str | None = None,
    version: int = 1,
    **state: Any,
) -> str:
    """A customer that the customers service told of."""
    given = {"number": "AACC-2611-0001", "name": name, "lifecycle": "prospect", **state}
    kind = "deleted" if state.get("deleted") else "created"
    event = told(CUSTOMER_EVENTS, kind, uuid.UUID(id) if id else None, owner, version, given)
    await support.hear(event)
    return str(event.subject)


async def make_contact(support: Running, owner: Person, customer: str, name: str = "Анна Иванова") -> str:
    """A contact that the customers service told of."""
    given = {"customer_id": customer, "name": name, "email": "anna@example.com"}
    event = told(CONTACT_EVENTS, "created", None, owner, 1, given)
    await support.hear(event)
    return str(event.subject)


async def make_ticket(caller: Caller, subject: str = "It doesn't start", **fields: Any) -> Any:
    """A stranger's ticket, unless a requester is given."""
    who = {} if {"customer_id", "contact_id"} & set(fields) else {"stranger_email": "ann@example.com"}
    return await caller.done("POST", "/tickets", json={"subject": subject, **who, **fields})


async def act(caller: Caller, ticket: Any, action: str, **body: Any) -> Answered:
    return await caller("POST", f"/tickets/{ticket['id']}/{action}", json=body)


async def general(caller: Caller) -> Any:
    """The queue that every company has from the start."""
    return next(one for one in (await caller.done("GET", "/queues"))["items"] if one["key"] == "general")


async def ids_of(caller: Caller, path: str = "/tickets", **params: Any) -> list[str]:
    return [one["id"] for one in (await caller.done("GET", path, params=params))["items"]]

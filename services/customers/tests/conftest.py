"""The customers service on a migrated database, with an organisation, and what most tests need of it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from crm_contracts import Event, registry
from crm_customers.app import SERVICE
from crm_testing.servers import MakeDatabase, SharedPostgres
from crm_testing.service import Caller, Running, migrated, running


@pytest.fixture
def customers_dsn(make_database: MakeDatabase, postgres_server: SharedPostgres) -> str:
    return make_database(migrated("customers", postgres_server))


@pytest.fixture
async def customers(customers_dsn: str) -> AsyncIterator[Running]:
    async with running(SERVICE, customers_dsn) as found:
        yield found
        assert await found.dead_letters() == []


@pytest.fixture
def admin(customers: Running) -> Caller:
    return customers.caller(customers.people.administrator)


@pytest.fixture
def rep(customers: Running) -> Caller:
    return customers.caller(customers.people.rep)


@pytest.fixture
def colleague(customers: Running) -> Caller:
    return customers.caller(customers.people.colleague)


@pytest.fixture
def manager(customers: Running) -> Caller:
    return customers.caller(customers.people.manager)


async def make_customer(caller: Caller, name: str = "주식회사 예시", **fields: Any) -> Any:
    return await caller.done("POST", "/customers", json={"name": name, **fields})


async def make_contact(caller: Caller, customer: Any, name: str = "Анна Иванова", **fields: Any) -> Any:
    return await caller.done("POST", "/contacts", json={"customer_id": customer["id"], "name": name, **fields})


async def told(running: Running, record: Any, *, since: int = 0) -> list[tuple[str, Event[Any]]]:
    """What the journal says of a record: facts in their order, each read by the contract that is registered for its type."""
    found = await running.events(subject=record["id"], since=since)
    return [
        (event["type"].split(".")[3], registry.events[event["type"]].model_validate(event["data"])) for event in found
    ]

"""The sales service on a migrated database, with an organisation, and what most tests need of it."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from crm_contracts.customers import CUSTOMER_EVENTS
from crm_kernel import new_id
from crm_sales.app import SERVICE
from crm_testing.servers import MakeDatabase, SharedPostgres
from crm_testing.service import Caller, Person, Running, envelope, migrated, running

USD = "USD"


@pytest.fixture
def sales_dsn(make_database: MakeDatabase, postgres_server: SharedPostgres) -> str:
    return make_database(migrated("sales", postgres_server))


@pytest.fixture
async def sales(sales_dsn: str) -> AsyncIterator[Running]:
    async with running(SERVICE, sales_dsn) as found:
        yield found
        assert await found.dead_letters() == []


@pytest.fixture
def admin(sales: Running) -> Caller:
    return sales.caller(sales.people.administrator)


@pytest.fixture
def rep(sales: Running) -> Caller:
    return sales.caller(sales.people.rep)


@pytest.fixture
def manager(sales: Running) -> Caller:
    return sales.caller(sales.people.manager)


def usd(amount: str) -> dict[str, str]:
    """An amount of money, as the API takes it."""
    return {"amount": amount, "currency": USD}


async def make_product(admin: Caller, code: str = "GTX-PRO", price: str | None = "4821.00", **fields: Any) -> Any:
    body = {"code": code, "name": fields.pop("name", code), **fields}
    if price is not None:
        body["list_price"] = usd(price)
    return await admin.done("POST", "/products", json=body)


async def make_opportunity(caller: Caller, name: str = "A possible sale", **fields: Any) -> Any:
    return await caller.done("POST", "/opportunities", json={"name": name, **fields})


@dataclass(frozen=True)
class Stages:
    """The default pipeline with its stages, by name."""

    pipeline: str
    version: int
    ids: dict[str, str]
    body: dict[str, Any]

    def __getitem__(self, name: str) -> str:
        return self.ids[name]


async def default_stages(caller: Caller) -> Stages:
    found = next(one for one in (await caller.done("GET", "/pipelines"))["items"] if one["is_default"])
    return Stages(found["id"], found["version"], {stage["name"]: stage["id"] for stage in found["stages"]}, found)


@pytest.fixture
async def stages(rep: Caller) -> Stages:
    return await default_stages(rep)


def customer_event(
    kind: str = "created",
    *,
    id: uuid.UUID | None = None,
    owner: Person | None = None,
    version: int = 1,
    members: list[dict[str, Any]] | None = None,
    write_id: uuid.UUID | None = None,
    **state: Any,
) -> Any:
    """One of the customers service's events."""
    owner_id = None if owner is None else owner.id
    data: dict[str, Any] = {
        "version": version,
        "occurred_at": "2026-11-20T09:00:00Z",
        "actor": {"kind": "user", "id": owner_id},
        "origin": {"channel": "api", "address": None},
        "state": {
            "number": f"AACC-2611-{version:04}",
            "name": "주식회사 예시",
            "lifecycle": "prospect",
            "owner_id": owner_id,
            "created_at": "2026-11-20T09:00:00Z",
            "updated_at": "2026-11-20T09:00:00Z",
            **state,
        },
        "access": {"owner_id": owner_id, "members": members or []},
    }
    return envelope(getattr(CUSTOMER_EVENTS, kind), id or new_id(), data, write_id=write_id)


async def make_customer(sales: Running, owner: Person, **state: Any) -> str:
    """A customer that the customers service told of."""
    event = customer_event(owner=owner, **state)
    await sales.hear(event)
    return str(event.subject)

"""A service that keeps replicas of customers, products and opportunities, on a database of its own; and events for it."""

import asyncio
import datetime as dt
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa

from crm_authz import AUTHZ_1, Scope
from crm_contracts import Envelope, Event, registry
from crm_contracts.customers import CUSTOMER_TOPIC
from crm_contracts.sales import OPPORTUNITY_TOPIC, PRODUCT_TOPIC
from crm_database import Database, WriteContext, service_metadata
from crm_records.replica import Column, Replica, replica_ddl_1
from crm_testing.servers import MakeDatabase, SharedPostgres
from crm_testing.service import envelope

NOW = dt.datetime(2026, 11, 23, 3, 0, tzinfo=dt.UTC)

metadata = service_metadata()
CUSTOMERS = Replica(
    metadata,
    "customers.customer",
    CUSTOMER_TOPIC,
    (
        Column("number", required=True),
        Column("name", required=True),
        Column("locked", "boolean", required=True),
        Column("employees", "integer"),
        Column("dealt_at", "instant"),
        Column("parent_id", "id"),
    ),
    extra=(sa.Index("ix_customer_replica_name", "name"),),
)
PRODUCTS = Replica(
    metadata,
    "sales.product",
    PRODUCT_TOPIC,
    (Column("code", required=True), Column("list_price", "money")),
    scoped=False,
)
OPPORTUNITIES = Replica(
    metadata,
    "sales.opportunity",
    OPPORTUNITY_TOPIC,
    (
        Column("customer_id", "id"),
        Column("product_ids", "ids", required=True),
        Column("opened_on", "date", required=True),
        Column("value", "money"),
        Column("lines", "json", required=True),
        Column("totals", "json"),
    ),
)

TABLES: tuple[str, ...] = (
    *AUTHZ_1,
    *replica_ddl_1(
        "customer_replica",
        {
            "number": "TEXT NOT NULL",
            "name": "TEXT NOT NULL",
            "locked": "BOOLEAN NOT NULL",
            "employees": "INTEGER",
            "dealt_at": "TIMESTAMP WITH TIME ZONE",
            "parent_id": "UUID",
        },
    ),
    "CREATE INDEX ix_customer_replica_name ON customer_replica (name)",
    *replica_ddl_1(
        "product_replica",
        {"code": "TEXT NOT NULL", "list_price_currency": "TEXT", "list_price_minor": "BIGINT"},
        scoped=False,
    ),
    *replica_ddl_1(
        "opportunity_replica",
        {
            "customer_id": "UUID",
            "product_ids": "UUID[] NOT NULL",
            "opened_on": "DATE NOT NULL",
            "value_currency": "TEXT",
            "value_minor": "BIGINT",
            "lines": "JSONB NOT NULL",
            "totals": "JSONB",
        },
    ),
)


def execute(dsn: str, statements: Sequence[str]) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


@pytest.fixture
def replicas_dsn(make_database: MakeDatabase, postgres_server: SharedPostgres) -> str:
    return make_database(postgres_server.template("records-replicas", lambda dsn: execute(dsn, TABLES)))


@pytest.fixture
async def database(replicas_dsn: str) -> AsyncIterator[Database]:
    found = await Database.open(replicas_dsn, name="replicas")
    yield found
    await found.close()


def told(
    replica: Replica,
    subject: uuid.UUID,
    version: int,
    fact: str = "changed",
    *,
    owner: uuid.UUID | None = None,
    members: Sequence[dict[str, Any]] | None = (),
    **state: Any,
) -> Envelope:
    """An event of a record. members: None for an event that says nothing of access."""
    event: type[Event[Any]] = registry.events[f"{replica.topic.name}.{fact}.v1"]
    example = registry.examples[event.type]
    data = {
        **example,
        "version": version,
        "state": {**example["state"], "owner_id": owner, "deleted": fact == "deleted", **state},
        "access": None if members is None else {"owner_id": owner, "members": list(members)},
    }
    return envelope(event, subject, data)


async def hear(database: Database, replica: Replica, *envelopes: Envelope) -> set[uuid.UUID]:
    """Give the replica one batch; answers what was news to it."""
    async with database.write(WriteContext(now=NOW)) as session:
        return {one.id for one in await replica.keep(session, envelopes)}


def scope_of(replica: Replica, *owners: uuid.UUID, member: uuid.UUID | None = None, now: dt.datetime = NOW) -> Scope:
    """A read scope over the replica's records."""
    return Scope(replica.record, "read", False, frozenset(owners), member, now)


async def stored(database: Database) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """All customers and all members, as they stand in the database."""
    async with database.read() as session:
        rows = await session.connection.fetch("SELECT * FROM customer_replica ORDER BY id")
        members = await session.connection.fetch("SELECT * FROM record_member ORDER BY record_type, record_id, user_id")
    return [tuple(row) for row in rows], [tuple(row) for row in members]

"""Order is promised per record only: whatever happens between records, the replicas end in the same state."""

import random
import uuid
from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from crm_contracts import Envelope
from crm_testing.servers import MakeDatabase, SharedPostgres
from crm_testing.service import Running, migrated, running
from crm_web.service import load_service

#: What a service keeps of another's records: table → what its rows are told apart by.
REPLICAS = {
    "sales": ("customer_replica", "record_member"),
    "analytics": ("customer_fact", "contact_fact", "record_member"),
}
ORDERS = 6


async def journey(service: Running) -> list[Envelope]:
    """Customers and contacts as people make, share, hand over and release them; the journal of it, in its order."""
    manager, people = service.caller(service.people.manager), service.people
    (pool,) = (await manager.done("GET", "/pools"))["items"]
    for number in range(6):
        customer = await manager.done("POST", "/customers", json={"name": f"Customer {number}"})
        at = f"/customers/{customer['id']}"
        await manager.done("POST", "/contacts", json={"name": "Contact", "customer_id": customer["id"]})
        await manager.done("PATCH", at, json={"name": f"Customer {number}, renamed"})
        await manager.done("PUT", f"{at}/members/{people.colleague.id}", json={"right": "write"})
        if number % 2:
            await manager.done("POST", f"{at}/transfer", json={"to_user_id": str(people.rep.id)})
        else:
            await manager.done("DELETE", f"{at}/members/{people.colleague.id}")
        if number % 3 == 0:
            await manager.done("POST", f"{at}/release", json={"pool_id": pool["id"], "reason": "no need"})
        elif number % 3 == 1:
            await manager.done("DELETE", at)
    rows = await service.rows(
        "SELECT j.* FROM journal j JOIN outbox o USING (event_id) WHERE j.topic LIKE 'crm.customers.%' ORDER BY o.position"
    )
    return [
        Envelope(
            row["event_id"],
            row["type"],
            "/crm/customers",
            row["subject"],
            row["time"],
            _bytes(row["data"]),
            write_id=row["write_id"],
            topic=row["topic"],
            partition=0,
        )
        for row in rows
    ]


def _bytes(data: Any) -> bytes:
    return data.encode() if isinstance(data, str) else orjson.dumps(data)


def interleaved(told: Sequence[Envelope], chance: random.Random) -> list[Envelope]:
    """The same events in another order; those of one record in theirs."""
    waiting: dict[uuid.UUID, list[Envelope]] = {}
    for envelope in told:
        waiting.setdefault(envelope.subject, []).append(envelope)
    order = []
    while waiting:
        subject = chance.choice(sorted(waiting))
        order.append(waiting[subject].pop(0))
        if not waiting[subject]:
            del waiting[subject]
    return order


async def state(service: Running) -> dict[str, list[str]]:
    """All rows of the replica's tables, in one order."""
    return {
        table: [row[0] for row in await service.rows(f"SELECT to_jsonb(t)::text FROM {table} t ORDER BY 1")]
        for table in REPLICAS[service.service.name]
    }


@pytest.fixture
def customers_dsn(make_database: MakeDatabase, postgres_server: SharedPostgres) -> str:
    return make_database(migrated("customers", postgres_server))


@pytest.fixture
def dsns(make_database: MakeDatabase, postgres_server: SharedPostgres) -> dict[str, list[str]]:
    return {
        name: [make_database(migrated(name, postgres_server)) for _ in range(ORDERS + 1)] for name in sorted(REPLICAS)
    }


@pytest.mark.requirement("PL-13")
async def test_any_order_across_records_ends_in_the_same_replica(
    customers_dsn: str, dsns: dict[str, list[str]]
) -> None:
    async with running(load_service("customers"), customers_dsn) as service:
        told = await journey(service)
    assert len({envelope.subject for envelope in told}) >= 12
    chance = random.Random(5)
    for name, (first, *others) in dsns.items():
        async with running(load_service(name), first) as service:
            await service.hear(*told)
            expected = await state(service)
        assert all(expected.values()), "the journey fills every table"
        for dsn in others:
            order = interleaved(told, chance)
            assert order != told
            async with running(load_service(name), dsn) as service:
                # In batches of any size, as a consumer fetches them.
                while order:
                    size = chance.randrange(1, 9)
                    await service.hear(*order[:size])
                    order = order[size:]
                assert await state(service) == expected, name
                assert await service.dead_letters() == []

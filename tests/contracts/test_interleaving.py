"""Order is promised per record only: whatever happens between records and services, the replicas end in the same state."""

import datetime as dt
import random
import uuid
from collections.abc import Sequence
from urllib.parse import urlsplit

import pytest

from crm_contracts import Envelope
from crm_testing.servers import MakeDatabase, SharedPostgres
from crm_testing.service import People, Running, migrated, running
from crm_web.service import load_service

from .told import billing_journey, creations, customers_journey, made, sales_journey, support_journey

#: What a service keeps of the others' records, and what follows from them.
REPLICAS = {
    "sales": ("customer_replica", "contact_replica", "contract_replica", "ticket_replica", "record_member"),
    "billing": ("customer_replica", "product_replica", "opportunity_replica", "record_member"),
    "support": ("customer_replica", "contact_replica", "record_member"),
    "analytics": (
        *("customer_fact", "contact_fact", "opportunity_fact", "opportunity_product", "activity_fact", "product"),
        *("contract_fact", "contract_product", "payment_fact", "payment_product", "record_member"),
    ),
    "customers": (
        *("opportunity_replica", "activity_replica", "contract_replica", "payment_replica", "ticket_replica"),
        *("timeline_entry", "record_member", "customer"),
    ),
}
#: What is compared of a row where that isn't all. How often a first deal was moved back before it was the first is the order's: the version
#: of the customer, not when they became one.
COMPARED = {"customer": "jsonb_build_array(t.id, t.lifecycle, t.dealt_at)"}
#: How often each service hears all of it: once as it was told service by service, then in other orders.
ORDERS = 3


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
    found = {}
    for table in REPLICAS[service.service.name]:
        compared = COMPARED.get(table, "to_jsonb(t)")
        found[table] = [row[0] for row in await service.rows(f"SELECT ({compared})::text FROM {table} t ORDER BY 1")]
    return found


@pytest.fixture
def templates(postgres_server: SharedPostgres) -> dict[str, str]:
    """Migrated databases to copy; not made in the test, because migrations run a loop of their own."""
    return {name: migrated(name, postgres_server) for name in sorted(REPLICAS)}


@pytest.mark.requirement("PL-13", "CU-17")
async def test_any_order_across_records_and_services_ends_in_the_same_replicas(
    templates: dict[str, str], make_database: MakeDatabase
) -> None:
    people = People.make()
    customers_dsn = make_database(templates["customers"])
    async with running(load_service("customers"), customers_dsn, people=people) as service:
        told = {"customers": await customers_journey(service)}
    beginnings = creations(told["customers"])
    customers = made(beginnings, "crm.customers.customer")
    async with running(load_service("sales"), make_database(templates["sales"]), people=people) as service:
        await service.hear(*beginnings)
        told["sales"] = await sales_journey(service, customers)
    (product,) = made(told["sales"], "crm.sales.product")
    async with running(load_service("billing"), make_database(templates["billing"]), people=people) as service:
        await service.hear(*beginnings, *creations(told["sales"]))
        # Contracts are approved after opportunities were won: who hears of them first must not take them for the first deals.
        service.clock.advance(dt.timedelta(days=1))
        told["billing"] = await billing_journey(service, customers, product)
    async with running(load_service("support"), make_database(templates["support"]), people=people) as service:
        await service.hear(*beginnings)
        told["support"] = await support_journey(service, customers)
    chance = random.Random(5)
    for name in REPLICAS:
        template = templates[name]
        others = [envelope for producer, some in told.items() if producer != name for envelope in some]
        if name == "customers":
            # Its timelines have its own events too; its own records stand in its tables before they come round.
            others = [*told["customers"], *others]
            template = urlsplit(customers_dsn).path.removeprefix("/")
        expected: dict[str, list[str]] | None = None
        for turn in range(ORDERS):
            order = interleaved(others, chance) if turn else others
            async with running(load_service(name), make_database(template), people=people) as service:
                # In batches of any size, as a consumer fetches them.
                while order:
                    size = chance.randrange(1, 25)
                    await service.hear(*order[:size])
                    order = order[size:]
                found = await state(service)
                assert await service.dead_letters() == []
            expected = expected or found
            assert all(expected.values()), {table: len(rows) for table, rows in expected.items()}
            assert found == expected, (name, turn)

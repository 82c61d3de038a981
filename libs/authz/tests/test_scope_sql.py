"""The predicate on a real PostgreSQL: the same rows as the oracle, in every shape."""

import random as randomness
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy as sa

from crm_authz import Rule, Scope, record_member
from crm_authz.rules import ACTION_CLASSES
from crm_contracts import Member
from crm_database import SCOPED, Database, WriteContext, insert_rows, query, service_metadata
from crm_testing.servers import MakeDatabase

from .world import NOW, Rules, World, migrated, oracle, some_members, uid

CUSTOMER = "customers.customer"
customer = sa.Table(
    "customer",
    service_metadata(),
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("owner_id", sa.Uuid),
    info=SCOPED,
)
WRITE = WriteContext(now=NOW)
ORGANISATIONS = 40


@pytest.fixture
async def database(make_database: MakeDatabase) -> AsyncIterator[Database]:
    async with migrated(make_database()) as opened:
        async with opened.write(WRITE) as session:
            await session.connection.execute("CREATE TABLE customer (id uuid PRIMARY KEY, owner_id uuid)")
        yield opened


async def fill(database: Database, world: World) -> dict[uuid.UUID, dict[str, Any]]:
    """Random records of random owners and members in the database; answers them as the oracle reads them."""
    random = world.random
    records: dict[uuid.UUID, tuple[uuid.UUID | None, list[Member]]] = {
        uid(5000 + n): (random.choice([None, uid(1999), *world.user_ids]), some_members(random, world.user_ids))
        for n in range(30)
    }
    async with database.write(WRITE) as session:
        await session.connection.execute("TRUNCATE customer, record_member")
        await insert_rows(session, customer, [{"id": key, "owner_id": owner} for key, (owner, _) in records.items()])
        rows = [
            {
                "record_type": record_type,
                "record_id": key,
                "user_id": member.user_id,
                "right": member.right,
                "expires_at": member.expires_at,
            }
            for key, (_, members) in records.items()
            for member in members
            # The same ids shared in another record type must not matter.
            for record_type in ([CUSTOMER] if random.random() < 0.7 else ["customers.contact"])
        ]
        await insert_rows(session, record_member, rows)
    counted = {(row["record_id"], row["user_id"]) for row in rows if row["record_type"] == CUSTOMER}
    return {
        key: {
            "owner": owner,
            "members": [
                {"user": m.user_id, "right": m.right, "expires_at": m.expires_at}
                for m in members
                if (key, m.user_id) in counted
            ],
        }
        for key, (owner, members) in records.items()
    }


async def selected(database: Database, scope: Scope) -> dict[str, list[uuid.UUID]]:
    """The ids that each way of asking gives."""
    asked = customer.alias("c")
    kept = query(sa.select(customer.c.id).where(scope.open_predicate(customer)))
    ways = {
        "predicate": query(sa.select(customer.c.id).where(scope.predicate(customer))),
        "alias": query(sa.select(asked.c.id).where(scope.predicate(customer, asked))),
        # record_member in the statement itself must not be mistaken for the scope's own.
        "joined": query(
            sa.select(customer.c.id)
            .distinct()
            .join(record_member, sa.true(), isouter=True)
            .where(scope.predicate(customer))
        ),
    }
    if not scope.everything and not scope.nothing:
        branches = scope.branches(customer)
        of_owner = sa.select(customer.c.id).where(branches.owned).order_by(customer.c.id).limit(100).lateral("rows")
        parts = [sa.select(of_owner.c.id).select_from(branches.owners.join(of_owner, sa.true()))]
        if branches.shared is not None:
            parts.append(sa.select(customer.c.id).where(branches.shared))
        ways["branches"] = query(sa.union_all(*parts))
    async with database.read() as session:
        found = {name: [row["id"] for row in await session.fetch(statement)] for name, statement in ways.items()}
        found["kept"] = [row["id"] for row in await session.fetch(kept, **scope.parameters(customer))]
    return found


@pytest.mark.requirement("ID-12", "PL-21", "PL-30")
async def test_the_database_gives_the_rows_that_the_oracle_names(database: Database) -> None:
    for seed in range(ORGANISATIONS):
        world = World(randomness.Random(seed))
        records = await fill(database, world)
        directory, told = world.directory(), world.told()
        for _ in range(6):
            holder = world.random.choice([*world.user_ids, uid(1999)])
            rules = [world.rule() for _ in range(world.random.randint(0, 3))]
            action = world.random.choice(ACTION_CLASSES)
            scope = Scope.of(Rules(holder, *rules), directory, CUSTOMER, action, now=NOW)
            expected = sorted(
                key
                for key, record in records.items()
                if oracle.may_reach(told, [str(rule) for rule in rules], holder, record, action, NOW)
            )
            for way, found in (await selected(database, scope)).items():
                # Sorted lists, not sets: nothing twice.
                assert sorted(found) == expected, (seed, way, holder, rules, action)


@pytest.mark.requirement("PL-30")
async def test_negating_a_scope_does_not_open_it(database: Database) -> None:
    """A row without owner makes the condition neither true nor false: it must not turn up on the other side."""
    async with database.write(WRITE) as session:
        await insert_rows(session, customer, [{"id": uid(1), "owner_id": None}, {"id": uid(2), "owner_id": uid(1000)}])
    world = World(randomness.Random(1))
    scope = Scope.of(Rules(uid(1000), Rule("self")), world.directory(), CUSTOMER, "delete", now=NOW)
    async with database.read() as session:
        rows = await session.fetch(query(sa.select(customer.c.id).where(sa.not_(scope.predicate(customer)))))
    assert rows == []

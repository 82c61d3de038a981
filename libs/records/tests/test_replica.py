"""Replicas: order-proof, idempotent, a batch is two statements, and read through the caller's scope."""

import asyncio
import datetime as dt
import random
import uuid
from dataclasses import replace
from typing import Any

import pytest

from crm_contracts import Envelope
from crm_database import Database, UnscopedStatement, WriteContext
from crm_kernel import Money
from crm_records.replica import Replica, store

from .replicas import CUSTOMERS, NOW, OPPORTUNITIES, PRODUCTS, database, hear, replicas_dsn, scope_of, stored, told

__all__ = ["database", "replicas_dsn"]

REP, COLLEAGUE, MANAGER = (uuid.UUID(int=n) for n in (1, 2, 3))


def member(user: uuid.UUID, right: str = "read", until: dt.datetime | None = None) -> dict[str, Any]:
    return {"user_id": user, "right": right, "expires_at": until}


async def visible(database: Database, replica: Replica, scope: Any, *ids: uuid.UUID) -> set[uuid.UUID]:
    async with database.read() as session:
        found = await replica.visible(session, scope, ids)
        assert found == set(await replica.seen(session, scope, ids))
        return found


async def known(database: Database, replica: Replica, record_id: uuid.UUID, unscoped: str | None = "a test") -> Any:
    async with database.read() as session:
        return (await replica.find(session, [record_id], unscoped=unscoped)).get(record_id)


def history(chance: random.Random) -> list[Envelope]:
    """What happened to some customers, in order."""
    events = []
    for customer in (uuid.UUID(int=100 + n) for n in range(4)):
        for version in range(1, chance.randrange(3, 8)):
            fact = "created" if version == 1 else chance.choice(("changed", "deleted", "restored", "members-changed"))
            people = chance.sample((REP, COLLEAGUE, MANAGER), chance.randrange(3))
            members = [member(user, chance.choice(("read", "write")), chance.choice((None, NOW))) for user in people]
            owner = chance.choice((REP, COLLEAGUE, None))
            events.append(told(CUSTOMERS, customer, version, fact, owner=owner, members=members, name=f"v{version}"))
    return events


@pytest.mark.requirement("PL-13")
@pytest.mark.parametrize("seed", range(6))
async def test_any_order_in_any_batches_however_often_ends_in_the_same_rows(database: Database, seed: int) -> None:
    chance = random.Random(seed)
    events = history(chance)
    await hear(database, CUSTOMERS, *events)
    wanted = await stored(database)
    assert len(wanted[0]) == 4
    for _ in range(4):
        async with database.write(WriteContext(now=NOW)) as session:
            await session.connection.execute("TRUNCATE customer_replica, record_member")
        again = events + chance.sample(events, len(events) // 2)
        chance.shuffle(again)
        while again:
            size = chance.randrange(1, 6)
            await hear(database, CUSTOMERS, *again[:size])
            again = again[size:]
        assert await stored(database) == wanted


async def test_what_is_older_changes_nothing_not_even_members(database: Database) -> None:
    customer = uuid.uuid4()
    assert await hear(database, CUSTOMERS, told(CUSTOMERS, customer, 3, owner=COLLEAGUE)) == {customer}
    before = await stored(database)
    older = told(CUSTOMERS, customer, 2, "members-changed", owner=REP, members=[member(REP, "write")])
    same = told(CUSTOMERS, customer, 3, owner=REP, members=[member(REP, "write")])
    assert await hear(database, CUSTOMERS, older) == set()
    assert await hear(database, CUSTOMERS, same) == set()
    assert await stored(database) == before
    assert await visible(database, CUSTOMERS, scope_of(CUSTOMERS, REP, member=REP), customer) == set()
    assert await visible(database, CUSTOMERS, scope_of(CUSTOMERS, COLLEAGUE), customer) == {customer}


async def test_without_the_version_older_ones_would(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = store.upsert_sql

    def unversioned(table: Any) -> str:
        broken = whole(table).replace("WHERE r.version < excluded.version", "")
        assert broken != whole(table)
        return broken

    monkeypatch.setattr(store, "upsert_sql", unversioned)
    with pytest.raises(AssertionError):
        await test_what_is_older_changes_nothing_not_even_members(database)


async def test_members_come_change_and_go_with_their_record(database: Database) -> None:
    one, other = uuid.uuid4(), uuid.uuid4()
    until = NOW + dt.timedelta(minutes=1)
    await hear(
        database,
        CUSTOMERS,
        told(CUSTOMERS, one, 1, owner=REP, members=[member(COLLEAGUE, until=until), member(MANAGER)]),
        told(CUSTOMERS, other, 1, owner=REP, members=[member(COLLEAGUE)]),
    )
    # Scopes judge memberships only for those who reach something at all: themselves, say.
    shared = scope_of(CUSTOMERS, COLLEAGUE, member=COLLEAGUE)
    assert await visible(database, CUSTOMERS, shared, one, other) == {one, other}
    assert await visible(database, CUSTOMERS, replace(shared, now=until), one, other) == {other}
    await hear(database, CUSTOMERS, told(CUSTOMERS, one, 2, owner=REP, members=[member(COLLEAGUE, "write")]))
    assert await visible(database, CUSTOMERS, replace(shared, now=until), one, other) == {one, other}
    assert await visible(database, CUSTOMERS, scope_of(CUSTOMERS, MANAGER, member=MANAGER), one) == set()
    # An event that says nothing of members leaves them, alone or behind another in its batch.
    await hear(database, CUSTOMERS, told(CUSTOMERS, one, 3, owner=REP, members=None))
    assert await visible(database, CUSTOMERS, shared, one) == {one}
    silent = told(CUSTOMERS, one, 5, owner=REP, members=None)
    await hear(database, CUSTOMERS, silent, told(CUSTOMERS, one, 4, owner=REP, members=[member(MANAGER)]))
    assert await visible(database, CUSTOMERS, shared, one) == set()
    assert await visible(database, CUSTOMERS, scope_of(CUSTOMERS, MANAGER, member=MANAGER), one) == {one}
    assert await visible(database, CUSTOMERS, shared, other) == {other}


async def test_deleted_ones_are_known_but_not_shown(database: Database) -> None:
    customer = uuid.uuid4()
    mine = scope_of(CUSTOMERS, REP)
    await hear(database, CUSTOMERS, told(CUSTOMERS, customer, 2, "deleted", owner=REP))
    assert await visible(database, CUSTOMERS, mine, customer) == set()
    async with database.read() as session:
        (seen,) = (await CUSTOMERS.seen(session, mine, [customer], deleted=True)).values()
        assert await CUSTOMERS.seen(session, scope_of(CUSTOMERS, COLLEAGUE), [customer], deleted=True) == {}
    assert (seen.deleted, seen.version, seen.owner_id) == (True, 2, REP)
    assert (await known(database, CUSTOMERS, customer)).deleted
    await hear(database, CUSTOMERS, told(CUSTOMERS, customer, 3, "restored", owner=REP))
    assert await visible(database, CUSTOMERS, mine, customer) == {customer}
    assert not (await known(database, CUSTOMERS, customer)).deleted
    assert await known(database, CUSTOMERS, uuid.uuid4()) is None


async def test_values_of_every_kind_survive(database: Database) -> None:
    customer, parent, product, opportunity = (uuid.uuid4() for _ in range(4))
    at = dt.datetime(2026, 11, 20, 9, 0, 0, 123456, tzinfo=dt.UTC)
    full = told(CUSTOMERS, customer, 1, name="김", locked=True, employees=7, dealt_at=at, parent_id=parent)
    await hear(database, CUSTOMERS, full)
    found = await known(database, CUSTOMERS, customer)
    assert (found["name"], found["locked"], found["employees"]) == ("김", True, 7)
    assert (found["dealt_at"], found["parent_id"], found.owner_id) == (at, parent, None)
    price = {"amount": "0.50", "currency": "USD"}
    line = {"id": parent, "product_id": product, "quantity": "2", "list_price": price, "unit_price": price}
    line |= {"net": price, "tax": price, "total": price}
    totals = {"net": price, "tax": price, "total": price}
    await hear(
        database,
        OPPORTUNITIES,
        told(
            OPPORTUNITIES,
            opportunity,
            1,
            customer_id=customer,
            product_ids=[product, parent],
            opened_on="2026-03-01",
            value=price,
            lines=[line],
            totals=totals,
        ),
    )
    won = await known(database, OPPORTUNITIES, opportunity)
    assert (won["customer_id"], won["product_ids"]) == (customer, (product, parent))
    assert (won["opened_on"], won["value"], won["totals"]) == (dt.date(2026, 3, 1), Money(50, "USD"), totals)
    assert won["lines"] == [
        {**line, "id": str(parent), "product_id": str(product), "discount_percent": "0", "tax_percent": "0"}
    ]


async def test_what_is_empty_is_null_in_the_database_too(database: Database) -> None:
    opportunity = uuid.uuid4()
    empty = told(OPPORTUNITIES, opportunity, 1, customer_id=None, product_ids=[], value=None, lines=[], totals=None)
    await hear(database, OPPORTUNITIES, empty)
    found = await known(database, OPPORTUNITIES, opportunity)
    assert (found["customer_id"], found["product_ids"], found["value"]) == (None, (), None)
    assert (found["lines"], found["totals"]) == ([], None)
    async with database.read() as session:
        assert await session.connection.fetchval("SELECT totals IS NULL FROM opportunity_replica")


async def test_records_without_owners_need_no_scope(database: Database) -> None:
    product = uuid.uuid4()
    await hear(database, PRODUCTS, told(PRODUCTS, product, 1, members=None, list_price=None))
    assert await visible(database, PRODUCTS, None, product, uuid.uuid4()) == {product}
    found = await known(database, PRODUCTS, product, unscoped=None)
    assert (found["list_price"], found.owner_id, found.deleted) == (None, None, False)
    await hear(database, PRODUCTS, told(PRODUCTS, product, 2, "deleted", members=None))
    assert await visible(database, PRODUCTS, None, product) == set()
    async with database.read() as session:
        assert await session.connection.fetchval("SELECT count(*) FROM record_member") == 0


async def test_nobody_reads_past_the_scope_by_mistake(database: Database) -> None:
    customer = uuid.uuid4()
    await hear(database, CUSTOMERS, told(CUSTOMERS, customer, 1, owner=REP))
    wrong = scope_of(OPPORTUNITIES, REP)
    async with database.read() as session:
        for scope in (None, wrong):
            with pytest.raises(ValueError, match="scope"):
                await CUSTOMERS.visible(session, scope, [customer])
            with pytest.raises(ValueError, match="scope"):
                await CUSTOMERS.seen(session, scope, [customer])
        with pytest.raises(ValueError, match="no owners"):
            await PRODUCTS.visible(session, wrong, [customer])
        # Also after somebody had a reason.
        assert customer in await CUSTOMERS.find(session, [customer], unscoped="a test")
        with pytest.raises(UnscopedStatement):
            await CUSTOMERS.find(session, [customer])
        assert await CUSTOMERS.visible(session, wrong, []) == set()
        assert (await CUSTOMERS.seen(session, wrong, []), await CUSTOMERS.find(session, [])) == ({}, {})


async def test_a_batch_is_two_statements_however_large(database: Database) -> None:
    events = [told(CUSTOMERS, uuid.uuid4(), 1, owner=REP, members=[member(MANAGER)]) for _ in range(200)]
    notes: list[str] = []

    def note(record: Any) -> None:
        notes.append(record.query)

    async with database.write(WriteContext(now=NOW)) as session:
        # The driver asks for types once.
        await CUSTOMERS.keep(session, [told(CUSTOMERS, uuid.uuid4(), 1, members=[member(MANAGER)])])
        session.connection.add_query_logger(note)
        assert len(await CUSTOMERS.keep(session, events)) == 200
        session.connection.remove_query_logger(note)
    assert len(notes) == 2
    rows, members = await stored(database)
    assert (len(rows), len(members)) == (201, 201)


async def test_types_that_nobody_knows_yet_are_left_alone(database: Database) -> None:
    unknown = replace(told(CUSTOMERS, uuid.uuid4(), 1), type="crm.customers.customer.praised.v1")
    assert await hear(database, CUSTOMERS, unknown, told(PRODUCTS, uuid.uuid4(), 1, members=None)) == set()
    assert await hear(database, CUSTOMERS) == set()


async def test_the_reaction_keeps_what_it_is_given(database: Database) -> None:
    reaction = CUSTOMERS.reaction("billing.customers")
    assert (reaction.group, reaction.topics, reaction.projection) == (
        "billing.customers",
        ("crm.customers.customer",),
        True,
    )
    customer = uuid.uuid4()
    async with database.write(WriteContext(now=NOW)) as session:
        assert reaction.handle_batch is not None
        await reaction.handle_batch(session, [told(CUSTOMERS, customer, 1, owner=REP)])
    assert await visible(database, CUSTOMERS, scope_of(CUSTOMERS, REP), customer) == {customer}


async def test_two_batches_over_the_same_records_never_lock_each_other_up(database: Database) -> None:
    """One goes up, one goes down, and a third holds them both up in the middle until both wait."""
    ids = [uuid.UUID(int=200 + n) for n in range(3)]
    await hear(database, CUSTOMERS, *(told(CUSTOMERS, one, 1) for one in ids))
    up = [told(CUSTOMERS, one, 2, name="up") for one in ids]
    down = [told(CUSTOMERS, one, 3, name="down") for one in reversed(ids)]
    async with database.write(WriteContext(now=NOW)) as session:
        await session.connection.execute("SELECT FROM customer_replica WHERE id = $1 FOR UPDATE", ids[1])
        batches = []
        for waiting, batch in enumerate((up, down), 1):
            batches.append(asyncio.create_task(hear(database, CUSTOMERS, *batch)))
            await _waiting(database, waiting)
    assert await asyncio.wait_for(asyncio.gather(*batches), 20) == [set(ids), set(ids)]
    assert {row[3] for row in (await stored(database))[0]} == {"down"}


async def _waiting(database: Database, count: int) -> None:
    """Until so many connections wait for a lock."""
    asked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with database.read() as session, asyncio.timeout(10):
        while await session.connection.fetchval(asked) < count:  # noqa: ASYNC110  (no event tells of it)
            await asyncio.sleep(0.01)  # Between two looks; the deadline is above.

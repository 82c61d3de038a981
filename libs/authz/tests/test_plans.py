"""What the planner makes of the scope's shapes: counted in rows touched, not in time (docs/architecture/data-scope.md)."""

import asyncio
import datetime as dt
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import orjson
import pytest
import sqlalchemy as sa

from crm_authz import AUTHZ_1, Branches, Scope, record_member
from crm_database import SCOPED, ScopeMark, instant, query, service_metadata
from crm_testing.servers import MakeDatabase, SharedPostgres

from .world import NOW, uid

Connection = Any  # asyncpg.Connection is generic in its stubs only.
CUSTOMER = "customers.customer"
PAGE, RECORDS, OWNERS, SHARED_EACH = 50, 60_000, 600, 30
customer = sa.Table(
    "customer",
    service_metadata(),
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("owner_id", sa.Uuid),
    instant("updated_at"),
    info=SCOPED,
)
NEWEST = (customer.c.updated_at.desc(), customer.c.id.desc())

_FILL = f"""
CREATE TABLE customer (id uuid PRIMARY KEY, owner_id uuid, updated_at timestamptz NOT NULL);
INSERT INTO customer SELECT
  lpad(to_hex(n), 32, '0')::uuid, lpad(to_hex(n * 7919 % {OWNERS} + 1), 32, '0')::uuid, '2026-01-01Z'::timestamptz + n * '1 min'::interval
  FROM generate_series(1, {RECORDS}) AS n;
CREATE INDEX ON customer (owner_id, updated_at DESC, id DESC);
CREATE INDEX ON customer (updated_at DESC, id DESC);
INSERT INTO record_member SELECT
  '{CUSTOMER}', lpad(to_hex(n * 31 % {RECORDS} + 1), 32, '0')::uuid, lpad(to_hex(n % {OWNERS} + 1), 32, '0')::uuid,
  CASE WHEN n % 2 = 0 THEN 'read' ELSE 'write' END, CASE WHEN n % 5 = 0 THEN '2026-01-01Z'::timestamptz END
  FROM generate_series(1, {OWNERS * SHARED_EACH}) AS n;
VACUUM ANALYZE customer;
VACUUM ANALYZE record_member
"""


@pytest.fixture(scope="module")
def filled(postgres_server: SharedPostgres) -> str:
    """One database for all plans: filling it takes longer than asking it."""

    async def fill(dsn: str) -> None:
        connection = await asyncpg.connect(dsn)
        try:
            for statement in [*AUTHZ_1, *_FILL.split(";\n")]:
                await connection.execute(statement)
        finally:
            await connection.close()

    def build(dsn: str) -> None:
        asyncio.run(fill(dsn))

    return postgres_server.template("authz plans", build)


@pytest.fixture
async def connection(filled: str, make_database: MakeDatabase) -> AsyncIterator[Connection]:
    opened = await asyncpg.connect(make_database(template=filled), server_settings={"timezone": "UTC", "jit": "off"})
    yield opened
    await opened.close()


def scope_of(owners: int, action: str = "read") -> Scope:
    holder = uid(1)
    return Scope(
        CUSTOMER,
        action,  # type: ignore[arg-type]
        False,
        frozenset(uid(n) for n in range(1, owners + 1)),
        holder if action in ("read", "write") else None,
        NOW,
    )


def any_page(mark: ScopeMark) -> sa.Select[Any]:
    return sa.select(customer.c.id, customer.c.updated_at).where(mark).order_by(*NEWEST).limit(PAGE)


def lateral_page(branches: Branches) -> sa.Select[Any]:
    """As the list engine asks: the newest page of each owner, the shared ones, and the newest page of all that."""
    page = sa.select(customer.c.id, customer.c.updated_at).order_by(*NEWEST).limit(PAGE)
    of_owner = page.where(branches.owned).lateral("of_owner")
    parts = [sa.select(of_owner.c.id, of_owner.c.updated_at).select_from(branches.owners.join(of_owner, sa.true()))]
    if branches.shared is not None:
        shared = page.where(branches.shared).subquery()
        parts.append(sa.select(shared.c.id, shared.c.updated_at))
    together = sa.union_all(*parts).subquery()
    return sa.select(together).order_by(together.c.updated_at.desc(), together.c.id.desc()).limit(PAGE)


def _literal(value: Any) -> str:
    """A parameter as EXPLAIN EXECUTE takes it; the values are this test's own."""
    if isinstance(value, list):
        return "'{" + ",".join(str(item) for item in value) + "}'::uuid[]"
    if isinstance(value, uuid.UUID):
        return f"'{value}'::uuid"
    if isinstance(value, dt.datetime):
        return f"'{value.isoformat()}'::timestamptz"
    return str(int(value))


async def plan_of(connection: Connection, statement: Any, mode: str) -> list[dict[str, Any]]:
    """All nodes of the plan that ran, by PREPARE and EXECUTE as the driver does; mode: of plan_cache_mode."""
    compiled = query(statement)
    await connection.execute(f"SET plan_cache_mode = {mode}")
    await connection.execute(f"PREPARE asked AS {compiled.sql}")
    try:
        values = ", ".join(_literal(value) for value in compiled.arguments({}))
        said = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE asked({values})")
    finally:
        await connection.execute("DEALLOCATE asked")
    return list(_nodes(orjson.loads(said)[0]["Plan"]))


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for below in node.get("Plans", ()):
        yield from _nodes(below)


def touched(nodes: list[dict[str, Any]], table: str = "customer") -> float:
    """Rows of a table that were looked at, kept or not, over all loops."""
    return sum(
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0))
        * node["Actual Loops"]
        for node in nodes
        if node.get("Relation Name") == table
    )


def complaints(nodes: list[dict[str, Any]]) -> list[str]:
    """What no plan of a scope may do, whatever the width."""
    found = []
    for node in nodes:
        if node["Node Type"] == "Seq Scan" and node.get("Relation Name") in ("customer", "record_member"):
            found.append(f"reads all of {node['Relation Name']}")
        if node.get("Parent Relationship") == "SubPlan":
            found.append("asks for memberships row by row")
    return found


MODES = ["force_generic_plan", "force_custom_plan"]


@pytest.mark.requirement("PL-30")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("owners", [40, 200, 600])
async def test_many_owners_walk_an_index_and_ask_for_memberships_once(
    connection: Connection, owners: int, mode: str
) -> None:
    nodes = await plan_of(connection, any_page(scope_of(owners).predicate(customer)), mode)
    assert complaints(nodes) == []
    # Walking the newest, every (OWNERS / owners)-th row counts; or else the rows of all owners are collected.
    assert touched(nodes) <= max(PAGE * OWNERS / owners * 3, RECORDS / OWNERS * owners * 1.5 + 200)
    assert touched(nodes, "record_member") <= SHARED_EACH


@pytest.mark.requirement("PL-30")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("owners", [1, 8, 16])
@pytest.mark.parametrize("action", ["read", "write", "delete"])
async def test_few_owners_touch_a_page_per_owner_and_the_shared_records(
    connection: Connection, owners: int, mode: str, action: str
) -> None:
    nodes = await plan_of(connection, lateral_page(scope_of(owners, action).branches(customer)), mode)
    assert complaints(nodes) == []
    assert touched(nodes) <= PAGE * owners + SHARED_EACH
    assert touched(nodes, "record_member") <= SHARED_EACH


@pytest.mark.parametrize("owners", [1, 16, 40])
async def test_both_shapes_give_the_same_page(connection: Connection, owners: int) -> None:
    scope = scope_of(owners)
    pages = []
    for statement in (any_page(scope.predicate(customer)), lateral_page(scope.branches(customer))):
        compiled = query(statement)
        pages.append([row["id"] for row in await connection.fetch(compiled.sql, *compiled.arguments({}))])
    assert pages[0] == pages[1]
    assert len(pages[0]) == PAGE


async def test_everything_reads_one_page(connection: Connection) -> None:
    nodes = await plan_of(connection, any_page(Scope.system("a test").predicate(customer)), "force_generic_plan")
    assert complaints(nodes) == []
    assert touched(nodes) == PAGE


async def test_the_plan_test_notices_the_forbidden_exists(connection: Connection) -> None:
    """The guard of this file: the shape that was measured at 57 ms is complained of."""
    member = record_member.c
    shared = sa.exists().where(
        member.record_id == customer.c.id, member.user_id == uid(1), member.record_type == CUSTOMER
    )
    owners = sa.bindparam("owners", [uid(1), uid(2)], type_=sa.ARRAY(sa.Uuid))
    forbidden = ScopeMark(customer, sa.or_(customer.c.owner_id == sa.func.any(owners), shared))
    statement = any_page(forbidden)
    compiled = query(statement)
    said = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {compiled.sql}", *compiled.arguments({}))
    assert complaints(list(_nodes(orjson.loads(said)[0]["Plan"])))

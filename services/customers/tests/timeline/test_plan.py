"""A page of a long timeline is read from the index, entry by entry, not by sorting what there is: counted in rows touched."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import orjson
import pytest

from crm_authz import Scope
from crm_customers.timeline.page_store import Branch, statement
from crm_customers.timeline.sources_store import SOURCES
from crm_database.migrate import upgrade
from crm_testing.servers import MakeDatabase, SharedPostgres
from crm_testing.service import NOW

ENTRIES, PAGE, OWNERS = 20_000, 51, 600
CUSTOMER, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)
_FOREIGN = {
    "sales.opportunity": ("opportunity_replica", "name"),
    "sales.activity": ("activity_replica", "subject"),
    "support.ticket": ("ticket_replica", "subject"),
}


async def _fill(dsn: str) -> None:
    """Entries of one customer about foreign records of many owners, four of each record; and as many of another customer."""
    connection = await asyncpg.connect(dsn)
    try:
        for record_type, (table, name) in _FOREIGN.items():
            for customer in (CUSTOMER, OTHER):
                await connection.execute(
                    f"INSERT INTO {table} (id, version, number, {name}, customer_id, owner_id, deleted) "
                    "SELECT gen_random_uuid(), 1, 'N', 'A name', $1, lpad(to_hex(n % $2 + 1), 32, '0')::uuid, false "
                    "FROM generate_series(1, $3) AS n",
                    customer,
                    OWNERS,
                    ENTRIES // len(_FOREIGN) // 4,
                )
            await connection.execute(
                "INSERT INTO timeline_entry (id, customer_id, record_type, record_id, version, kind, at, recorded_at, summary) "
                "SELECT gen_random_uuid(), r.customer_id, $1, r.id, n, 'changed', "
                "'2026-01-01Z'::timestamptz + random() * '300 days'::interval, now(), '{}' "
                f"FROM {table} AS r, generate_series(1, 4) AS n",
                record_type,
            )
            await connection.execute(f"VACUUM ANALYZE {table}")
        await connection.execute("VACUUM ANALYZE timeline_entry")
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def filled(postgres_server: SharedPostgres) -> str:
    """One database for all plans: filling it takes longer than asking it."""

    def build(dsn: str) -> None:
        upgrade("customers", dsn)
        asyncio.run(_fill(dsn))

    return postgres_server.template("timeline plans", build)


@pytest.fixture
async def connection(filled: str, make_database: MakeDatabase) -> AsyncIterator[Any]:
    opened = await asyncpg.connect(
        make_database(template=filled), server_settings={"timezone": "UTC", "jit": "off"}, statement_cache_size=0
    )
    yield opened
    await opened.close()


def scope_of(record_type: str, owners: int) -> Scope:
    """Of so many owners, and what is shared with the first; of everybody when there are more than that."""
    if owners > OWNERS:
        return Scope(record_type, "read", True, frozenset(), None, NOW)
    ids = frozenset(uuid.UUID(int=number) for number in range(1, owners + 1))
    return Scope(record_type, "read", False, ids, uuid.UUID(int=1), NOW)


def _nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for child in plan.get("Plans", []) for node in _nodes(child))]


@pytest.mark.requirement("CU-17")
@pytest.mark.parametrize("goes_on", [False, True])
@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
async def test_a_page_of_a_long_timeline_touches_little_more_than_it_shows(
    connection: Any, mode: str, goes_on: bool
) -> None:
    await connection.execute(f"SET plan_cache_mode = {mode}")
    for owners in (16, 300, OWNERS + 1):
        scopes = {key: scope_of(key, owners) for key in _FOREIGN}
        branches = tuple(Branch(SOURCES[key], scope.shape, scope) for key, scope in scopes.items())
        compiled = statement(branches, (False, False, goes_on), PAGE)
        given: dict[str, Any] = {"customer_id": CUSTOMER, "after_at": NOW, "after_id": uuid.UUID(int=0)}
        for branch in branches:
            given |= branch.scope.parameters(branch.source.table)
        given = {name: given[name] for name in compiled.names if name in given}
        (said,) = orjson.loads(
            await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {compiled.sql}", *compiled.arguments(given))
        )
        nodes = _nodes(said["Plan"])
        entries = [node for node in nodes if node.get("Relation Name") == "timeline_entry"]
        assert {node.get("Index Name") for node in entries} == {"ix_timeline_entry_page"}, (owners, nodes)
        touched = sum(node["Actual Rows"] * node["Actual Loops"] for node in entries)
        # Of half the owners, one entry in two is shown; of 16 of 600, one in 37, and a page is found among that many.
        share = min(1.0, owners / OWNERS)
        assert touched <= len(_FOREIGN) * PAGE / share * 1.6, (owners, touched)
        ordered = [node["Plans"][0]["Actual Rows"] for node in nodes if "Sort" in node["Node Type"]]
        assert all(count <= len(_FOREIGN) * PAGE for count in ordered), (owners, ordered)
        assert said["Plan"]["Actual Rows"] == PAGE
        # What is shared with the caller is asked once, not per entry.
        members = [node["Actual Loops"] for node in nodes if node.get("Relation Name") == "record_member"]
        assert all(loops <= 1 for loops in members), members
        assert bool(members) == (owners <= OWNERS)

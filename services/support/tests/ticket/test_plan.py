"""Lists of tickets by age are read from an index, as many as are shown; what waits in queues, too (SU-6): counted in rows touched."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import orjson
import pytest

from crm_authz import Scope
from crm_database.migrate import upgrade
from crm_kernel import CompanyCalendar
from crm_records.asked import ask
from crm_records.filter import FilterContext
from crm_records.listing import _page_statement
from crm_support.ticket.record import TICKET
from crm_support.ticket.tables import ticket
from crm_testing.servers import MakeDatabase, SharedPostgres
from crm_testing.service import NOW

TICKETS, OWNERS, PAGE = 30_000, 300, 51


async def _fill(dsn: str) -> None:
    """Tickets of many owners, made in another order than they were changed in."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(
            "INSERT INTO ticket (id, version, subject, channel, priority, status, queue, owner_id, created_at, updated_at) "
            "SELECT gen_random_uuid(), 1, 'A subject', 'api', 'normal', 'open', 'general', "
            "lpad(to_hex(n % $1 + 1), 32, '0')::uuid, '2026-01-01Z'::timestamptz + n * '1 minute'::interval, "
            "'2026-02-01Z'::timestamptz + random() * '200 days'::interval FROM generate_series(1, $2) AS n",
            OWNERS,
            TICKETS,
        )
        await connection.execute("VACUUM ANALYZE ticket")
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def filled(postgres_server: SharedPostgres) -> str:
    """One database for all plans: filling it takes longer than asking it."""

    def build(dsn: str) -> None:
        upgrade("support", dsn)
        asyncio.run(_fill(dsn))

    return postgres_server.template("ticket plans", build)


@pytest.fixture
async def connection(filled: str, make_database: MakeDatabase) -> AsyncIterator[Any]:
    opened = await asyncpg.connect(
        make_database(template=filled), server_settings={"timezone": "UTC", "jit": "off"}, statement_cache_size=0
    )
    yield opened
    await opened.close()


def _scope(owners: int) -> Scope:
    """Of so many owners; of everybody when there are more than that."""
    if owners > OWNERS:
        return Scope(TICKET.key, "read", True, frozenset(), None, NOW)
    ids = frozenset(uuid.UUID(int=number) for number in range(1, owners + 1))
    return Scope(TICKET.key, "read", False, ids, uuid.UUID(int=1), NOW)


def _nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for child in plan.get("Plans", []) for node in _nodes(child))]


@pytest.mark.requirement("SU-6")
@pytest.mark.parametrize("sort", ["created_at", "-created_at"])
@pytest.mark.parametrize(
    ("owners", "index"), [(3, "ix_ticket_owner_age"), (150, "ix_ticket_age"), (OWNERS + 1, "ix_ticket_age")]
)
async def test_a_page_by_age_touches_little_more_than_it_shows(
    connection: Any, owners: int, index: str, sort: str
) -> None:
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    scope = _scope(owners)
    asked = ask(TICKET, FilterContext(None, tuple, NOW, CompanyCalendar("UTC")), sort=sort, limit=PAGE - 1)
    statement = _page_statement(TICKET, scope, asked, 0, None)
    given = scope.parameters(ticket)
    arguments = statement.arguments({name: given[name] for name in statement.names if name in given})
    (said,) = orjson.loads(await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement.sql}", *arguments))
    read = [node for node in _nodes(said["Plan"]) if node.get("Relation Name") == "ticket"]
    walked = [node for node in read if node["Actual Rows"]]
    assert {node.get("Index Name") for node in walked} == {index}, walked
    touched = sum(
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"] for node in walked
    )
    # Owner by owner a page of each; else one ticket in two is within the scope, or all are.
    assert touched <= (owners * PAGE if owners == 3 else 4 * PAGE), touched
    assert said["Plan"]["Actual Rows"] == PAGE

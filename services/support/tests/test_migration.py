"""The migration makes the tables that the code declares, and the first queue."""

import asyncpg
from services.support.tests.conftest import general
from sqlalchemy.dialects import postgresql

from crm_contracts.support import QueueCreated
from crm_records import ddl
from crm_support.app import SERVICE
from crm_support.metadata import metadata
from crm_testing.service import Caller, Running

_COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod) AS type, attnotnull FROM pg_attribute
WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""


async def test_the_migration_makes_the_declared_tables(support_dsn: str) -> None:
    assert SERVICE.name == "support"
    dialect = postgresql.dialect()
    spelled = {"TIMESTAMP WITH TIME ZONE": "timestamp with time zone"}
    connection = await asyncpg.connect(support_dsn)
    try:
        assert {"ticket", "reply", "queue", "customer_replica", "contact_replica"} <= set(metadata.tables)
        for table in metadata.tables.values():
            there = await connection.fetch(_COLUMNS, table.name)
            declared = [(c.name, spelled.get(t := c.type.compile(dialect), t.lower()), not c.nullable) for c in table.c]
            assert [tuple(row) for row in there] == declared, table.name
            # Expressions and conditions are compared too: what the declaration makes beside it, under another name.
            made = await connection.fetch("SELECT indexdef FROM pg_indexes WHERE tablename = $1", table.name)
            await connection.execute("CREATE SCHEMA declared")
            try:
                await connection.execute("SET search_path = declared, public")
                for statement in ddl(table):
                    await connection.execute(statement.replace("REFERENCES ", "REFERENCES public."))
                wanted = await connection.fetch(
                    "SELECT indexdef FROM pg_indexes WHERE tablename = $1 AND schemaname = 'declared'", table.name
                )
            finally:
                await connection.execute("SET search_path = public; DROP SCHEMA declared CASCADE")
            assert {row[0] for row in made} == {row[0].replace("declared.", "public.") for row in wanted}, table.name
    finally:
        await connection.close()


async def test_a_company_has_a_queue_from_the_start(support: Running, agent: Caller) -> None:
    first = await general(agent)
    assert (first["open_to_all"], first["member"]) == (True, True)
    (event,) = await support.events("crm.support.queue.%", first["id"])
    assert QueueCreated.model_validate(event["data"]).state.key == "general"

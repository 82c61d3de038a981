"""The migration makes the tables that the code declares."""

import asyncpg
from sqlalchemy.dialects import postgresql

from crm_customers.metadata import metadata
from crm_records import ddl

_COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod) AS type, attnotnull FROM pg_attribute
WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
_SPELLED = {"TIMESTAMP WITH TIME ZONE": "timestamp with time zone"}


async def test_the_migration_makes_the_declared_tables(customers_dsn: str) -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    assert set(metadata.tables) >= {"customer", "contact", "pool"}
    connection = await asyncpg.connect(customers_dsn)
    try:
        for table in metadata.tables.values():
            there = await connection.fetch(_COLUMNS, table.name)
            types = [_SPELLED.get(t := column.type.compile(dialect), t.lower()) for column in table.c]
            declared = [(column.name, t, not column.nullable) for column, t in zip(table.c, types, strict=True)]
            assert [tuple(row) for row in there] == declared, table.name
            # Expressions and conditions are compared too: with what the declaration makes beside it, in another schema.
            made = await connection.fetch("SELECT indexdef FROM pg_indexes WHERE tablename = $1", table.name)
            await connection.execute("CREATE SCHEMA declared")
            try:
                await connection.execute("SET search_path = declared, public")
                for statement in ddl(table):
                    await connection.execute(statement)
                wanted = await connection.fetch(
                    "SELECT indexdef FROM pg_indexes WHERE tablename = $1 AND schemaname = 'declared'", table.name
                )
            finally:
                await connection.execute("SET search_path = public; DROP SCHEMA declared CASCADE")
            assert {row[0] for row in made} == {row[0].replace("declared.", "public.") for row in wanted}, table.name
    finally:
        await connection.close()


async def test_the_history_of_a_pool_is_read_by_its_index(customers_dsn: str) -> None:
    """The index's expression and the query's must be the same, or the history of a pool is read from the whole journal."""
    from crm_customers.pool import store

    connection = await asyncpg.connect(customers_dsn)
    try:
        await connection.execute("SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan")
        arguments = ", ".join("NULL" for _ in store._CLAIMS.names)
        await connection.execute(f"PREPARE claims AS {store._CLAIMS.sql}")
        plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN EXECUTE claims ({arguments})"))
        assert "data ->> 'pool_id'" in plan.split("Index Cond", 1)[1], plan
    finally:
        await connection.close()

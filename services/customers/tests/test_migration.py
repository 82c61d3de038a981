"""The migration makes the tables that the code declares."""

import asyncpg

from crm_customers.metadata import metadata
from crm_records import ddl
from crm_testing.declared import require_declared


async def test_the_migration_makes_the_declared_tables(customers_dsn: str) -> None:
    assert {"customer", "contact", "pool"} <= set(metadata.tables)
    await require_declared(customers_dsn, metadata.tables.values(), ddl)


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

"""The migration makes the tables that the code declares."""

import asyncpg
from sqlalchemy.dialects import postgresql

from crm_analytics.facts.store import FACT_TABLES
from crm_analytics.metadata import metadata

_COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod) AS type, attnotnull FROM pg_attribute
WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""


async def test_the_migration_makes_the_declared_tables(analytics_dsn: str) -> None:
    dialect = postgresql.dialect()
    spelled = {"TIMESTAMP WITH TIME ZONE": "timestamp with time zone"}
    connection = await asyncpg.connect(analytics_dsn)
    try:
        assert set(FACT_TABLES) <= set(metadata.tables.values())
        for table in metadata.tables.values():
            there = await connection.fetch(_COLUMNS, table.name)
            declared = [(c.name, spelled.get(t := c.type.compile(dialect), t.lower()), not c.nullable) for c in table.c]
            assert [tuple(row) for row in there] == declared, table.name
            made = await connection.fetch("SELECT indexdef FROM pg_indexes WHERE tablename = $1", table.name)
            wanted = {str(index.name) for index in table.indexes} | {f"pk_{table.name}"}
            assert {row["indexdef"].split(" INDEX ")[1].split(" ")[0] for row in made} == wanted
    finally:
        await connection.close()

"""The migration makes the tables that the code declares."""

import asyncpg
import pytest
from sqlalchemy.dialects import postgresql

from crm_billing.app import SERVICE
from crm_billing.metadata import metadata
from crm_records import ddl

_COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod) AS type, attnotnull FROM pg_attribute
WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""


async def test_the_migration_makes_the_declared_tables(billing_dsn: str) -> None:
    assert SERVICE.name == "billing"
    dialect = postgresql.dialect()
    spelled = {
        "TIMESTAMP WITH TIME ZONE": "timestamp with time zone",
        "NUMERIC(20, 6)": "numeric(20,6)",
        "NUMERIC(9, 6)": "numeric(9,6)",
    }
    connection = await asyncpg.connect(billing_dsn)
    try:
        assert {"contract", "contract_line", "contract_instalment", "ledger_entry"} <= set(metadata.tables)
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


async def test_nobody_changes_the_ledger(billing_dsn: str) -> None:
    connection = await asyncpg.connect(billing_dsn)
    try:
        for statement in (
            "UPDATE ledger_entry SET amount_minor = 1",
            "DELETE FROM ledger_entry",
            "TRUNCATE ledger_entry",
        ):
            with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="never changed"):
                await connection.execute(statement)
    finally:
        await connection.close()

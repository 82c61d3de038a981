"""Whether a database has the tables that the code declares: what a migration made beside what the declaration makes."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

_COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute
WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
_CONSTRAINTS = (
    "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = $1::regclass AND contype <> 'n'"
)
_INDEXES = "SELECT indexdef FROM pg_indexes WHERE tablename = $1 AND schemaname = $2"


def statements(table: sa.Table) -> list[str]:
    """A table and its indexes, as SQLAlchemy writes them."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    made = [str(CreateTable(table).compile(dialect=dialect))]
    return made + [str(CreateIndex(index).compile(dialect=dialect)) for index in sorted(table.indexes, key=str)]


async def require_declared(
    dsn: str, tables: Iterable[sa.Table], ddl: Callable[[sa.Table], Sequence[str]] = statements
) -> None:
    """Compare columns in their order, types, constraints and indexes (expressions and conditions too). AssertionError when they differ.

    Each declared table is made in a schema of its own, which is gone afterwards. Foreign keys there lead to the real tables.
    """
    listed = list(tables)
    connection = await asyncpg.connect(dsn)
    try:
        if not listed:
            raise AssertionError("there are no tables")
        for table in listed:
            present = await _described(connection, table.name, "public")
            await connection.execute("CREATE SCHEMA declared")
            try:
                await connection.execute("SET search_path = declared, public")
                for statement in ddl(table):
                    await connection.execute(statement.replace("REFERENCES ", "REFERENCES public."))
                declared = await _described(connection, table.name, "declared")
            finally:
                await connection.execute("SET search_path = public")
                await connection.execute("DROP SCHEMA declared CASCADE")
            if present != declared:
                raise AssertionError(f"{table.name}: there is {present}, declared is {declared}")
    finally:
        await connection.close()


async def _described(connection: asyncpg.Connection, name: str, schema: str) -> dict[str, Any]:
    place = f'{schema}."{name}"'
    # What is found by the search path is written without its schema: of the declared one as of the real one.
    indexes = [row[0].replace("declared.", "public.") for row in await connection.fetch(_INDEXES, name, schema)]
    return {
        "columns": [tuple(row) for row in await connection.fetch(_COLUMNS, place)],
        "constraints": sorted(tuple(row) for row in await connection.fetch(_CONSTRAINTS, place)),
        "indexes": sorted(indexes),
    }

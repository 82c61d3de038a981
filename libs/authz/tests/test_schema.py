"""The frozen DDL makes exactly the tables that the code declares."""

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from crm_authz import AUTHZ_1, tables
from crm_testing.servers import MakeDatabase

NAMES = [
    *("directory_user", "directory_department", "directory_role", "directory_set", "directory_session_end"),
    *("directory_key", "directory_company", "directory_version", "record_member"),
]

_COLUMNS = """
SELECT attrelid::regclass::text AS t, attname, format_type(atttypid, atttypmod) AS type, attnotnull
FROM pg_attribute WHERE attrelid = ANY($1::regclass[]) AND attnum > 0 ORDER BY 1, attnum
"""
_INDEXES = "SELECT indexdef FROM pg_indexes WHERE tablename = ANY($1) ORDER BY 1"
_CONSTRAINTS = """
SELECT conrelid::regclass::text AS t, conname, pg_get_constraintdef(oid) AS said
FROM pg_constraint WHERE conrelid = ANY($1::regclass[]) AND contype <> 'n' ORDER BY 1, 2
"""


async def _described(dsn: str, statements: list[str]) -> list[list[tuple[object, ...]]]:
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
        return [
            [tuple(row) for row in await connection.fetch(question, NAMES)]
            for question in (_COLUMNS, _INDEXES, _CONSTRAINTS)
        ]
    finally:
        await connection.close()


async def test_the_released_steps_make_what_the_code_declares(make_database: MakeDatabase) -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    declared = [table for name, table in vars(tables).items() if isinstance(table, sa.Table) and name in NAMES]
    assert {table.name for table in declared} == set(NAMES)
    statements = [str(CreateTable(table).compile(dialect=dialect)) for table in declared]
    statements += [str(CreateIndex(index).compile(dialect=dialect)) for t in declared for index in t.indexes]
    assert await _described(make_database(), list(AUTHZ_1)) == await _described(make_database(), statements)


async def test_the_version_has_exactly_one_row(make_database: MakeDatabase) -> None:
    dsn = make_database()
    await _described(dsn, list(AUTHZ_1))
    connection = await asyncpg.connect(dsn)
    try:
        assert await connection.fetchval("SELECT count(*) FROM directory_version") == 1
        for only in (True, False):
            try:
                await connection.execute("INSERT INTO directory_version VALUES ($1, 0)", only)
            except (asyncpg.UniqueViolationError, asyncpg.CheckViolationError):
                continue
            raise AssertionError("a second row came in")
    finally:
        await connection.close()

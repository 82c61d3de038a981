import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

import crm_identity.app  # noqa: F401  (registers every table)
from crm_database import platform
from crm_identity.metadata import metadata

_COLUMNS = """
SELECT table_name, column_name, is_nullable = 'YES' AS nullable, format_type(a.atttypid, a.atttypmod) AS type
FROM information_schema.columns c
JOIN pg_attribute a ON a.attrelid = c.table_name::regclass AND a.attname = c.column_name
WHERE table_schema = 'public'
"""


@pytest.mark.parametrize("declared", [metadata, platform], ids=["identity", "platform"])
async def test_the_migration_makes_the_tables_that_the_code_declares(identity_dsn: str, declared: sa.MetaData) -> None:
    connection = await asyncpg.connect(identity_dsn)
    found = {
        (row["table_name"], row["column_name"]): (row["type"], row["nullable"])
        for row in await connection.fetch(_COLUMNS)
    }
    indexes = {row["indexname"] for row in await connection.fetch("SELECT indexname FROM pg_indexes")}
    await connection.close()
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    expected = {
        (table.name, column.name): (column.type.compile(dialect).lower(), bool(column.nullable))
        for table in declared.tables.values()
        for column in table.columns
    }
    assert {key: found.get(key) for key in expected} == expected
    names = {str(index.name) for table in declared.tables.values() for index in table.indexes}
    assert names <= indexes

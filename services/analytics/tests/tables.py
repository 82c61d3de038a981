"""What the facts hold, for comparing."""

from typing import Any

from crm_analytics.facts.store import FACT_TABLES
from crm_authz import record_member
from crm_database import Database


async def facts_of(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table that events fill, in a fixed order."""
    found = {}
    async with database.read() as session:
        for table in (*FACT_TABLES, record_member):
            key = ", ".join(f'"{column.name}"' for column in table.primary_key)
            rows = await session.connection.fetch(f'SELECT * FROM "{table.name}" ORDER BY {key}')
            found[table.name] = [tuple(row) for row in rows]
    return found

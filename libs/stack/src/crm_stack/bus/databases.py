"""All services' databases of a stack, opened for an operator's look."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from crm_database import Database, PoolSettings
from crm_stack.layout import Layout
from crm_stack.service_settings import database_url_file


@asynccontextmanager
async def opened(layout: Layout, services: Sequence[str]) -> AsyncIterator[dict[str, Database]]:
    """Service → its database. FileNotFoundError when a service has none yet; OSError or asyncpg's errors when it is away."""
    async with AsyncExitStack() as stack:
        found = {}
        for service in services:
            dsn = database_url_file(layout, service).read_text().strip()
            settings = PoolSettings(min_size=1, max_size=2)
            database = await Database.open(dsn, name=f"operator-{service}", settings=settings)
            stack.push_async_callback(database.close)
            found[service] = database
        yield found

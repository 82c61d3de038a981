"""All services' databases, opened for an operator's look."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from crm_database import Database, PoolSettings
from crm_stack.layout import Layout
from crm_stack.service_settings import database_url_file


@asynccontextmanager
async def opened(layout: Layout, services: Sequence[str]) -> AsyncIterator[dict[str, Database]]:
    """Those of a stack on this machine; see `opened_at`. FileNotFoundError when a service has none yet."""
    async with opened_at(urls_of(layout, services)) as databases:
        yield databases


def urls_of(layout: Layout, services: Sequence[str]) -> dict[str, str]:
    """Service → its database's URL, of a stack on this machine. FileNotFoundError when a service has none yet."""
    return {service: database_url_file(layout, service).read_text().strip() for service in services}


@asynccontextmanager
async def opened_at(urls: Mapping[str, str]) -> AsyncIterator[dict[str, Database]]:
    """Service → its database, by URLs, wherever they are. OSError or asyncpg's errors when one is away or refuses."""
    async with AsyncExitStack() as stack:
        found = {}
        for service, dsn in urls.items():
            settings = PoolSettings(min_size=1, max_size=2)
            database = await Database.open(dsn, name=f"operator-{service}", settings=settings)
            stack.push_async_callback(database.close)
            found[service] = database
        yield found

"""The pool gives the server back what nobody uses."""

import asyncio

import asyncpg

from crm_database import Database, PoolSettings


async def test_unused_connections_are_closed_after_a_while(dsn: str) -> None:
    database = await Database.open(
        dsn, name="burst", settings=PoolSettings(min_size=0, max_size=5, unused_lifetime=0.2)
    )
    watching = await asyncpg.connect(dsn)
    together = asyncio.Barrier(4)

    async def work() -> None:
        async with database.read() as session:
            await together.wait()
            await session.connection.fetchval("SELECT 1")

    async def open_connections() -> int:
        return int(await watching.fetchval("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'burst'"))

    try:
        async with database.read() as session, asyncio.timeout(10):
            held = await session.connection.fetchval("SELECT pg_backend_pid()")

            await asyncio.gather(*(work() for _ in range(4)))
            # What is in use stays, however long.
            while await open_connections() > 1:  # noqa: ASYNC110  (the server knows)
                await asyncio.sleep(0.02)
            assert await session.connection.fetchval("SELECT pg_backend_pid()") == held
        async with asyncio.timeout(10):
            while await open_connections():  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            await asyncio.gather(*(work() for _ in range(4)))
    finally:
        await watching.close()
        await database.close()

"""Alembic's environment, the same for every service; crm_database.migrate fills the configuration."""

import asyncio

import sqlalchemy as sa
from alembic import context
from sqlalchemy.ext.asyncio import create_async_engine

from crm_database.locks import lock_key

_ONE_AT_A_TIME = sa.text("SELECT pg_advisory_xact_lock(:key)").bindparams(key=lock_key("database.migrations"))


def _run(connection: sa.Connection) -> None:
    # A migration that waits for a lock blocks every request behind it: it gives up instead and is run again.
    connection.execute(sa.text("SET lock_timeout = '5s'"))
    # One migration at a time, however many replicas start; released with the transaction.
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=context.config.attributes.get("metadata"),
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        connection.execute(_ONE_AT_A_TIME)
        context.run_migrations()


async def _online() -> None:
    url = context.config.attributes["url"]
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        await connection.run_sync(_run)
    await engine.dispose()


asyncio.run(_online())

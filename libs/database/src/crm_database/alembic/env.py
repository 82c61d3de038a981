"""Alembic's environment, the same for every service; crm_database.migrate fills the configuration."""

import asyncio

import asyncpg
import sqlalchemy as sa
from alembic import context
from sqlalchemy.ext.asyncio import create_async_engine

from crm_database.locks import lock_key

_ONE_AT_A_TIME = sa.text("SELECT pg_advisory_xact_lock(:key)").bindparams(key=lock_key("database.migrations"))


def _run(connection: sa.Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=context.config.attributes.get("metadata"),
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        # One migration at a time, however many replicas start; released with the transaction. It waits as long as the other takes.
        connection.execute(_ONE_AT_A_TIME)
        # A migration that waits for a lock on a table blocks every request behind it: it gives up instead and is run again.
        connection.execute(sa.text("SET lock_timeout = '5s'"))
        # A newer version has been here, and its migrations keep older code working (expand, contract): nothing to do.
        known = {script.revision for script in context.script.walk_revisions()}
        if known.issuperset(context.get_context().get_current_heads()):
            context.run_migrations()


async def _online() -> None:
    dsn = context.config.attributes["dsn"]
    # The driver reads the address itself, as it does for the service: `sslmode` and the like mean the same in both.
    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(dsn))
    async with engine.connect() as connection:
        await connection.run_sync(_run)
    await engine.dispose()


asyncio.run(_online())

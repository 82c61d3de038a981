"""The migration makes the tables that the code declares."""

import asyncpg
import pytest

from crm_billing.metadata import metadata
from crm_records import ddl
from crm_testing.declared import require_declared


async def test_the_migration_makes_the_declared_tables(billing_dsn: str) -> None:
    assert {"contract", "contract_line", "contract_instalment", "ledger_entry"} <= set(metadata.tables)
    await require_declared(billing_dsn, metadata.tables.values(), ddl)


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

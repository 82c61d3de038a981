"""Migrations by the driver's own reading of an address, and by code of another age than the database (PL-47)."""

import asyncio
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError

from crm_database import migrate
from crm_database.locks import lock_key

_MIGRATION = """
from alembic import op

revision, down_revision, branch_labels, depends_on = "{revision}", {after}, None, None


def upgrade() -> None:
    op.execute("{statement}")
"""


def versions(folder: Path, *statements: str) -> Path:
    """A folder with a migration for each statement."""
    folder.mkdir()
    after = "None"
    for number, statement in enumerate(statements, 1):
        text = _MIGRATION.format(revision=f"000{number}", after=after, statement=statement)
        (folder / f"000{number}_step.py").write_text(text, encoding="utf-8")
        after = f'"000{number}"'
    return folder


@pytest.mark.requirement("PL-47")
async def test_older_code_leaves_a_newer_database_as_it_is(
    database_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = versions(tmp_path / "older", "CREATE TABLE one ()")
    newer = versions(tmp_path / "newer", "CREATE TABLE one ()", "CREATE TABLE two ()")
    for folder in (older, newer, older, newer):
        monkeypatch.setattr(migrate, "versions_folder", lambda _, folder=folder: folder)
        # Alembic's environment runs an event loop of its own.
        await asyncio.to_thread(migrate.upgrade, "any", database_dsn)
    connection = await asyncpg.connect(database_dsn)
    try:
        assert await connection.fetchval("SELECT version_num FROM alembic_version") == "0002"
        assert await connection.fetchval("SELECT to_regclass('two') IS NOT NULL")
    finally:
        await connection.close()


async def test_a_migration_waits_for_another_one_as_long_as_that_takes_but_not_for_a_table(
    database_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = versions(tmp_path / "steps", "CREATE TABLE one ()")
    monkeypatch.setattr(migrate, "versions_folder", lambda _: steps)
    holder = await asyncpg.connect(database_dsn)
    try:
        await holder.execute("SELECT pg_advisory_lock($1)", lock_key("database.migrations"))
        second = asyncio.create_task(asyncio.to_thread(migrate.upgrade, "any", database_dsn))
        # Longer than a migration waits for a lock on a table.
        done, _ = await asyncio.wait({second}, timeout=6)
        assert not done
        assert await holder.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") == 1
        await holder.execute("SELECT pg_advisory_unlock($1)", lock_key("database.migrations"))
        await second
        async with holder.transaction():
            await holder.execute("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(DBAPIError, match="lock timeout"):
                await asyncio.to_thread(migrate.upgrade, "any", database_dsn)
    finally:
        await holder.close()


async def test_an_address_may_say_what_the_driver_understands(
    database_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "versions_folder", lambda _: versions(tmp_path / "some", "CREATE TABLE one ()"))
    separator = "&" if "?" in database_dsn else "?"
    await asyncio.to_thread(migrate.upgrade, "any", f"{database_dsn}{separator}sslmode=prefer")
    connection = await asyncpg.connect(database_dsn)
    try:
        assert await connection.fetchval("SELECT version_num FROM alembic_version") == "0001"
    finally:
        await connection.close()

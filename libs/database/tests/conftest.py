"""A database with one table of every type that services use, one scoped table, and its child."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from crm_database import SCOPED, Database, PoolSettings, WriteContext, instant, service_metadata
from crm_testing.servers import SharedPostgres

metadata = service_metadata()
record = sa.Table(
    "record",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("owner_id", sa.Uuid),
    sa.Column("name", sa.Text, nullable=False),
    info=SCOPED,
)
line = sa.Table(
    "line",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("record_id", sa.Uuid, sa.ForeignKey("record.id"), nullable=False),
    sa.Column("quantity", sa.Integer, nullable=False),
)
kinds = sa.Table(
    "kinds",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.Integer),
    sa.Column("text", sa.Text),
    sa.Column("small", sa.SmallInteger),
    sa.Column("minor", sa.BigInteger),
    sa.Column("exact", sa.Numeric(20, 6)),
    sa.Column("yes", sa.Boolean),
    sa.Column("day", sa.Date),
    instant("at"),
    sa.Column("document", JSONB),
    sa.Column("words", ARRAY(sa.Text)),
    sa.Column("ids", ARRAY(sa.Uuid)),
    sa.Column("numbers", ARRAY(sa.BigInteger)),
    sa.Column("days", ARRAY(sa.Date)),
)

NOW = dt.datetime(2026, 11, 23, 10, tzinfo=dt.UTC)


@pytest.fixture(scope="session")
def dsn(postgres_server: SharedPostgres) -> Iterator[str]:
    """One database for the tests of this folder."""
    made = postgres_server.create()

    async def build() -> None:
        connection = await asyncpg.connect(made)
        from sqlalchemy.dialects import postgresql
        from sqlalchemy.schema import CreateTable

        for table in metadata.sorted_tables:
            await connection.execute(str(CreateTable(table).compile(dialect=postgresql.dialect())))
        await connection.close()

    asyncio.run(build())
    yield made
    postgres_server.drop(made)


@pytest.fixture
async def db(dsn: str) -> AsyncIterator[Database]:
    connection = await asyncpg.connect(dsn)
    await connection.execute("TRUNCATE record, line, kinds")
    await connection.close()
    database = await Database.open(dsn, name="test", settings=PoolSettings(min_size=0, max_size=5, lock_timeout=0.3))
    yield database
    await database.close()


@pytest.fixture
def context() -> WriteContext:
    return WriteContext(now=NOW)

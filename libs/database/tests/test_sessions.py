"""Sessions: reading can't write, writing is one transaction, and no connection is left in one."""

import asyncio
import uuid

import asyncpg
import pytest
import sqlalchemy as sa

from crm_database import Database, DatabaseUnreachable, NotCommitted, PoolSettings, WriteContext, query
from crm_kernel import new_id
from crm_stack.ports import free_port

from .conftest import NOW, line, record

_COUNT = query(sa.select(sa.func.count()).select_from(record), unscoped="tests look at everything")
_INSERT = query(
    sa.insert(record).values(id=sa.bindparam("id"), version=sa.bindparam("version"), name=sa.bindparam("name"))
)
_RENAME = query(sa.update(record).values(name=sa.bindparam("name_")), unscoped="tests change everything")
_LOCKED = query(
    sa.select(record).where(record.c.id == sa.bindparam("id")).with_for_update(), unscoped="a test's own row"
)


async def count(db: Database) -> int:
    async with db.read() as session:
        found: int = await session.value(_COUNT)
        return found


async def nothing_open(db: Database, dsn: str) -> None:
    """All connections are back, none in a transaction, none holds a lock."""
    assert db.pool.get_idle_size() == db.pool.get_size()
    outside = await asyncpg.connect(dsn)
    left = await outside.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
    )
    await outside.close()
    assert left == 0


@pytest.mark.parametrize("mode", ["read", "snapshot"])
async def test_a_read_session_can_not_write_whatever_its_statement_says(db: Database, mode: str) -> None:
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        async with getattr(db, mode)() as session:
            await session.fetch(_INSERT, id=new_id(), version=1, name="x")
    async with db.read() as session:
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await session.connection.execute("CREATE TABLE other (id int)")
    assert await count(db) == 0


async def test_after_a_write_the_same_connection_reads_only_again(dsn: str, context: WriteContext) -> None:
    db = await Database.open(dsn, name="one", settings=PoolSettings(min_size=0, max_size=1))
    async with db.write(context) as session:
        await session.execute(_INSERT, id=new_id(), version=1, name="x")
    async with db.read() as session:
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await session.fetch(_RENAME, name_="y")
    await db.close()


async def test_leaving_a_write_session_commits(db: Database, context: WriteContext) -> None:
    async with db.write(context) as session:
        assert await session.execute(_INSERT, id=new_id(), version=1, name="x") == 1
        assert await count(db) == 0, "nobody else sees it yet"
    assert await count(db) == 1


async def test_an_exception_rolls_back(db: Database, context: WriteContext, dsn: str) -> None:
    called = []
    with pytest.raises(RuntimeError):  # noqa: PT012  (the block is what is tested)
        async with db.write(context) as session:
            session.after_commit(lambda: called.append(1))
            await session.execute(_INSERT, id=new_id(), version=1, name="x")
            raise RuntimeError
    assert await count(db) == 0
    assert called == [], "what waits for the commit does not happen"
    await nothing_open(db, dsn)


async def test_an_error_of_the_database_that_was_caught_still_fails_the_transaction(
    db: Database, context: WriteContext, dsn: str
) -> None:
    """PostgreSQL answers COMMIT of a failed transaction with ROLLBACK and no error: it must not look like success."""
    with pytest.raises(NotCommitted):  # noqa: PT012
        async with db.write(context) as session:
            await session.execute(_INSERT, id=new_id(), version=1, name="x")
            with pytest.raises(asyncpg.PostgresError):
                await session.connection.execute("SELECT 1/0")
    assert await count(db) == 0
    await nothing_open(db, dsn)


@pytest.mark.parametrize("rounds", [20])
async def test_cancellation_rolls_back_wherever_it_strikes(
    db: Database, context: WriteContext, dsn: str, rounds: int
) -> None:
    async def work() -> None:
        async with db.write(context) as session:
            for number in range(5):
                await session.execute(_INSERT, id=new_id(), version=1, name=str(number))
            await session.connection.execute("SELECT pg_sleep(0.2)")

    for number in range(rounds):
        task = asyncio.create_task(work())
        # A little later each time: while it connects, begins, inserts, sleeps.
        for _ in range(number * 3):
            await asyncio.sleep(0)
        await asyncio.sleep(number * 0.003)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await count(db) == 0
    await nothing_open(db, dsn)
    async with db.write(context) as session:
        await session.execute(_INSERT, id=new_id(), version=1, name="after")
    assert await count(db) == 1


async def test_a_lock_is_waited_for_only_so_long(db: Database, context: WriteContext) -> None:
    row = new_id()
    async with db.write(context) as session:
        await session.execute(_INSERT, id=row, version=1, name="x")
    async with db.write(context) as first:
        await first.locked(record, _LOCKED, id=row)
        assert first.held == {("record", row): 1}
        with pytest.raises(asyncpg.LockNotAvailableError):
            async with db.write(context) as second:
                await second.locked(record, _LOCKED, id=row)


async def test_what_takes_no_lock_holds_nothing(db: Database, context: WriteContext) -> None:
    statement = query(sa.select(record), unscoped="a test")
    async with db.write(context) as session:
        with pytest.raises(ValueError, match="no row lock"):
            await session.locked(record, statement)


async def test_a_snapshot_sees_one_moment(db: Database, context: WriteContext) -> None:
    async with db.snapshot() as snapshot:
        assert await snapshot.value(_COUNT) == 0
        async with db.write(context) as session:
            await session.execute(_INSERT, id=new_id(), version=1, name="x")
        assert await snapshot.value(_COUNT) == 0
    assert await count(db) == 1


async def test_a_database_that_is_away_is_told_apart_from_a_statement_that_fails(
    dsn: str, context: WriteContext
) -> None:
    nowhere = await Database.open(
        f"postgresql://u:p@127.0.0.1:{free_port()}/x", name="x", settings=PoolSettings(min_size=0)
    )
    with pytest.raises(DatabaseUnreachable):
        async with nowhere.read():
            pass
    with pytest.raises(DatabaseUnreachable):
        async with nowhere.write(context):
            pass
    await nowhere.close()
    unknown = await Database.open(
        dsn.rpartition("/")[0] + "/not_there_yet", name="x", settings=PoolSettings(min_size=0)
    )
    with pytest.raises(DatabaseUnreachable, match="not_there_yet"):
        async with unknown.read():
            pass
    await unknown.close()


async def test_a_parameter_left_open_is_never_null(db: Database) -> None:
    statement = query(sa.select(line).where(line.c.id == sa.bindparam("id"), line.c.quantity > 3))
    async with db.read() as session:
        with pytest.raises(KeyError, match="id"):
            await session.fetch(statement)
        assert await session.fetch(statement, id=uuid.UUID(int=0)) == []


def test_what_a_session_knows_of_its_writer() -> None:
    one, two = WriteContext(now=NOW), WriteContext(now=NOW)
    assert one.write_id != two.write_id
    assert (one.actor_kind, one.channel) == ("system", "system")

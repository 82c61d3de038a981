"""The way to the database fails: cut, half-open, half-open in one direction. Nothing hangs, nothing is left behind."""

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa

from crm_database import DATABASE_ERRORS, Database, DatabaseUnreachable, PoolSettings, WriteContext, query
from crm_kernel import new_id
from crm_testing.network import Path

from .conftest import record

#: Seconds in which something must have ended that without its guard would last a minute.
PATIENCE = 30.0

_INSERT = query(sa.insert(record).values(id=sa.bindparam("id"), version=1, name="x"))
_COUNT = query(sa.select(sa.func.count()).select_from(record), unscoped="tests look at everything")
_LOCKED = query(
    sa.select(record).where(record.c.id == sa.bindparam("id")).with_for_update(), unscoped="a test's own row"
)
#: What a statement gets that is to fail, and others have a minute.
SOON = 0.5


@pytest.fixture
def path(dsn: str) -> Iterator[Path]:
    port = urlsplit(dsn).port
    assert port is not None
    with Path.to(port) as made:
        yield made


@pytest.fixture
async def far(db: Database, dsn: str, path: Path) -> AsyncIterator[Database]:
    """The database of `db`, over a network."""
    through = dsn.replace(f":{urlsplit(dsn).port}/", f":{path.port}/")
    settings = PoolSettings(
        min_size=0, max_size=3, command_timeout=60, connect_timeout=1, acquire_timeout=60, lock_timeout=5
    )
    database = await Database.open(through, name="far", settings=settings)
    yield database
    await database.close()


async def connections(database: Database, number: int) -> None:
    """Have so many open at once, and given back."""
    async with AsyncExitStack() as stack:
        for _ in range(number):
            session = await stack.enter_async_context(database.read())
            await session.connection.fetchval("SELECT 1")
    assert database.pool.get_idle_size() == number


async def works(database: Database) -> int:
    async with database.read() as session:
        return int(await session.value(_COUNT))


async def test_a_log_in_that_nobody_answers_ends(far: Database, path: Path) -> None:
    path.freeze()
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(DatabaseUnreachable, match="TimeoutError"):
            await works(far)
        path.heal()
        assert await works(far) == 0


async def test_a_connection_that_others_keep_is_waited_for_only_so_long(dsn: str) -> None:
    database = await Database.open(
        dsn, name="narrow", settings=PoolSettings(min_size=0, max_size=1, acquire_timeout=0.2)
    )
    try:
        async with database.read(), asyncio.timeout(PATIENCE):
            with pytest.raises(DatabaseUnreachable):
                await works(database)
        await works(database)
    finally:
        await database.close()


async def test_a_statement_that_nobody_answers_is_not_waited_for_a_second_time(far: Database, path: Path) -> None:
    """What cut it short can't tell the server either: the connection is thrown away instead."""
    await connections(far, 1)
    path.freeze()
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(TimeoutError):
            async with far.read() as session:
                await session.connection.fetchval("SELECT 1", timeout=SOON)
        path.heal()
        assert await works(far) == 0


async def test_one_silent_connection_is_enough_to_mistrust_the_others(far: Database, path: Path) -> None:
    await connections(far, 3)
    path.freeze()
    path.heal()
    with pytest.raises(TimeoutError):
        async with far.read() as session:
            await session.connection.fetchval("SELECT 1", timeout=SOON)
    async with asyncio.timeout(PATIENCE):
        await connections(far, 3)


async def test_who_can_not_wait_for_a_silent_connection_leaves_it_to_its_end(far: Database, path: Path) -> None:
    """The time limit of a request strikes while its connection is being given back: the others are mistrusted all the same."""
    unread: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: unread.append(told))
    await connections(far, 3)
    path.freeze()
    path.heal()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(3 * SOON), far.read() as session:
            await session.connection.fetchval("SELECT 1", timeout=SOON)
    async with asyncio.timeout(PATIENCE):
        while far.pool.get_size():  # noqa: ASYNC110  (the pool tells nobody)
            await asyncio.sleep(0.02)
    await connections(far, 3)
    gc.collect()
    assert unread == []


async def test_what_is_in_use_elsewhere_is_left_alone(far: Database, db: Database) -> None:
    async def is_ended() -> None:
        async with far.read() as session, db.read() as outside:
            backend = await session.connection.fetchval("SELECT pg_backend_pid()")
            await outside.connection.fetchval("SELECT pg_terminate_backend($1)", backend)
            await session.connection.fetchval("SELECT pg_sleep(60)")

    async with far.read() as healthy:
        mine = await healthy.connection.fetchval("SELECT pg_backend_pid()")
        with pytest.raises(DATABASE_ERRORS):
            await is_ended()
        assert await healthy.connection.fetchval("SELECT pg_backend_pid()") == mine
    assert await works(far) == 0


async def test_a_transaction_that_falls_silent_keeps_no_lock(far: Database, path: Path, context: WriteContext) -> None:
    row = new_id()

    async def falls_silent() -> None:
        async with far.write(context) as session:
            await session.locked(record, _LOCKED, id=row)
            path.freeze()
            await session.connection.execute("SELECT 1", timeout=SOON)

    async with far.write(context) as session:
        await session.execute(_INSERT, id=row)
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(TimeoutError):
            await falls_silent()
        path.heal()
        async with far.write(context) as session:
            assert len(await session.locked(record, _LOCKED, id=row)) == 1


async def test_a_transaction_that_is_cut_leaves_nothing(far: Database, path: Path, context: WriteContext) -> None:
    async def is_cut() -> None:
        async with far.write(context) as session:
            await session.execute(_INSERT, id=new_id())
            path.cut()
            await session.execute(_INSERT, id=new_id())

    for _ in range(5):
        with pytest.raises(DATABASE_ERRORS):
            await is_cut()
    assert await works(far) == 0


async def test_a_commit_whose_answer_is_lost_may_have_happened(
    far: Database, db: Database, path: Path, context: WriteContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails, by its own error, and the row is there: whoever asked has to be told that the outcome is unknown."""
    called: list[int] = []

    async def hears_nothing() -> None:
        async with far.write(context) as session:
            session.after_commit(lambda: called.append(1))
            await session.execute(_INSERT, id=new_id())
            hurry(monkeypatch, session.connection)
            path.freeze(ways=("to_client",))

    await connections(far, 1)
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(TimeoutError):
            await hears_nothing()
        assert called == []
        while await works(db) == 0:  # noqa: ASYNC110  (the server knows)
            await asyncio.sleep(0.02)


def hurry(monkeypatch: pytest.MonkeyPatch, connection: object) -> None:
    """Give a connection's next statements SOON instead of the minute."""
    real: Callable[..., object] = type(connection).execute  # type: ignore[attr-defined]
    monkeypatch.setattr(type(connection), "execute", lambda self, sql: real(self, sql, timeout=SOON))


async def test_both_sides_ask_whether_the_other_is_still_there(far: Database) -> None:
    """What a proxy can't show: the network itself swallows everything."""
    async with far.read() as session:
        told = {
            name: await session.connection.fetchval(f"SHOW {name}")
            for name in (
                "tcp_keepalives_idle",
                "tcp_keepalives_interval",
                "tcp_keepalives_count",
                "tcp_user_timeout",
            )
        }
        sock = session.connection._con._transport.get_extra_info("socket")  # type: ignore[union-attr]
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        ours = [
            sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
            for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
        ]
    assert list(told.values()) == ["5", "2", "3", "10000"]
    assert ours == [5, 2, 3, 10_000]

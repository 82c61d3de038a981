"""The pool, and the two kinds of session: one that can only read, one that is a transaction.

Connections are read-only by default (`default_transaction_read_only`): a read session cannot write, whatever its statement says.
A write session is one transaction; leaving it commits, an exception rolls back. Only here is anything committed.
"""

import asyncio
import datetime as dt
import decimal
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from crm_database import metrics
from crm_database.counting import CountedConnection
from crm_database.failures import DATABASE_ERRORS
from crm_database.keep_alive import SERVER_SIDE, keep_alive
from crm_database.statements import Query, query
from crm_kernel.ids import new_id

_PG = postgresql.dialect()  # type: ignore[no-untyped-call]
#: Seconds that a rollback is waited for, and a statement that was cut short; then the connection is thrown away.
ENDING_SECONDS = 5.0


@dataclass(frozen=True)
class WriteContext:
    """Who writes, from where, when: what every event of the transaction carries.

    actor_kind: `user`, `service_account` or `system`. channel: `api`, `import`, `job`, `rule`, `event` or
    `system`.
    address: network address of the caller. write_id: names the transaction towards other services (PL-13).
    traceparent: W3C trace context of the request, or None. credit: see Directory.credit_of.
    """

    now: dt.datetime
    actor_kind: str = "system"
    actor_id: uuid.UUID | None = None
    channel: str = "system"
    address: str | None = None
    client: str | None = None
    write_id: uuid.UUID = field(default_factory=new_id)
    traceparent: str | None = None


class ReadSession:
    """Runs statements that read. Each sees what was committed when it started."""

    def __init__(self, connection: "asyncpg.pool.PoolConnectionProxy[Any]", database: "Database") -> None:
        self.connection = connection
        #: Where it came from: for what a process keeps per database.
        self.database = database

    async def fetch(self, statement: Query, /, **parameters: Any) -> list[asyncpg.Record]:
        """All rows."""
        return await self.connection.fetch(statement.sql, *statement.arguments(parameters))

    async def first(self, statement: Query, /, **parameters: Any) -> asyncpg.Record | None:
        """The first row, or None."""
        return await self.connection.fetchrow(statement.sql, *statement.arguments(parameters))

    async def value(self, statement: Query, /, **parameters: Any) -> Any:
        """The first column of the first row, or None."""
        return await self.connection.fetchval(statement.sql, *statement.arguments(parameters))


class WriteSession(ReadSession):
    """One transaction. Knows which aggregates' rows it holds locked, and what to do once it is committed."""

    def __init__(
        self, connection: "asyncpg.pool.PoolConnectionProxy[Any]", context: WriteContext, database: "Database"
    ) -> None:
        super().__init__(connection, database)
        self.context = context
        #: Rows locked by this transaction, with the version they have now.
        self.held: dict[tuple[str, uuid.UUID], int] = {}
        #: Events recorded so far, per type: what the Consistency-Token will say.
        self.recorded: dict[str, int] = {}
        self._after_commit: list[Callable[[], None]] = []

    async def execute(self, statement: Query, /, **parameters: Any) -> int:
        """Run a statement that changes rows; answers how many."""
        status = await self.connection.execute(statement.sql, *statement.arguments(parameters))
        return int(status.rsplit(" ", 1)[-1])

    def hold(self, table: sa.Table, record_id: uuid.UUID, version: int) -> None:
        """Note that this transaction holds the row's lock (it was read FOR UPDATE, or inserted)."""
        self.held[table.name, record_id] = version

    async def locked(self, table: sa.Table, statement: Query, /, **parameters: Any) -> list[asyncpg.Record]:
        """Rows of an aggregate read FOR UPDATE, noted as held. The statement must select `id` and `version` and lock."""
        if "FOR UPDATE" not in statement.sql and "FOR NO KEY UPDATE" not in statement.sql:
            raise ValueError("the statement takes no row lock")
        rows = await self.fetch(statement, **parameters)
        for row in rows:
            self.hold(table, row["id"], row["version"])
        return rows

    def after_commit(self, call: Callable[[], None]) -> None:
        """Run a quick, non-failing call once the transaction is committed (waking the relay, say)."""
        self._after_commit.append(call)


class NotCommitted(RuntimeError):
    """A programming error: somebody caught a statement's error inside the transaction and went on. Nothing was committed."""


class DatabaseUnreachable(ConnectionError):
    """No connection is to be had: the server is away, starting, stopping, full, silent, or doesn't know us (yet); or all are in use."""


@dataclass(frozen=True)
class PoolSettings:
    """Sizes and limits of a service's pool; times in seconds."""

    min_size: int = 1
    max_size: int = 12
    #: An unused connection is closed after so long: each is a process of the server's with caches of its own, some 5 MB.
    unused_lifetime: float = 30.0
    statement_cache_size: int = 512
    #: For a whole log-in. A server that can't be reached says nothing: this is how long a request waits to say so.
    connect_timeout: float = 5.0
    #: For having a connection, whether it is a new one's log-in or others' work that is waited for.
    acquire_timeout: float = 10.0
    command_timeout: float = 15.0
    lock_timeout: float = 5.0
    idle_in_transaction_timeout: float = 30.0


class Database:
    """One service's database."""

    def __init__(self, pool: "asyncpg.Pool[Any]", acquire_timeout: float = PoolSettings.acquire_timeout) -> None:
        self.pool = pool
        self._acquire_timeout = acquire_timeout
        metrics.pool_connections.of(self, _connections)
        metrics.pool_limit.of(self, lambda database: [(database.pool.get_max_size(), {})])

    @classmethod
    async def open(cls, dsn: str, *, name: str, settings: PoolSettings | None = None) -> "Database":
        """Connect. `name` shows in pg_stat_activity. Raises OSError or asyncpg errors when the server can't be reached."""
        chosen = settings or PoolSettings()
        pool = await asyncpg.create_pool(
            dsn,
            min_size=chosen.min_size,
            max_size=chosen.max_size,
            max_inactive_connection_lifetime=chosen.unused_lifetime,
            timeout=chosen.connect_timeout,
            statement_cache_size=chosen.statement_cache_size,
            command_timeout=chosen.command_timeout,
            connection_class=CountedConnection,
            init=_prepare_pooled,
            reset=_nothing,
            server_settings={
                **SERVER_SIDE,
                "application_name": name,
                "default_transaction_read_only": "on",
                "lock_timeout": f"{int(chosen.lock_timeout * 1000)}ms",
                "idle_in_transaction_session_timeout": f"{int(chosen.idle_in_transaction_timeout * 1000)}ms",
                "timezone": "UTC",
                "jit": "off",
            },
        )
        return cls(pool, chosen.acquire_timeout)

    async def close(self) -> None:
        """Close all connections; waits at most 5 s for those in use."""
        try:
            async with asyncio.timeout(5):
                await self.pool.close()
        except TimeoutError:
            self.pool.terminate()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[ReadSession]:
        """A session that can't write. Raises DatabaseUnreachable."""
        connection = await self._acquire()
        try:
            yield ReadSession(connection, self)
        finally:
            await self._release(connection)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[ReadSession]:
        """A reading session whose statements all see one moment (figures that must agree). Raises DatabaseUnreachable."""
        connection = await self._acquire()
        try:
            async with _transaction(connection, "ISOLATION LEVEL REPEATABLE READ READ ONLY"):
                yield ReadSession(connection, self)
        finally:
            await self._release(connection)

    @asynccontextmanager
    async def write(self, context: WriteContext) -> AsyncIterator[WriteSession]:
        """A transaction: committed on leaving, rolled back by any exception, cancellation included.

        Raises DatabaseUnreachable when it can't begin.
        """
        connection = await self._acquire()
        try:
            async with _transaction(connection, "READ WRITE"):
                session = WriteSession(connection, context, self)
                yield session
            for call in session._after_commit:
                call()
        finally:
            await self._release(connection)

    async def _acquire(self) -> "asyncpg.pool.PoolConnectionProxy[Any]":
        asked = time.perf_counter()
        try:
            connection = await self.pool.acquire(timeout=self._acquire_timeout)
        except DATABASE_ERRORS as error:
            metrics.pool_failures.add(1)
            # Told apart from an error of a statement: nothing was asked of the database yet.
            raise DatabaseUnreachable(f"{type(error).__name__}: {error}") from error
        metrics.pool_wait.record(time.perf_counter() - asked)
        return connection

    async def _release(self, connection: "asyncpg.pool.PoolConnectionProxy[Any]") -> None:
        """Give a connection back, whatever becomes of whoever had it."""
        if sys.exception() is None:
            await self._give_back(connection)
        else:
            # Of one that failed it may take long, longer than whoever asked may wait: then it goes on by itself.
            await asyncio.shield(asyncio.ensure_future(self._give_back(connection)))

    async def _give_back(self, connection: "asyncpg.pool.PoolConnectionProxy[Any]") -> None:
        """Where its statement was cut short and the server doesn't say that it knows, the connection is thrown away."""
        lost = _is_gone(connection)
        try:
            await self.pool.release(connection, timeout=ENDING_SECONDS)
        except DATABASE_ERRORS:
            # It is closed by now. What the session was about is told already: by its own error, or by its commit.
            lost = True
        if lost:
            self._throw_away_unused()

    def _throw_away_unused(self) -> None:
        """End the connections that nobody uses: what became of one in use has become of them, and each would cost a request its time.

        Not `expire_connections`, which leaves them where they are until they are asked for, and then takes leave of them one by one.
        """
        for holder in self.pool._holders:  # type: ignore[attr-defined]
            # A holder's names are private; there is no other way to an unused connection than to take it.
            if holder._in_use is None and holder._con is not None:
                holder._con.terminate()


def _connections(database: Database) -> list[tuple[float, dict[str, str | int]]]:
    idle = database.pool.get_idle_size()
    return [
        (idle, {"db.client.connection.state": "idle"}),
        (database.pool.get_size() - idle, {"db.client.connection.state": "used"}),
    ]


@asynccontextmanager
async def _transaction(connection: Any, mode: str) -> AsyncIterator[None]:
    await connection.execute(f"BEGIN {mode}")
    try:
        yield
    except BaseException:
        await _roll_back(connection)
        raise
    try:
        status = await connection.execute("COMMIT")
    except BaseException:
        await _roll_back(connection)
        raise
    if status != "COMMIT":
        # PostgreSQL answers the COMMIT of a failed transaction with ROLLBACK, and with no error.
        raise NotCommitted("a statement of the transaction failed, and its error was swallowed")


async def _roll_back(connection: Any) -> None:
    """End the transaction whatever happens; a connection that can't is thrown away rather than returned with it open."""
    if _is_gone(connection):
        return
    try:
        await asyncio.shield(asyncio.wait_for(connection.execute("ROLLBACK"), timeout=ENDING_SECONDS))
    except BaseException:
        if not _is_gone(connection):
            connection.terminate()
        raise


def _is_gone(connection: Any) -> bool:
    """Whether a connection is closed; also one that the driver has thrown away itself, and taken from the pool's user."""
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:
        return True


async def _prepare_pooled(connection: Any) -> None:
    keep_alive(connection)
    await prepare_connection(connection)


async def prepare_connection(connection: Any) -> None:
    """JSON columns are Python values, by orjson."""
    for name in ("json", "jsonb"):
        await connection.set_type_codec(name, encoder=_encode, decoder=orjson.loads, schema="pg_catalog", format="text")


def _encode(value: Any) -> str:
    return orjson.dumps(value, default=_plain).decode()


def _plain(value: Any) -> str:
    # The driver's own UUID type is a subclass, which orjson leaves to us; a decimal keeps its digits as text.
    if isinstance(value, uuid.UUID | decimal.Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


async def _nothing(_: Any) -> None:
    """Sessions leave nothing behind on a connection, so the pool's reset round trip is not needed."""


async def insert_rows(session: WriteSession, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows of one shape with one statement (PL-9): their JSON becomes the rows on the server.

    Values must be what orjson writes as PostgreSQL reads them: str, int, bool, None, UUID, date, datetime, lists, dicts.
    """
    if not rows:
        return
    columns = _shape(rows)
    await session.connection.execute(recordset_sql(table, columns, "insert"), [dict(row) for row in rows])


async def update_rows(
    session: WriteSession, table: sa.Table, rows: Sequence[Mapping[str, Any]], *, key: str = "id"
) -> int:
    """Update rows of one shape by key with one statement; answers how many rows were changed."""
    if not rows:
        return 0
    columns = _shape(rows)
    status = await session.connection.execute(recordset_sql(table, columns, "update", key), [dict(row) for row in rows])
    return int(status.rsplit(" ", 1)[-1])


def _shape(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The columns of the rows. ValueError when they differ: what one row lacks would be written as NULL."""
    columns = rows[0].keys()
    if any(row.keys() != columns for row in rows):
        raise ValueError("the rows are not of one shape")
    return tuple(columns)


_RECORDSETS: dict[tuple[str, tuple[str, ...], str, str], str] = {}


def recordset_sql(table: sa.Table, columns: tuple[str, ...], kind: str, key: str = "id") -> str:
    """`INSERT … SELECT` or `UPDATE … FROM` over `jsonb_to_recordset($1)`. Names come from the table, never from input."""
    cached = _RECORDSETS.get((table.fullname, columns, kind, key))
    if cached is not None:
        return cached
    types = ", ".join(f'"{c}" {table.c[c].type.compile(_PG)}' for c in columns)
    names = ", ".join(f'"{c}"' for c in columns)
    if kind == "insert":
        sql = f'INSERT INTO "{table.name}" ({names}) SELECT {names} FROM jsonb_to_recordset($1::jsonb) AS r({types})'  # noqa: S608  # names come from the table
    else:
        sets = ", ".join(f'"{c}" = r."{c}"' for c in columns if c != key)
        sql = f'UPDATE "{table.name}" t SET {sets} FROM jsonb_to_recordset($1::jsonb) AS r({types}) WHERE t."{key}" = r."{key}"'  # noqa: S608
    _RECORDSETS[table.fullname, columns, kind, key] = sql
    return sql


__all__ = [
    "Database",
    "DatabaseUnreachable",
    "NotCommitted",
    "PoolSettings",
    "Query",
    "ReadSession",
    "WriteContext",
    "WriteSession",
    "insert_rows",
    "query",
    "update_rows",
]

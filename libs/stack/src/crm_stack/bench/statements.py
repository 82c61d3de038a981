"""The SQL that the product runs for a list and for a record, with its values: for the reference to run the very same."""

from __future__ import annotations

import datetime as dt
import time
import uuid
from collections.abc import Sequence
from typing import Any


class Recorder:
    """Stands where a read session's connection stands, runs everything, and remembers it."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.ran: list[tuple[str, tuple[Any, ...]]] = []

    async def fetch(self, sql: str, *arguments: Any) -> Any:
        """All rows."""
        self.ran.append((sql, arguments))
        return await self._connection.fetch(sql, *arguments)

    async def fetchrow(self, sql: str, *arguments: Any) -> Any:
        """The first row."""
        self.ran.append((sql, arguments))
        return await self._connection.fetchrow(sql, *arguments)


class Statements:
    """What one holder of a token runs. dsn: of customers' database; token, keys and issuer: as the service verifies them."""

    def __init__(self, database: Any, key: Any, issuer: str) -> None:
        from crm_authz import DirectoryKeeper, TokenVerifier

        self._database = database
        self._keys = {key.kid: key.verifying()}
        self._verifier = TokenVerifier(issuer)
        self._keeper = DirectoryKeeper()

    async def _scope(self, token: str) -> tuple[Any, Any]:
        from crm_authz import Scope

        now = dt.datetime.now(dt.UTC)
        principal = self._verifier.verify(token, self._keys, now)
        directory = await self._keeper.current(self._database)
        return principal, Scope.of(principal, directory, "customers.customer", "read", now=now)

    async def pages(self, token: str, count: int) -> list[tuple[str, tuple[Any, ...]]]:
        """The statements of the first `count` pages of 50; fewer when there are no more. One statement a page, or RuntimeError."""
        from crm_customers.customer.actions import CUSTOMER
        from crm_database import ReadSession
        from crm_kernel import CompanyCalendar
        from crm_records.asked import ask
        from crm_records.filter import FilterContext
        from crm_records.listing import read_page

        principal, scope = await self._scope(token)
        context = FilterContext(principal.user_id, lambda: (), dt.datetime.now(dt.UTC), CompanyCalendar("UTC"))
        asked = ask(CUSTOMER, context)
        position: list[Any] | None = None
        found: list[tuple[str, tuple[Any, ...]]] = []
        async with self._database.read() as session:
            while len(found) < count:
                recorder = Recorder(session.connection)
                watched: Any = ReadSession(recorder, session.database)  # type: ignore[arg-type]
                page = await read_page(watched, CUSTOMER, scope, asked, position)
                if len(recorder.ran) != 1:
                    raise RuntimeError(f"a page ran {len(recorder.ran)} statements")
                found += recorder.ran
                position = page.position
                if position is None:
                    break
        return found

    async def single(self, token: str, ids: Sequence[uuid.UUID]) -> list[tuple[str, tuple[Any, ...]]]:
        """The statements that read each of these records."""
        from crm_customers.customer.actions import CUSTOMER
        from crm_database import ReadSession
        from crm_records import read_json

        _, scope = await self._scope(token)
        async with self._database.read() as session:
            recorder = Recorder(session.connection)
            watched: Any = ReadSession(recorder, session.database)  # type: ignore[arg-type]
            for record_id in ids:
                await read_json(watched, CUSTOMER, scope, record_id)
        return recorder.ran

    async def milliseconds(self, sql: str, arguments: Sequence[Any], times: int = 200) -> list[float]:
        """How long the database takes, as the driver sees it, once the statement is prepared and planned for all values."""
        taken = []
        async with self._database.read() as session:
            for _ in range(10):
                await session.connection.fetch(sql, *arguments)
            for _ in range(times):
                begun = time.perf_counter()
                await session.connection.fetch(sql, *arguments)
                taken.append((time.perf_counter() - begun) * 1000)
        return taken


def for_reference(sql: str, arguments: Sequence[Any]) -> dict[str, Any]:
    """A statement with its values as JSON, as `reference.application` reads them."""
    return {"sql": sql, "args": [_json(value) for value in arguments]}


def _json(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return {"at": value.isoformat()}
    if isinstance(value, list | tuple):
        return [_json(one) for one in value]
    return value if isinstance(value, int | str | None) else str(value)

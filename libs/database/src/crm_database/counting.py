"""How many statements somebody's work sent to the database, and how long it waited for the answers (PL-45).

Whoever wants to know sets a `Tally`; where nobody does, a statement pays for one look at a context variable.
"""

import contextlib
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import asyncpg

if TYPE_CHECKING:
    _Connection = asyncpg.Connection[Any]
else:
    # Only its stub can be subscripted.
    _Connection = asyncpg.Connection


class Tally:
    """statements: how many were sent. seconds: how long their answers were waited for, together."""

    __slots__ = ("seconds", "statements")

    def __init__(self) -> None:
        self.statements = 0
        self.seconds = 0.0


_tally: ContextVar[Tally | None] = ContextVar("statements", default=None)


@contextlib.contextmanager
def counted() -> Iterator[Tally]:
    """Count the statements of the block, and of the tasks begun in it."""
    tally = Tally()
    token = _tally.set(tally)
    try:
        yield tally
    finally:
        _tally.reset(token)


class CountedConnection(_Connection):
    """asyncpg's connection, noting what passes. `cursor` and `copy_…` are not counted: what streams has no one answer."""

    # Filled by the pool's class, as its own would be.
    __slots__ = ()

    async def execute(self, query: str, *args: Any, **options: Any) -> str:
        """See asyncpg."""
        tally = _tally.get()
        if tally is None:
            return await super().execute(query, *args, **options)
        with _Noted(tally):
            return await super().execute(query, *args, **options)

    async def executemany(self, command: str, args: Any, **options: Any) -> None:
        """See asyncpg."""
        tally = _tally.get()
        if tally is None:
            return await super().executemany(command, args, **options)
        with _Noted(tally):
            return await super().executemany(command, args, **options)

    async def fetch(self, query: str, *args: Any, **options: Any) -> Any:
        """See asyncpg."""
        tally = _tally.get()
        if tally is None:
            return await super().fetch(query, *args, **options)
        with _Noted(tally):
            return await super().fetch(query, *args, **options)

    async def fetchrow(self, query: str, *args: Any, **options: Any) -> Any:
        """See asyncpg."""
        tally = _tally.get()
        if tally is None:
            return await super().fetchrow(query, *args, **options)
        with _Noted(tally):
            return await super().fetchrow(query, *args, **options)

    async def fetchval(self, query: str, *args: Any, **options: Any) -> Any:
        """See asyncpg."""
        tally = _tally.get()
        if tally is None:
            return await super().fetchval(query, *args, **options)
        with _Noted(tally):
            return await super().fetchval(query, *args, **options)


class _Noted:
    """One statement. A class: contextlib's own costs several times as much."""

    __slots__ = ("_at", "_tally")

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def __enter__(self) -> None:
        self._at = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._tally.statements += 1
        self._tally.seconds += time.perf_counter() - self._at


__all__ = ["CountedConnection", "Tally", "counted"]

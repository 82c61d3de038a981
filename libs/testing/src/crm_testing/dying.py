"""A process that dies between any two statements, without a process: the code goes no further, and its connection is gone."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Literal

import asyncpg
import pytest

#: When: before the statement reaches the server, after it did; `connection`: the code lives, and finds its connection gone.
How = Literal["before", "after", "connection"]


class Killed(BaseException):
    """What `kill -9` is to the code: it goes no further."""


@contextmanager
def killed_at(nth: int, how: How, patch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The n-th thing that is asked of the database from now on is never answered; what that does to the code ends here.

    Yields the first lines of what was asked; fewer than `nth` of them: nobody died.
    """
    asked: list[str] = []

    def dying(name: str) -> Callable[..., Awaitable[Any]]:
        original = getattr(asyncpg.Connection, name)

        async def call(connection: "asyncpg.Connection[Any]", query: str, *values: Any, **options: Any) -> Any:
            if query.startswith("ROLLBACK"):
                return await original(connection, query, *values, **options)
            asked.append(query.strip().split("\n")[0])
            if len(asked) != nth:
                return await original(connection, query, *values, **options)
            if how == "connection":
                connection.terminate()
                return await original(connection, query, *values, **options)
            if how == "after":
                await original(connection, query, *values, **options)
            connection.terminate()
            raise Killed

        return call

    with patch.context() as patched, suppress(Killed, asyncpg.InterfaceError, OSError):
        for name in ("execute", "fetch", "fetchrow", "fetchval"):
            patched.setattr(asyncpg.Connection, name, dying(name))
        yield asked

"""How many statements a request really sends to the database: what the driver is asked to do, not what our code meant to ask."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import asyncpg

#: Each sends at least one statement. `prepare` stands for the statement that is run by it afterwards.
_ASKED = (
    *("execute", "executemany", "fetch", "fetchmany", "fetchrow", "fetchval", "prepare", "cursor"),
    *("copy_records_to_table", "copy_to_table", "copy_from_query", "copy_from_table"),
)
_CONTROL = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")
#: The look at the directory's version, at most every 200 ms: most requests are without it.
_DIRECTORY = "directory_version"
#: Where the calls of a request are noted; a service's own tasks in the background started without it and note nothing.
_notes: ContextVar[list[str] | None] = ContextVar("_notes", default=None)


@contextmanager
def noting_statements() -> Iterator[None]:
    """Have the driver note what it is asked, for `statements_of`, as long as this lasts."""
    originals = {name: getattr(asyncpg.Connection, name) for name in _ASKED}
    for name, original in originals.items():
        setattr(asyncpg.Connection, name, _noted(original))
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(asyncpg.Connection, name, original)


async def statements_of(request: Callable[[], Awaitable[Any]]) -> list[str]:
    """The statements of one call, besides transaction control and the look at the directory; needs `noting_statements`.

    The call is made twice and the second counts: the first may fill what a process keeps for long.
    """
    await request()
    notes: list[str] = []
    token = _notes.set(notes)
    try:
        await request()
    finally:
        _notes.reset(token)
    return [note for note in notes if not note.startswith(_CONTROL) and _DIRECTORY not in note]


def _noted(original: Callable[..., Any]) -> Callable[..., Any]:
    # asyncpg's pool hands out proxies that copy names and signatures; they look the method up at each call.
    @functools.wraps(original)
    def call(connection: Any, query: str, *values: Any, **options: Any) -> Any:
        notes = _notes.get()
        if notes is not None:
            notes.append(query.strip())
        return original(connection, query, *values, **options)

    return call

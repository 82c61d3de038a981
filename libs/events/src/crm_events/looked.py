"""Figures of a service's database that gauges say: looked at now and then by its worker."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

import structlog

from crm_database import DATABASE_ERRORS, Database, ReadSession
from crm_events.waiting import stopped_within

FiguresT = TypeVar("FiguresT")

#: Seconds between looks into the database.
LOOK_SECONDS: Final = 10.0

_log = structlog.get_logger("crm_events")


class Looked(Generic[FiguresT]):
    """What `read` last found in a database. now: None while that can't be read: no figure is better than an old one."""

    def __init__(self, database: Database, read: Callable[[ReadSession], Awaitable[FiguresT]]) -> None:
        self.database = database
        self.now: FiguresT | None = None
        self._read = read

    async def run(self, stop: asyncio.Event) -> None:
        """Look now and then until `stop`."""
        while not stop.is_set():
            await self.look()
            await stopped_within(stop, LOOK_SECONDS)

    async def look(self) -> None:
        """Look once."""
        try:
            async with self.database.read() as session:
                self.now = await self._read(session)
        except DATABASE_ERRORS as error:
            self.now = None
            _log.info("figures not read", cause=repr(error))


__all__ = ["LOOK_SECONDS", "Looked"]

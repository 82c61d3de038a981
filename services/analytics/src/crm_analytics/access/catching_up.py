"""Whose the records of an older log are: taken in beside the consumers, when the program that kept the log didn't note it.

So it is after an upgrade, and again for what an old replica put into the log while the new ones came up. Until then feed and webhooks end
where it is known.
"""

import asyncio
import contextlib
from typing import Final

import structlog

from crm_analytics.access import store
from crm_database import DATABASE_ERRORS, Database, WriteContext
from crm_kernel import Clock

#: Seconds between two looks.
LOOK_EVERY: Final = 2.0

_log = structlog.get_logger("crm_analytics")


async def catch_up(database: Database, clock: Clock, stop: asyncio.Event) -> None:
    """Take in what is missing, whenever something is, until `stop`."""
    while not stop.is_set():
        try:
            while not stop.is_set() and await caught_up_more(database, clock):
                continue
        except DATABASE_ERRORS as error:
            _log.info("owners of logged records not taken in", cause=repr(error))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), LOOK_EVERY)


async def caught_up_more(database: Database, clock: Clock) -> bool:
    """One part in a transaction of its own; whether there may be more."""
    async with database.write(WriteContext(now=clock.now())) as session:
        return await store.catch_up(session)

"""Waking the relay after a commit: in the same process at once, in another one by a debounced NOTIFY.

A NOTIFY inside a business transaction would make PostgreSQL commit them one by one (2,300-3,000 transactions a second without,
660-750 with). So it is sent after the commit, by itself, at most 20 times a second, and losing one costs the relay's poll of 500 ms.
"""

import asyncio
import contextlib
import weakref

import structlog

from crm_database import DATABASE_ERRORS, Database

CHANNEL = "crm_outbox"
NOTIFY_SECONDS = 0.05

_log = structlog.get_logger("crm_events")
_waiting: "weakref.WeakSet[asyncio.Event]" = weakref.WeakSet()


def committed() -> None:
    """Events were committed in this process. Quick, never fails; `record()` has it called after the commit."""
    for event in list(_waiting):
        event.set()


def wakeup() -> asyncio.Event:
    """An event of this process that `committed` sets; kept as long as its holder keeps it."""
    event = asyncio.Event()
    _waiting.add(event)
    return event


async def notify_others(database: Database) -> None:
    """Tell relays of other processes about commits of this one, until cancelled. For processes that run no relay."""
    event = wakeup()
    while True:
        await event.wait()
        event.clear()
        with contextlib.suppress(*DATABASE_ERRORS):
            async with database.read() as session:
                # Raw SQL: SQLAlchemy has no NOTIFY. Outside any business transaction, see above.
                await session.connection.execute(f"NOTIFY {CHANNEL}")
        await asyncio.sleep(NOTIFY_SECONDS)

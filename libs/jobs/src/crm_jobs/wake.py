"""Waking the runner of the same process when a job was asked for. Another process finds it at its next look, a second later."""

import asyncio
import weakref

from crm_database import Database

_RUNNERS: "weakref.WeakKeyDictionary[Database, weakref.WeakSet[asyncio.Event]]" = weakref.WeakKeyDictionary()


def wakeup(database: Database) -> asyncio.Event:
    """An event that `wake` sets; kept as long as its holder keeps it."""
    event = asyncio.Event()
    _RUNNERS.setdefault(database, weakref.WeakSet()).add(event)
    return event


def wake(database: Database) -> None:
    """There is a new job. Quick, never fails."""
    for event in list(_RUNNERS.get(database, ())):
        event.set()

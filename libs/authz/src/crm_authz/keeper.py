"""Keeps a process's Directory up to date: worker and app are two processes, the replica's one version row is between them."""

import asyncio
import datetime as dt
import time
import weakref
from collections.abc import Callable
from typing import Final

from crm_authz.directory import Directory
from crm_authz.loading import load, look
from crm_authz.principal import Principal
from crm_authz.refusals import DirectoryBehind
from crm_database import Database
from crm_kernel import Clock, SystemClock

#: How old what is known may be when it is used; seconds. With the worker's own delay it stays below the second of ID-24.
LOOK_EVERY: Final = 0.2
#: How long a request waits for the replica to hear what its token already knows, and how often it looks meanwhile; seconds.
WAIT_FOR_NEWS: Final = 2.0
LOOK_WHILE_WAITING: Final = 0.05
#: How far a clock may fall behind the time that passes; it is put right in small steps all the time. More means that it was set back.
CLOCK_TOLERANCE: Final = dt.timedelta(minutes=1)


class DirectoryKeeper:
    """One per process and database. However many requests ask at once, one of them looks and all get what it finds."""

    def __init__(self, clock: Clock | None = None, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """monotonic: seconds on a clock that never jumps."""
        self._clock = clock or SystemClock()
        self._monotonic = monotonic
        self._began, self._began_at = self._clock.elapsed(), self._clock.now()
        self._directory = Directory()
        self._loaded = False
        self._looked_at = float("-inf")
        self._looking: asyncio.Task[None] | None = None

    async def current(self, db: Database, *, at_most: float = LOOK_EVERY) -> Directory:
        """The directory as it was at most `at_most` seconds ago.

        Database errors go through to the caller: without a look it isn't known who was dismissed meanwhile.
        """
        wanted = self._monotonic() - at_most
        while self._looked_at < wanted:
            if self._looking is None or self._looking.done():
                self._looking = asyncio.create_task(self._look(db))
            # Shielded: a request that is cancelled must not end the look that others wait for.
            await asyncio.shield(self._looking)
        return self._directory

    async def admit(self, db: Database, principal: Principal) -> Directory:
        """The directory by which a token counts.

        Raises TokenStale; DirectoryBehind (503) when the token is newer than the replica and 2 s did not change that.
        """
        deadline = self._monotonic() + WAIT_FOR_NEWS
        directory = await self.current(db)
        while True:
            try:
                directory.admit(principal, self.time())
            except DirectoryBehind:
                if self._monotonic() >= deadline:
                    raise
            else:
                return directory
            await asyncio.sleep(LOOK_WHILE_WAITING)
            directory = await self.current(db, at_most=LOOK_WHILE_WAITING)

    def time(self) -> dt.datetime:
        """What time it is where the end of a token counts: what the clock says, unless it was set back since this process began.

        Else the tokens of the last hour would be good once more. Set forward, it ends tokens early, and clients get others.
        """
        return self._clock.now() + self.set_back()

    def set_back(self) -> dt.timedelta:
        """By how much the clock was set back since this process began; nothing where it is within the tolerance."""
        passed = self._began_at + dt.timedelta(seconds=self._clock.elapsed() - self._began)
        behind = passed - self._clock.now()
        return behind if behind > CLOCK_TOLERANCE else dt.timedelta(0)

    async def _look(self, db: Database) -> None:
        # Taken before reading: what is read is at least as new as this.
        started = self._monotonic()
        async with db.read() as session:
            version, heard_at = await look(session)
        if not self._loaded or version != self._directory.version:
            await self._load(db)
        elif heard_at != self._directory.heard_at:
            self._directory = self._directory.heard(heard_at)
        self._looked_at = started

    async def _load(self, db: Database) -> None:
        """The difference, in one snapshot, so that nobody stands in a department of another moment."""
        async with db.snapshot() as session:
            version, heard_at = await look(session)
            # A version that went back is another database (restored): what we know of it counts for nothing.
            known = self._directory if self._loaded and version >= self._directory.version else None
            changes = await load(session, -1 if known is None else known.version)
        self._directory = (known or Directory()).with_changes(
            changes, version=version, heard_at=heard_at, now=self._clock.now()
        )
        self._loaded = True


_KEEPERS: weakref.WeakKeyDictionary[Database, DirectoryKeeper] = weakref.WeakKeyDictionary()


def keeper_of(database: Database, clock: Clock | None = None) -> DirectoryKeeper:
    """The process's one keeper for a database, for requests as for reactions and schedules. It keeps the clock it was made with."""
    keeper = _KEEPERS.get(database)
    if keeper is None:
        keeper = _KEEPERS[database] = DirectoryKeeper(clock)
    return keeper

"""What a worker does by itself: archive the months that are older than the deployment keeps, and say how many there are.

No schedule: one holds a transaction while it runs, and a month may take an hour, for which nothing could be vacuumed. The archiver's
lock is what makes one of several workers the only one; what is due is seen in the tables, so nothing is made up for.
"""

import asyncio
import datetime as dt
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

import structlog

from crm_contracts import Registry
from crm_database import DATABASE_ERRORS, Database, ReadSession
from crm_events import metrics
from crm_events.archive import archiver as archiving
from crm_events.archive.errors import ArchiveDamaged, ArchiveUnreachable, NotArchived
from crm_events.archive.reading import counted, storage_of
from crm_events.archive.storage import Storage
from crm_events.looked import Looked
from crm_events.settings import BusSettings
from crm_events.waiting import stopped_within
from crm_kernel.clock import Clock

#: Seconds between looks for what is due.
ROUND_SECONDS = 900.0

_log = structlog.get_logger("crm_events")


async def archive_due(settings: BusSettings, known: Registry, storage: Storage, keep: int, now: dt.datetime) -> None:
    """Archive what is due, the oldest first. What can't be archived now is told in the log, and tried again the next time.

    keep: months besides the present one that stay whole. Raises what the database raises.
    """
    try:
        async with archiving.archiver(
            settings.dsn, settings.service, storage, known=known, expected=settings.expected_services
        ) as archiver:
            for month in archiving.due(await archiving.months(archiver.connection), now.date(), keep):
                try:
                    with counted():
                        await archiver.archive(month, now)
                except NotArchived as reason:
                    _log.warning("month not archived", month=f"{month:%Y-%m}", cause=str(reason))
    except NotArchived as reason:
        _log.info("nothing archived", cause=str(reason))
    except ArchiveUnreachable as reason:
        _log.warning("nothing archived", cause=str(reason))
    except ArchiveDamaged as error:
        _log.error("nothing archived", cause=str(error))


@dataclass(frozen=True)
class Standing:
    """archived: months whose data lies in the archive. overdue: those that should, and don't."""

    archived: int
    overdue: int


class Keeping:
    """The archive's part of a worker. keep: see Worker.keep_months."""

    def __init__(self, settings: BusSettings, database: Database, known: Registry, keep: int, clock: Clock) -> None:
        self.settings = settings
        self.database = database
        self.known = known
        self.keep = keep
        self.clock = clock
        self.looked = Looked(database, self._standing)

    async def run(self, stop: asyncio.Event) -> None:
        """Archive now and then until `stop`; what goes on then is broken off, and goes on the next time."""
        metrics.archive_months.of(self, lambda k: [(k.looked.now.archived, {})] if k.looked.now else [])
        metrics.archive_overdue.of(self, lambda k: [(k.looked.now.overdue, {})] if k.looked.now else [])
        await asyncio.gather(self.looked.run(stop), self._archiving(stop))

    def warning(self) -> str | None:
        """For `/readyz`: what makes archived months unreadable here, or None."""
        standing = self.looked.now
        if standing is None or not standing.archived or storage_of(self.database) is not None:
            return None
        return f"{standing.archived} months are archived, and CRM_ARCHIVE_URL does not say where"

    async def _archiving(self, stop: asyncio.Event) -> None:
        storage = storage_of(self.database)
        if not self.keep or storage is None:
            return
        while not stop.is_set():
            try:
                await _unless(stop, archive_due(self.settings, self.known, storage, self.keep, self.clock.now()))
            except DATABASE_ERRORS as error:
                _log.warning("nothing archived", cause=repr(error))
            await stopped_within(stop, ROUND_SECONDS)

    async def _standing(self, session: ReadSession) -> Standing:
        found = await archiving.months(session.connection)
        archived = sum(one.state in ("archived", "restoring") for one in found)
        return Standing(archived, len(archiving.due(found, self.clock.now().date(), self.keep)))


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Do it, or break it off at `stop`. Raises what it raises."""
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        for task in (working, stopping):
            task.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)

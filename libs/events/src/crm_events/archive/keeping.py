"""What a worker does by itself: archive the months that are older than the deployment keeps."""

import datetime as dt

import structlog

from crm_contracts import Registry
from crm_events.archive import archiver as archiving
from crm_events.archive.errors import ArchiveUnreachable, NotArchived
from crm_events.archive.storage import Storage
from crm_events.settings import BusSettings

_log = structlog.get_logger("crm_events")


async def archive_due(settings: BusSettings, known: Registry, storage: Storage, keep: int, now: dt.datetime) -> None:
    """Archive what is due, the oldest first. What can't be archived now is told in the log, and tried again the next time.

    keep: months besides the present one that stay whole. Raises ArchiveDamaged, and what the database raises.
    """
    try:
        async with archiving.archiver(
            settings.dsn, settings.service, storage, known=known, expected=settings.expected_services
        ) as archiver:
            for month in archiving.due(await archiving.months(archiver.connection), now.date(), keep):
                try:
                    await archiver.archive(month, now)
                except NotArchived as reason:
                    _log.warning("month not archived", month=f"{month:%Y-%m}", cause=str(reason))
    except (NotArchived, ArchiveUnreachable) as reason:
        _log.warning("nothing archived", cause=str(reason))

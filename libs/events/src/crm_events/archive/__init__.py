"""Old months of the journal in object storage (docs/decisions/0027): the data goes there, the row that says where it lies stays."""

from crm_events.archive.errors import ArchiveDamaged, ArchiveUnreachable
from crm_events.archive.reading import changed, completed, contents, is_archived, keep_in, storage_of
from crm_events.archive.storage import Storage

__all__ = [
    "ArchiveDamaged",
    "ArchiveUnreachable",
    "Storage",
    "changed",
    "completed",
    "contents",
    "is_archived",
    "keep_in",
    "storage_of",
]

"""What can be wrong with the archive."""

from crm_kernel.errors import Unavailable


class ArchiveUnreachable(Unavailable):
    """The archive's storage does not answer, has not the file, or no address of it is set. The detail says which file."""

    code = "archive.unreachable"
    title = "Older entries can't be read right now"


class ArchiveDamaged(RuntimeError):
    """A file of the archive is not what was written; the text names the file and the place in it. Never answered from."""


class NotArchived(RuntimeError):
    """A month can't be archived or brought back now; the text says why. Nothing was changed by it."""

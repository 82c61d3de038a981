"""The object storage that archives lie in: a folder, S3 and what speaks like it, GCS, Azure (docs/decisions/0009)."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import obstore
import structlog
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from crm_events.archive.errors import ArchiveDamaged, ArchiveUnreachable

#: Seconds for one file or range. Readers hold a database connection meanwhile.
READ_SECONDS = 10.0
WRITE_SECONDS = 300.0
#: How many of a process read ranges at once, and how long, in seconds, others wait for their turn: a storage that hangs must not
#: come to hold all database connections.
READERS, TURN_SECONDS = 4, 1.0

_log = structlog.get_logger("crm_events")


class Storage:
    """url: `file:///folder`, `s3://bucket/prefix`, `gs://…`, `az://…`; who we are there, the clouds' own variables say (`AWS_…`).

    Raises ValueError for an address that is none.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._readers = asyncio.Semaphore(READERS)
        self._folder = Path(unquote(parts.path)) if parts.scheme == "file" else None
        try:
            if self._folder is not None:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._store: ObjectStore = LocalStore(prefix=self._folder)
            else:
                self._store = from_url(url)
        except (BaseError, OSError, ValueError) as error:
            raise ValueError(f"{parts.scheme or url!r} is no storage: {error}") from error

    async def write(self, file: str, content: bytes) -> None:
        """Write a file whole, over one of that name; it outlasts a power failure. Raises ArchiveUnreachable."""
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await obstore.put_async(self._store, file, content)
                if self._folder is not None:
                    # The clouds answer when it is safe; a folder's file is in the system's memory only.
                    await asyncio.to_thread(_made_safe, self._folder, file)
        except (BaseError, OSError) as error:
            raise _unreachable(f"{file} can't be written.", error) from error

    async def read(self, file: str) -> bytes:
        """A file whole. Raises ArchiveUnreachable."""
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                return bytes(await (await obstore.get_async(self._store, file)).bytes_async())
        except (BaseError, OSError) as error:
            raise _unreachable(f"{file} can't be read.", error) from error

    async def ranges(self, file: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Parts of a file: (start, length) each.

        Raises ArchiveUnreachable, also when too many read already; ArchiveDamaged when the file is shorter.
        """
        try:
            async with asyncio.timeout(TURN_SECONDS):
                await self._readers.acquire()
        except TimeoutError as error:
            raise _unreachable(f"{file} can't be read: others wait for the storage.", error) from error
        try:
            async with asyncio.timeout(READ_SECONDS):
                found = await obstore.get_ranges_async(
                    self._store, file, starts=[start for start, _ in ranges], lengths=[length for _, length in ranges]
                )
        except (BaseError, OSError) as error:
            raise _unreachable(f"{file} can't be read.", error) from error
        finally:
            self._readers.release()
        parts = [bytes(part) for part in found]
        for part, (start, length) in zip(parts, ranges, strict=True):
            if len(part) != length:
                raise ArchiveDamaged(f"{file} ends before {start + length} bytes")
        return parts


def _unreachable(detail: str, error: Exception) -> ArchiveUnreachable:
    """The cause names hosts and accounts: it is for the log, the detail is answered."""
    _log.warning("archive unreachable", detail=detail, cause=f"{type(error).__name__}: {error}".partition("\n")[0])
    return ArchiveUnreachable(detail, retry_after=5)


def _made_safe(folder: Path, file: str) -> None:
    path = folder / file
    for one in (path, *path.parents):
        descriptor = os.open(one, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if one == folder:
            return

"""The object storage that archives lie in: a folder, S3 and what speaks like it, GCS, Azure (docs/decisions/0009)."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from crm_events.archive.errors import ArchiveDamaged, ArchiveUnreachable

#: Seconds for one file or range. Readers hold a database connection meanwhile.
READ_SECONDS = 10.0
WRITE_SECONDS = 300.0


class Storage:
    """url: `file:///folder`, `s3://bucket/prefix`, `gs://…`, `az://…`; who we are there, the clouds' own variables say (`AWS_…`).

    Raises ValueError for an address that is none.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        try:
            if parts.scheme == "file":
                Path(parts.path).mkdir(parents=True, exist_ok=True)
                self._store: ObjectStore = LocalStore(prefix=parts.path)
            else:
                self._store = from_url(url)
        except (BaseError, OSError) as error:
            raise ValueError(f"{parts.scheme or url!r} is no storage: {error}") from error

    async def write(self, file: str, content: bytes) -> None:
        """Write a file whole, over one of that name. Raises ArchiveUnreachable."""
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await obstore.put_async(self._store, file, content)
        except (BaseError, OSError) as error:
            raise ArchiveUnreachable(f"{file} can't be written: {error}") from error

    async def read(self, file: str) -> bytes:
        """A file whole. Raises ArchiveUnreachable."""
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                return bytes(await (await obstore.get_async(self._store, file)).bytes_async())
        except (BaseError, OSError) as error:
            raise ArchiveUnreachable(f"{file} can't be read: {error}") from error

    async def ranges(self, file: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Parts of a file: (start, length) each. Raises ArchiveUnreachable; ArchiveDamaged when the file is shorter."""
        try:
            async with asyncio.timeout(READ_SECONDS):
                found = await obstore.get_ranges_async(
                    self._store, file, starts=[start for start, _ in ranges], lengths=[length for _, length in ranges]
                )
        except (BaseError, OSError) as error:
            raise ArchiveUnreachable(f"{file} can't be read: {error}") from error
        parts = [bytes(part) for part in found]
        for part, (start, length) in zip(parts, ranges, strict=True):
            if len(part) != length:
                raise ArchiveDamaged(f"{file} ends before {start + length} bytes")
        return parts

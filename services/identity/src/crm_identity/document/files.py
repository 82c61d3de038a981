"""The documents that stand in a folder: made by whoever builds the product, shown by identity."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from crm_kernel import Unavailable


class DocumentMissing(Unavailable):
    code = "document.missing"
    title = "The document was not built yet"


@dataclass(frozen=True)
class Document:
    """content: as it goes out. etag: changes with it, in quotes."""

    content: bytes
    etag: str


class Documents:
    """Files of one folder, read again when they change."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._read: dict[str, tuple[tuple[int, int], Document]] = {}

    def read(self, name: str) -> Document:
        """name: one of our own file names, never input. Raises DocumentMissing."""
        if self._folder is None:
            raise DocumentMissing
        file = self._folder / name
        try:
            stat = file.stat()
            stamp = (stat.st_mtime_ns, stat.st_size)
            known = self._read.get(name)
            if known is not None and known[0] == stamp:
                return known[1]
            document = of(file.read_bytes())
        except FileNotFoundError:
            raise DocumentMissing from None
        self._read[name] = (stamp, document)
        return document


def of(content: bytes) -> Document:
    """A document with its tag."""
    return Document(content, f'"{hashlib.sha256(content).hexdigest()[:32]}"')

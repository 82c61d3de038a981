"""How archived events lie in files. Pure.

A file is a run of frames, one behind the other. A frame is a gzip member of some lines, a line one event as JSON, its `data` last, as the
database writes it: so a frame is read without the rest of the file, and a whole file with `zcat`.
"""

import gzip
import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from crm_events.archive.errors import ArchiveDamaged

#: Events in one frame: what is read for one of them. The fewer, the less is read; the more, the better it is compressed.
FRAME_EVENTS = 200
#: A file ends with the frame that makes it so long: so much is held in memory, and written again after a crash.
FILE_BYTES = 8_000_000

# Inside a JSON string the quotes would be escaped: the first one found is the member's.
_DATA = b', "data": '
_ID = b'"event_id": "'


@dataclass(frozen=True)
class Frame:
    """Where a frame lies and what must be found there. start, length: bytes in the file. first, last: ids of its events, ascending."""

    file: str
    start: int
    length: int
    first: uuid.UUID
    last: uuid.UUID
    events: int
    sha256: str


def packed(file: str, start: int, lines: Sequence[tuple[uuid.UUID, bytes]]) -> tuple[Frame, bytes]:
    """A frame of these events, ascending by id, and its bytes. The same events give the same bytes."""
    written = gzip.compress(b"".join(line + b"\n" for _, line in lines), 6, mtime=0)
    digest = hashlib.sha256(written).hexdigest()
    return Frame(file, start, len(written), lines[0][0], lines[-1][0], len(lines), digest), written


def unpacked(frame: Frame, read: bytes) -> list[tuple[uuid.UUID, bytes]]:
    """The events of a frame: id and line. Raises ArchiveDamaged unless it is to the byte what was written."""
    if hashlib.sha256(read).hexdigest() != frame.sha256:
        raise ArchiveDamaged(f"{frame.file}, {frame.length} bytes from {frame.start}: not what was written")
    lines = gzip.decompress(read).splitlines()
    return [(_id_of(line), line) for line in lines]


def data_of(line: bytes) -> bytes:
    """An event's data as the database writes it."""
    return line[line.index(_DATA) + len(_DATA) : -1]


def _id_of(line: bytes) -> uuid.UUID:
    at = line.index(_ID) + len(_ID)
    return uuid.UUID(line[at : at + 36].decode())

"""Reading what was archived: the data of events whose rows say that it lies elsewhere.

A row of an archived month is in the journal like any other, and found as fast; only its `data` is short: `$archived` names the fields that
it changed, beside it stand the members that are short values. Who reads `data` asks `is_archived` and has it completed here.
"""

import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import asyncpg
import orjson
import sqlalchemy as sa

from crm_database import Database, ReadSession
from crm_events import metrics
from crm_events.archive.errors import ArchiveDamaged, ArchiveUnreachable
from crm_events.archive.frames import Frame, data_of, unpacked
from crm_events.archive.storage import Storage
from crm_events.journal import journal

#: The member that only data of archived rows has: no model can have a field of that name.
MARK = "$archived"

#: Whether a row's data lies in the archive.
is_archived: sa.ColumnElement[bool] = journal.c.data.has_key(sa.literal_column(f"'{MARK}'")).label("is_archived")

# Raw SQL: for each id the frame that could hold it.
_FRAMES = """
SELECT i.id, f.file, f.start, f.length, f.first, f.last, f.events, f.sha256 FROM unnest($1::uuid[]) AS i(id)
JOIN LATERAL (SELECT * FROM journal_frame WHERE first <= i.id ORDER BY first DESC LIMIT 1) f ON f.last >= i.id
ORDER BY f.file, f.start
"""
# Raw SQL: what came back between reading a row and asking where its data lies.
_WHOLE = f"""
SELECT event_id, convert_to(data::text, 'UTF8') AS data FROM journal WHERE event_id = ANY($1) AND NOT data ? '{MARK}'
"""  # noqa: S608  (a constant)

_STORAGES: WeakKeyDictionary[Database, Storage] = WeakKeyDictionary()


class Fetching(Protocol):
    """A connection, whoever's."""

    async def fetch(self, query: str, *arguments: Any) -> list[Any]: ...


def keep_in(database: Database, storage: Storage | None) -> None:
    """Say where this process finds the archive of a database; None: nowhere."""
    if storage is None:
        _STORAGES.pop(database, None)
    else:
        _STORAGES[database] = storage


def storage_of(database: Database | None) -> Storage | None:
    """What was said last."""
    return None if database is None else _STORAGES.get(database)


async def contents(
    connection: Fetching, storage: Storage | None, events: Collection[uuid.UUID]
) -> Mapping[uuid.UUID, bytes]:
    """The data of archived events, as it was in the journal to the byte. Nothing is asked when there are none.

    Raises ArchiveUnreachable, also when an event is in no file; ArchiveDamaged.
    """
    if not events:
        return {}
    with counted():
        return await _contents(connection, storage, events)


async def _contents(
    connection: Fetching, storage: Storage | None, events: Collection[uuid.UUID]
) -> Mapping[uuid.UUID, bytes]:
    if storage is None:
        raise ArchiveUnreachable("CRM_ARCHIVE_URL does not say where the archived months of this service lie.")
    wanted = {uuid.UUID(int=event.int) for event in events}
    files: dict[str, dict[int, Frame]] = {}
    for row in await connection.fetch(_FRAMES, list(wanted)):
        files.setdefault(row["file"], {})[row["start"]] = frame_of(row)
    found: dict[uuid.UUID, bytes] = {}
    for file, frames in files.items():
        parts = await storage.ranges(file, [(frame.start, frame.length) for frame in frames.values()])
        for frame, part in zip(frames.values(), parts, strict=True):
            found |= {event: data_of(line) for event, line in unpacked(frame, part) if event in wanted}
    if absent := wanted - found.keys():
        # Their month was brought back since their rows were read.
        back = await connection.fetch(_WHOLE, list(absent))
        found |= {uuid.UUID(int=row["event_id"].int): row["data"] for row in back}
    if absent := wanted - found.keys():
        raise ArchiveUnreachable(f"{len(absent)} events are in no file of the archive, {min(absent)} among them.")
    return found


@contextmanager
def counted() -> Iterator[None]:
    """Count it when the archive fails in here; the error goes on."""
    try:
        yield
    except ArchiveUnreachable:
        metrics.archive_failures.add(1, {"cause": "unreachable"})
        raise
    except ArchiveDamaged:
        metrics.archive_failures.add(1, {"cause": "damaged"})
        raise


async def completed(session: ReadSession, rows: Sequence[asyncpg.Record]) -> Mapping[uuid.UUID, Mapping[str, Any]]:
    """Of the rows that are archived (their `event_id`, and `is_archived`, stand in each), the data. Raises as `contents`."""
    archived = [row["event_id"] for row in rows if row["is_archived"]]
    found = await contents(session.connection, storage_of(session.database), archived)
    return {event: orjson.loads(data) for event, data in found.items()}


def changed(field: str) -> sa.ColumnElement[bool]:
    """Whether an event changed a field, archived or not: one of archiver.LOOKED_FOR."""
    return sa.or_(journal.c.data["changes"].has_key(field), journal.c.data[MARK].has_key(field))


def frame_of(row: Mapping[str, Any]) -> Frame:
    """A row of `journal_frame`."""
    return Frame(
        row["file"],
        row["start"],
        row["length"],
        uuid.UUID(int=row["first"].int),
        uuid.UUID(int=row["last"].int),
        row["events"],
        row["sha256"],
    )

"""Moving a month of the journal to the archive, and back.

All of it runs on one connection, which holds the lock: who lost it can't go on. Each step is one transaction that leaves the month
either as it was or a step further, so a process may die between any two statements: the next one goes on behind the last file that was
noted. The journal itself changes once, in one transaction: the month's table makes room for one of the same rows.

Raw SQL throughout: tables are made, changed and dropped, and rows moved as text, so that they come back as they were to the byte.
"""

import asyncio
import datetime as dt
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import orjson
import structlog

from crm_contracts import Registry, registry
from crm_database import lock_key
from crm_events.archive.errors import ArchiveDamaged, NotArchived
from crm_events.archive.frames import FILE_BYTES, FRAME_EVENTS, Frame, packed, unpacked
from crm_events.archive.lacking import lacking
from crm_events.archive.reading import MARK, Fetching, frame_of
from crm_events.archive.storage import Storage
from crm_events.months import bounds, months_from
from crm_kernel.ids import new_id

#: One at a time in each service's database.
LOCK = lock_key("events.archive")
#: Fields by whose change events are looked for: an archived row still says whether it changed them.
LOOKED_FOR = ("owner_id",)
#: Longest text of a member that an archived row keeps, with its quotes: an id is found by it, or an instant; a remark is not.
SHORT = 66
#: Frames brought back in one transaction.
RESTORED_AT_ONCE = 25
#: How long the change waits for the journal's readers, while later ones wait for it; how often it tries, and the pause between, seconds.
LOCK_TIMEOUT = "2s"
ATTEMPTS, PAUSE_SECONDS = 5, 1.0

_COLUMNS = "event_id, topic, type, subject, version, time, occurred_at, write_id, actor_id, traceparent"
_MONTHS = """
SELECT c.relname, pg_total_relation_size(c.oid) AS bytes, a.state, a.finished_at,
  coalesce((SELECT sum(f.events) FROM journal_frame f WHERE f.month = a.month), 0)::bigint AS events,
  coalesce((SELECT sum(f.length) FROM journal_frame f WHERE f.month = a.month), 0)::bigint AS archived_bytes
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
LEFT JOIN journal_archive a ON 'journal_' || to_char(a.month, 'YYYY_MM') = c.relname
WHERE i.inhparent = 'journal'::regclass ORDER BY c.relname
"""
_BEGIN = """
INSERT INTO journal_archive (month, state, run, begun_at) VALUES ($1, 'writing', $2, now())
ON CONFLICT (month) DO UPDATE SET state = 'writing', run = excluded.run, begun_at = now(), finished_at = NULL
"""
_NOTE = """
INSERT INTO journal_frame (first, last, month, file, start, length, events, sha256)
SELECT g.first, g.last, $1, $2, g.start, g.length, g.events, g.sha256
FROM unnest($3::uuid[], $4::uuid[], $5::bigint[], $6::int[], $7::int[], $8::text[])
  AS g(first, last, start, length, events, sha256)
"""
_FRAMES = """
SELECT file, start, length, first, last, events, sha256 FROM journal_frame WHERE month = $1 AND first > $2
ORDER BY first LIMIT $3
"""
_LAST_FRAME = "SELECT file, start, length, first, last, events, sha256 FROM journal_frame ORDER BY first DESC LIMIT 1"
#: Behind which event the next file begins, and how many there are.
_STANDING = """
SELECT coalesce((SELECT last FROM journal_frame WHERE month = $1 ORDER BY first DESC LIMIT 1), $2) AS last,
  (SELECT count(DISTINCT file) FROM journal_frame WHERE month = $1) AS files
"""
_NO_ID = uuid.UUID(int=0)

_log = structlog.get_logger("crm_events")


@dataclass(frozen=True)
class Month:
    """A month of the journal. bytes: in the database. state: see tables.journal_archive; None: never archived. events,
    archived_bytes: in the archive."""

    month: dt.date
    bytes: int
    state: str | None
    finished_at: dt.datetime | None
    events: int
    archived_bytes: int


async def months(connection: Fetching) -> list[Month]:
    """The months that the journal has, the oldest first."""
    found = []
    for row in await connection.fetch(_MONTHS):
        named = re.fullmatch(r"journal_(\d{4})_(\d{2})", row["relname"])
        if named is not None:
            first = dt.date(int(named[1]), int(named[2]), 1)
            found.append(Month(first, *(row[name] for name in list(Month.__dataclass_fields__)[1:])))
    return found


def due(found: Sequence[Month], today: dt.date, keep: int) -> list[dt.date]:
    """The months to archive when the present one and `keep` before it stay; none for 0. What an operator brought back stays too. Pure."""
    if keep == 0:
        return []
    this = today.year * 12 + today.month
    return [
        one.month
        for one in found
        if this - (one.month.year * 12 + one.month.month) > keep and one.state in (None, "writing")
    ]


@dataclass(frozen=True)
class Archiver:
    """Of one service, with the lock. expected: see lacking. told: hears which step was done, for those who watch."""

    connection: "asyncpg.Connection[Any]"
    service: str
    storage: Storage
    known: Registry
    expected: frozenset[str] | None
    told: Callable[[str], None]

    # -- away ---------------------------------------------------------------------------------------------------------

    async def archive(self, month: dt.date, now: dt.datetime) -> int:
        """Archive a month, or go on with it; answers how many events it has.

        Raises NotArchived when somebody still needs it; ArchiveUnreachable, also when the storage has not what was archived before;
        ArchiveDamaged when a file does not read back as written.
        """
        table, aside = _names(month, "slim")
        low, high = bounds(month)
        if dt.datetime(*months_from(month, 2)[1].timetuple()[:3], tzinfo=dt.UTC) > now:
            raise NotArchived(f"{month:%Y-%m} is not over")
        if await self.connection.fetchval("SELECT to_regclass($1) IS NULL", table):
            raise NotArchived(f"the journal has no month {month:%Y-%m}")
        state = await self._state(month)
        if state in ("archived", "restoring"):
            raise NotArchived(f"{month:%Y-%m} is {state} already")
        await self._refuse_if_lacking(month)
        await self._refuse_another_storage()
        if state != "writing":
            async with self.connection.transaction():
                await self.connection.execute(_BEGIN, month, new_id())
                await self._make_aside(aside, low, high)
            self.told("begun")
        run = await self.connection.fetchval("SELECT run FROM journal_archive WHERE month = $1", month)
        folder = f"{self.service}/journal/{month:%Y-%m}/{run}"
        try:
            while await self._write_file(month, folder, table, aside):
                pass
            frames = await self._frames(month)
            await self.storage.write(f"{folder}/manifest.json", _manifest(self.service, month, frames))
            self.told("manifest written")
            events = sum(frame.events for frame in frames)
            # It is written once and read for years: planned with what it has, and never to be frozen under load.
            await self.connection.execute(f"VACUUM (FREEZE, ANALYZE) {aside}")
            await self._patiently(lambda: self._put_in_place(month, aside, events))
        except _Changed as changed:
            await self._forget(month, aside)
            raise NotArchived(f"{month:%Y-%m} got events meanwhile; it begins anew the next time") from changed
        self.told("in place")
        _log.info("month archived", month=f"{month:%Y-%m}", events=events, folder=folder)
        return events

    async def _write_file(self, month: dt.date, folder: str, table: str, aside: str) -> bool:
        """Write the next file, read it back, note it; False when there is no more."""
        ((behind, number),) = await self.connection.fetch(_STANDING, month, _NO_ID)
        file, content, frames = f"{folder}/{number + 1:06}.ndjson.gz", bytearray(), list[Frame]()
        while len(content) < FILE_BYTES:
            rows = await self.connection.fetch(
                f"SELECT event_id, left((to_jsonb(j) - 'data')::text, -1) || ', \"data\": ' || data::text || '}}' AS line "  # noqa: S608
                f"FROM {table} j WHERE event_id > $1 ORDER BY event_id LIMIT $2",
                frames[-1].last if frames else behind,
                FRAME_EVENTS,
            )
            if not rows:
                break
            lines = [(uuid.UUID(int=row["event_id"].int), row["line"].encode()) for row in rows]
            frame, written = packed(file, len(content), lines)
            frames.append(frame)
            content += written
        if not frames:
            return False
        await self.storage.write(file, bytes(content))
        self.told("file written")
        await self._read_back(frames)
        async with self.connection.transaction():
            await self.connection.execute(
                _NOTE,
                month,
                file,
                *(
                    [getattr(one, name) for one in frames]
                    for name in ("first", "last", "start", "length", "events", "sha256")
                ),
            )
            status = await self.connection.execute(_slim(table, aside), behind, frames[-1].last, list(LOOKED_FOR))
            if status != f"INSERT 0 {sum(one.events for one in frames)}":
                raise _Changed(status)
        self.told("file noted")
        return True

    async def _put_in_place(self, month: dt.date, aside: str, events: int) -> None:
        """In one transaction: nobody lacks anything, both tables have the same rows, the short one takes the place."""
        table, _ = _names(month, "slim")
        async with self.connection.transaction():
            await self.connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
            # Holds off writers of this month, of whom there are none; everybody else goes on while it is counted.
            await self.connection.execute(f"LOCK TABLE {table} IN SHARE MODE")
            await self._refuse_if_lacking(month)
            if {await self._count(table), await self._count(aside)} != {events}:
                raise _Changed(table)
            await self._exchange(month, aside)
            await self.connection.execute(
                "UPDATE journal_archive SET state = 'archived', finished_at = now() WHERE month = $1", month
            )
            self.told("about to commit")

    async def _refuse_if_lacking(self, month: dt.date) -> None:
        produced = self.known.produced_by(self.service)
        found = await lacking(self.connection, *bounds(month), produced, self.expected)
        if found:
            raise NotArchived(f"{month:%Y-%m} is still needed: {'; '.join(found)}")

    async def _refuse_another_storage(self) -> None:
        """A folder that is not mounted looks like an empty one: what was archived last must be there before more goes.

        Raises ArchiveUnreachable, ArchiveDamaged.
        """
        await self._read([frame_of(row) for row in await self.connection.fetch(_LAST_FRAME)])

    async def _forget(self, month: dt.date, aside: str) -> None:
        async with self.connection.transaction():
            await self.connection.execute("DELETE FROM journal_frame WHERE month = $1", month)
            await self.connection.execute("DELETE FROM journal_archive WHERE month = $1", month)
            await self.connection.execute(f"DROP TABLE IF EXISTS {aside}")

    # -- back ---------------------------------------------------------------------------------------------------------

    async def restore(self, month: dt.date) -> int:
        """Bring a month back whole, or go on with it; answers how many events came. Its files stay where they are.

        Raises NotArchived, ArchiveUnreachable, ArchiveDamaged: then nothing has changed for readers.
        """
        table, aside = _names(month, "full")
        state = await self._state(month)
        if state not in ("archived", "restoring"):
            raise NotArchived(f"{month:%Y-%m} is not archived")
        if state == "archived":
            async with self.connection.transaction():
                await self.connection.execute("UPDATE journal_archive SET state = 'restoring' WHERE month = $1", month)
                await self._make_aside(aside, *bounds(month))
            self.told("begun")
        while True:
            last = await self.connection.fetchval(f"SELECT event_id FROM {aside} ORDER BY event_id DESC LIMIT 1")  # noqa: S608
            rows = await self.connection.fetch(_FRAMES, month, last or _NO_ID, RESTORED_AT_ONCE)
            if not rows:
                break
            lines = [line for one in await self._read([frame_of(row) for row in rows]) for _, line in one]
            # One statement, so one transaction.
            await self.connection.execute(
                f"INSERT INTO {aside} ({_COLUMNS}, data) SELECT {_COLUMNS}, data FROM unnest($1::text[]) AS given(line), "  # noqa: S608
                "jsonb_populate_record(NULL::journal, given.line::jsonb)",
                [line.decode() for line in lines],
            )
            self.told("rows brought back")
        await self.connection.execute(f"VACUUM (FREEZE, ANALYZE) {aside}")
        events = int(
            await self.connection.fetchval("SELECT coalesce(sum(events), 0) FROM journal_frame WHERE month = $1", month)
        )
        await self._patiently(lambda: self._put_back(month, table, aside, events))
        self.told("in place")
        _log.info("month brought back", month=f"{month:%Y-%m}", events=events)
        return events

    async def _put_back(self, month: dt.date, table: str, aside: str, events: int) -> None:
        async with self.connection.transaction():
            await self.connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
            await self.connection.execute(f"LOCK TABLE {table} IN SHARE MODE")
            if await self._count(aside) != events:
                raise ArchiveDamaged(f"{month:%Y-%m}: not all events came back")
            # What was recorded into this month after it was archived (a clock that was far behind) is whole, and in no file.
            await self.connection.execute(
                f"INSERT INTO {aside} ({_COLUMNS}, data) SELECT {_COLUMNS}, data FROM {table} WHERE NOT data ? '{MARK}'"  # noqa: S608
            )
            if await self._count(aside) != await self._count(table):
                raise ArchiveDamaged(f"{month:%Y-%m}: the archive and the journal have not the same events")
            await self._exchange(month, aside)
            await self.connection.execute("DELETE FROM journal_frame WHERE month = $1", month)
            await self.connection.execute(
                "UPDATE journal_archive SET state = 'restored', finished_at = now() WHERE month = $1", month
            )
            self.told("about to commit")

    # -- looked at ----------------------------------------------------------------------------------------------------

    async def verify(self, month: dt.date) -> int:
        """Read all of a month's files; answers how many events they hold. Raises ArchiveDamaged, ArchiveUnreachable, NotArchived."""
        frames = await self._frames(month)
        if not frames:
            raise NotArchived(f"{month:%Y-%m} is not archived")
        await self._read_back(frames)
        return sum(frame.events for frame in frames)

    # -- parts --------------------------------------------------------------------------------------------------------

    async def _state(self, month: dt.date) -> str | None:
        found = await self.connection.fetchval("SELECT state FROM journal_archive WHERE month = $1", month)
        return None if found is None else str(found)

    async def _frames(self, month: dt.date) -> list[Frame]:
        return [frame_of(row) for row in await self.connection.fetch(_FRAMES, month, _NO_ID, 2**31)]

    async def _count(self, table: str) -> int:
        return int(await self.connection.fetchval(f"SELECT count(*) FROM {table}"))  # noqa: S608

    async def _make_aside(self, aside: str, low: uuid.UUID, high: uuid.UUID) -> None:
        """An empty table like the journal's months. The constraint saves reading it all when it is put in place."""
        await self.connection.execute(f"DROP TABLE IF EXISTS {aside}")
        await self.connection.execute(f"CREATE TABLE {aside} (LIKE journal INCLUDING DEFAULTS INCLUDING INDEXES)")
        await self.connection.execute(
            f"ALTER TABLE {aside} ADD CONSTRAINT {aside}_month CHECK (event_id >= '{low}' AND event_id < '{high}')"
        )

    async def _exchange(self, month: dt.date, aside: str) -> None:
        table, _ = _names(month, "")
        low, high = bounds(month)
        for statement in (
            f"ALTER TABLE journal DETACH PARTITION {table}",
            f"DROP TABLE {table}",
            f"ALTER TABLE {aside} RENAME TO {table}",
            f"ALTER TABLE journal ATTACH PARTITION {table} FOR VALUES FROM ('{low}') TO ('{high}')",
            f"ALTER TABLE {table} DROP CONSTRAINT {aside}_month",
        ):
            await self.connection.execute(statement)

    async def _patiently(self, change: Callable[[], Awaitable[None]]) -> None:
        """Try a change that needs the journal for itself for a moment. Raises NotArchived when readers never let go."""
        for attempt in range(ATTEMPTS):
            try:
                await change()
            except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
                if attempt == ATTEMPTS - 1:
                    raise NotArchived("readers held the journal all the time; try again") from error
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                return

    async def _read_back(self, frames: Sequence[Frame]) -> None:
        """Raises ArchiveDamaged unless every frame is there, whole, and has the events that were noted."""
        for at in range(0, len(frames), RESTORED_AT_ONCE):
            await self._read(frames[at : at + RESTORED_AT_ONCE])

    async def _read(self, frames: Sequence[Frame]) -> list[list[tuple[uuid.UUID, bytes]]]:
        files: dict[str, list[Frame]] = {}
        for frame in frames:
            files.setdefault(frame.file, []).append(frame)
        read = []
        for file, mine in files.items():
            parts = await self.storage.ranges(file, [(frame.start, frame.length) for frame in mine])
            for frame, part in zip(mine, parts, strict=True):
                lines = unpacked(frame, part)
                if (len(lines), lines[0][0], lines[-1][0]) != (frame.events, frame.first, frame.last):
                    raise ArchiveDamaged(f"{file}, from {frame.start}: not the events that were noted")
                read.append(lines)
        return read


class _Changed(Exception):
    """The month has other rows than when it was written."""


@asynccontextmanager
async def archiver(
    dsn: str,
    service: str,
    storage: Storage,
    *,
    known: Registry = registry,
    expected: frozenset[str] | None = None,
    told: Callable[[str], None] = lambda _: None,
) -> AsyncIterator[Archiver]:
    """The archiver of a service's database. Raises NotArchived when another is at work; OSError or asyncpg errors."""
    connection = await asyncpg.connect(
        dsn,
        timeout=10,
        command_timeout=1800,
        server_settings={"application_name": f"crm-{service}-archive", "timezone": "UTC", "jit": "off"},
    )
    try:
        if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK):
            raise NotArchived("another process archives this service's journal")
        yield Archiver(connection, service, storage, known, expected, told)
    finally:
        await connection.close(timeout=5)


def _names(month: dt.date, aside: str) -> tuple[str, str]:
    table = f"journal_{month:%Y_%m}"
    return table, f"{table}_{aside}"


def _slim(table: str, aside: str) -> str:
    """The rows of a range without what lies in the archive: what they are found by stays."""
    return f"""
    INSERT INTO {aside} ({_COLUMNS}, data)
    SELECT {_COLUMNS}, coalesce((
        SELECT jsonb_object_agg(m.key, m.value) FROM jsonb_each(j.data) m
        WHERE jsonb_typeof(m.value) IN ('string', 'number', 'boolean') AND length(m.value::text) <= {SHORT}
      ), '{{}}'::jsonb) || jsonb_build_object('{MARK}', coalesce((
        SELECT jsonb_agg(f) FROM unnest($3::text[]) AS f WHERE j.data -> 'changes' ? f
      ), '[]'::jsonb))
    FROM {table} j WHERE event_id > $1 AND event_id <= $2
    """  # noqa: S608  (names are ours)


def _manifest(service: str, month: dt.date, frames: Sequence[Frame]) -> bytes:
    """For whoever has the files alone: what must be in them."""
    return orjson.dumps(
        {
            "service": service,
            "month": f"{month:%Y-%m}",
            "events": sum(frame.events for frame in frames),
            "first": frames[0].first if frames else None,
            "last": frames[-1].last if frames else None,
            "frames": frames,
        },
        option=orjson.OPT_INDENT_2,
    )

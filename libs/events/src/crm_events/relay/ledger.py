"""The relay's tables, on the one connection that holds the lock (rule 1).

Raw SQL throughout: these statements are the hot path between outbox and broker, move whole batches as arrays, and combine
several tables in one round trip, which is one transaction.
"""

import asyncio
import datetime as dt
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from crm_contracts import Envelope
from crm_database import DATABASE_ERRORS, lock_key
from crm_database.keep_alive import SERVER_SIDE, keep_alive
from crm_database.sessions import prepare_connection
from crm_events.archive.reading import contents
from crm_events.archive.storage import Storage
from crm_events.relay.rules import Report

#: The advisory lock of the leader; each service has a database of its own.
LOCK = lock_key("events.relay")
#: A row of sent_range holds at most so many numbers; looking one up reads no further back.
RANGE_LIMIT = 2_000

Slot = tuple[str, int]


class LockLost(Exception):
    """The connection that held the lock is gone, or somebody else changed what only its holder changes."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A row of `stream`."""

    id: uuid.UUID
    head: int
    acknowledged: int
    next: int
    server: str
    #: Begun by whoever asks, just now: nobody can know it yet.
    begun_now: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """An event in the outbox without a number. row: the event, see `Ledger.envelope`."""

    position: int
    topic: str
    key: bytes
    event_id: uuid.UUID
    row: asyncpg.Record


_STREAMS = "SELECT id, topic, partition, head, acknowledged, next, server FROM stream WHERE current AND topic = ANY($1)"
_NEW_STREAM = """
INSERT INTO stream (id, topic, partition, current, head, acknowledged, next, server, started_at)
VALUES ($1, $2, $3, true, 0, 0, 1, $4, now())
"""
_SERVER = """
SELECT s.system_identifier::text || ':' || c.timeline_id::text FROM pg_control_system() s, pg_control_checkpoint() c
"""
_ENVELOPE = "j.event_id, j.type, j.subject, j.time, j.write_id, j.traceparent, convert_to(j.data::text, 'UTF8') AS data"
_ARCHIVED = "j.data ? '$archived' AS is_archived"
_WAITING = f"""
SELECT o.position, o.topic, {_ENVELOPE}
FROM (SELECT position, event_id, topic FROM outbox ORDER BY position LIMIT $1) o
JOIN journal j ON j.event_id = o.event_id ORDER BY o.position
"""  # noqa: S608  (constants)
_NUMBER = """
WITH given AS (
  SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::bigint[]) AS g(stream_id, number, event_id, position)
), gone AS (
  DELETE FROM outbox o USING given g WHERE o.position = g.position RETURNING 1
), heads AS (
  UPDATE stream s SET head = m.head FROM (SELECT stream_id, max(number) AS head FROM given GROUP BY stream_id) m
  WHERE s.id = m.stream_id AND s.current RETURNING 1
), given_out AS (
  INSERT INTO publication (stream_id, number, event_id) SELECT stream_id, number, event_id FROM given
)
SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM heads)
"""
_NUMBERED = f"""
SELECT p.number, p.tombstone, {_ENVELOPE}, {_ARCHIVED}
FROM publication p JOIN journal j ON j.event_id = p.event_id
WHERE p.stream_id = $1 AND p.number BETWEEN $2 AND $3 ORDER BY p.number
"""  # noqa: S608
_ACKNOWLEDGE = """
WITH moved AS (
  UPDATE stream SET next = $3 + 1, acknowledged = greatest(acknowledged, $3) WHERE id = $1 AND current RETURNING 1
), longer AS (
  UPDATE sent_range SET last = $3 WHERE id = $5 RETURNING id
), made AS (
  INSERT INTO sent_range (stream_id, first, last, base_offset) SELECT $1, $2, $3, $4 WHERE $5::bigint IS NULL RETURNING id
)
SELECT (SELECT count(*) FROM moved), coalesce((SELECT id FROM longer), (SELECT id FROM made))
"""
_OFFSET = """
SELECT base_offset + $2 - first FROM sent_range
WHERE stream_id = $1 AND first BETWEEN $2 - $3 AND $2 AND last >= $2 ORDER BY id DESC LIMIT 1
"""
_PUT_BACK = "UPDATE stream SET next = least(next, $2) WHERE id = $1 AND current RETURNING next"
_TOMBSTONE = "UPDATE publication SET tombstone = true WHERE stream_id = $1 AND number = $2"
_GROUPS = "SELECT group_name, topic, partition, service, stream, watermark FROM group_report"
_KEEP_REPORTS = """
INSERT INTO group_report (group_name, topic, partition, service, stream, watermark, heard_at)
SELECT g.*, now() FROM unnest($1::text[], $2::text[], $3::int[], $4::text[], $5::text[], $6::bigint[]) AS g
ON CONFLICT (group_name, topic, partition)
DO UPDATE SET service = excluded.service, stream = excluded.stream, watermark = excluded.watermark, heard_at = excluded.heard_at
"""
_RENUMBER = """
WITH ended AS (
  UPDATE stream SET current = false WHERE id = $1
), counted AS (
  INSERT INTO publication (stream_id, number, event_id, tombstone)
  SELECT $2, row_number() OVER (ORDER BY number), event_id, tombstone FROM publication WHERE stream_id = $1 AND number >= $3
  RETURNING 1
)
SELECT count(*) FROM counted
"""
_RENUMBERED_STREAM = """
INSERT INTO stream (id, topic, partition, current, head, acknowledged, next, server, started_at)
VALUES ($1, $2, $3, true, $4, 0, 1, $5, now())
"""


class Ledger:
    """Connected first, then the lock is taken; every method raises LockLost when the connection is gone."""

    def __init__(self, connection: "asyncpg.Connection[Any]", service: str, storage: Storage | None = None) -> None:
        self.connection = connection
        self.storage = storage
        self.source = f"/crm/{service}"
        self._busy = asyncio.Lock()

    @classmethod
    async def connect(cls, dsn: str, service: str, storage: Storage | None = None) -> "Ledger":
        """Connect, without the lock. OSError or asyncpg errors when the server is away.

        storage: where archived months lie, for numbers that are put back after a consumer's database was restored.
        """
        connection = await asyncpg.connect(
            dsn,
            timeout=5,
            command_timeout=15,
            server_settings={
                "application_name": f"crm-{service}-relay",
                # A leader whose machine vanished must not keep the lock: the server notices within seconds.
                **SERVER_SIDE,
                "lock_timeout": "5000",
                "jit": "off",
                "timezone": "UTC",
            },
        )
        try:
            # Nor must a server that vanished leave us believing that we lead.
            keep_alive(connection)
            await prepare_connection(connection)
        except BaseException:
            connection.terminate()
            raise
        return cls(connection, service, storage)

    async def take(self) -> bool:
        """Try to take the lock; False while another relay has it. Once taken it is held as long as the connection."""
        return bool((await self._fetch("SELECT pg_try_advisory_lock($1)", LOCK))[0][0])

    async def close(self) -> None:
        """Give the lock up with the connection."""
        try:
            await self.connection.close(timeout=2)
        except DATABASE_ERRORS:
            self.connection.terminate()

    async def _fetch(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        async with self._busy:
            try:
                return await self.connection.fetch(sql, *arguments)
            except DATABASE_ERRORS as error:
                raise LockLost(f"{type(error).__name__}: {error}") from error
            except AttributeError as error:
                # The driver's, when the connection is ended between preparing a statement and executing it.
                if not self.connection.is_closed():
                    raise
                raise LockLost("the connection was ended") from error

    async def server(self) -> str:
        """Which data this is: another answer after a restore or a fail-over (PostgreSQL's system identifier and time line)."""
        return str((await self._fetch(_SERVER))[0][0])

    async def streams(self, topics: Iterable[str]) -> dict[Slot, Stream]:
        """The numberings in force."""
        rows = await self._fetch(_STREAMS, list(topics))
        return {
            (r["topic"], r["partition"]): Stream(r["id"], r["head"], r["acknowledged"], r["next"], r["server"])
            for r in rows
        }

    async def begin_stream(self, slot: Slot, new_id: uuid.UUID, server: str) -> Stream:
        """The first numbering of a partition."""
        await self._fetch(_NEW_STREAM, new_id, *slot, server)
        return Stream(new_id, 0, 0, 1, server, begun_now=True)

    async def waiting(self, limit: int) -> list[Waiting]:
        """The events without a number, in outbox order."""
        rows = await self._fetch(_WAITING, limit)
        return [Waiting(r["position"], r["topic"], str(r["subject"]).encode(), r["event_id"], r) for r in rows]

    async def number(self, given: Sequence[tuple[uuid.UUID, int, Waiting]]) -> None:
        """Rule 2: give the numbers; committed when this returns."""
        streams = [stream for stream, _, _ in given]
        rows = await self._fetch(
            _NUMBER,
            streams,
            [n for _, n, _ in given],
            [w.event_id for _, _, w in given],
            [w.position for _, _, w in given],
        )
        if tuple(rows[0]) != (len(given), len(set(streams))):
            raise LockLost(
                f"numbered {len(given)} events of {len(set(streams))} streams, but {tuple(rows[0])} were there"
            )

    async def numbered(self, stream: uuid.UUID, first: int, last: int) -> list[Envelope]:
        """The events of these numbers, in order. Raises ArchiveUnreachable, ArchiveDamaged for those of archived months."""
        rows = await self._fetch(_NUMBERED, stream, first, last)
        archived = [row["event_id"] for row in rows if row["is_archived"] and not row["tombstone"]]
        elsewhere = await contents(self, self.storage, archived)
        return [
            self.envelope(
                row, str(stream), row["number"], tombstone=row["tombstone"], data=elsewhere.get(row["event_id"])
            )
            for row in rows
        ]

    async def fetch(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """Rows, for the archive's index. Raises LockLost."""
        return await self._fetch(sql, *arguments)

    async def acknowledge(self, stream: uuid.UUID, first: int, last: int, base: int, longer: int | None) -> int:
        """Rule 3: store the offsets and let the numbers leave the outbox, in one transaction. `longer`: the row of sent_range
        that this batch continues; answers the row that holds it now."""
        row = (await self._fetch(_ACKNOWLEDGE, stream, first, last, base, longer))[0]
        if row[0] != 1 or row[1] is None:
            raise LockLost(f"stream {stream} is not in force any more")
        return int(row[1])

    async def offset(self, stream: uuid.UUID, number: int) -> int | None:
        """The offset stored for a number."""
        rows = await self._fetch(_OFFSET, stream, number, RANGE_LIMIT)
        return int(rows[0][0]) if rows else None

    async def put_back(self, stream: uuid.UUID, first: int) -> None:
        """Rule 8: the numbers from `first` on are in the outbox again."""
        if not await self._fetch(_PUT_BACK, stream, first):
            raise LockLost(f"stream {stream} is not in force any more")

    async def tombstone(self, stream: uuid.UUID, number: int) -> None:
        """Rule 4: this number is sent without its event from now on."""
        await self._fetch(_TOMBSTONE, stream, number)

    async def groups(self) -> list[asyncpg.Record]:
        """What every group last said."""
        return await self._fetch(_GROUPS)

    async def keep_reports(self, reports: Sequence[tuple[str, str, int, Report]]) -> None:
        """Keep what groups said: (service, topic, partition, report)."""
        await self._fetch(
            _KEEP_REPORTS,
            [r.group for _, _, _, r in reports],
            [topic for _, topic, _, _ in reports],
            [partition for _, _, partition, _ in reports],
            [service for service, _, _, _ in reports],
            [r.stream for _, _, _, r in reports],
            [r.watermark for _, _, _, r in reports],
        )

    async def start_stream(self, slot: Slot, old: uuid.UUID, new: uuid.UUID, first: int, server: str) -> Stream:
        """Rule 12: number the events from `first` on anew, in one transaction."""
        async with self._busy:
            try:
                async with self.connection.transaction():
                    head = int(await self.connection.fetchval(_RENUMBER, old, new, first))
                    await self.connection.execute(_RENUMBERED_STREAM, new, slot[0], slot[1], head, server)
            except DATABASE_ERRORS as error:
                raise LockLost(f"{type(error).__name__}: {error}") from error
        return Stream(new, head, 0, 1, server)

    def envelope(
        self, row: asyncpg.Record, stream: str, number: int, *, tombstone: bool = False, data: bytes | None = None
    ) -> Envelope:
        """The event of a row, as it is sent. data: what the archive has of it; None: the row is whole."""
        time: dt.datetime = row["time"]
        return Envelope(
            id=row["event_id"],
            type=row["type"],
            source=self.source,
            subject=row["subject"],
            time=time,
            data=b"{}" if tombstone else data or row["data"],
            sequence=number,
            stream=stream,
            write_id=row["write_id"],
            traceparent=row["traceparent"],
            tombstone=tombstone,
        )

"""Requests and gaps of this service. Raw SQL: this library's own tables, and arrays of ids."""

import datetime as dt
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import asyncpg
import sqlalchemy as sa

from crm_contracts import Envelope
from crm_database import ReadSession, WriteSession
from crm_events.reaction import Held, Resync
from crm_events.resync.messages import Request
from crm_events.resync.rules import Asked
from crm_kernel.ids import new_id

#: Records that one request may name.
IDS_AT_ONCE = 500

_ASK = """
INSERT INTO resync_request (id, group_name, topic, kind, ids, since, types, prune, reason, state, attempt, cursor, applied, refused,
  unknown, asked_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'asked', 0, NULL, 0, 0, 0, $10)
"""
_COLUMNS = """
id, group_name, topic, kind, ids, since, types, prune, reason, state, attempt, cursor, applied, refused, unknown, total, problem,
asked_at, sent_at, heard_at, finished_at
"""
_OPEN = f"SELECT {_COLUMNS} FROM resync_request WHERE state IN ('asked', 'running') ORDER BY asked_at LIMIT 20"  # noqa: S608  (constants)
_SOME = f"SELECT {_COLUMNS} FROM resync_request WHERE id = ANY($1) ORDER BY asked_at, id"  # noqa: S608
_RECENT = f"SELECT {_COLUMNS} FROM resync_request ORDER BY asked_at DESC LIMIT $1"  # noqa: S608
_LOCK = f"SELECT {_COLUMNS} FROM resync_request WHERE id = $1 AND state IN ('asked', 'running') FOR UPDATE"  # noqa: S608
_ANEW = """
UPDATE resync_request SET attempt = $3, sent_at = $4
WHERE id = $1 AND attempt = $2 AND state IN ('asked', 'running')
"""
_TAKEN = """
UPDATE resync_request SET state = 'running', cursor = $2, applied = $3, refused = refused + $4, unknown = unknown + $5, heard_at = $6
WHERE id = $1
"""
_END = "UPDATE resync_request SET state = $2, total = $3, problem = $4, finished_at = $5, heard_at = $5 WHERE id = $1"
_INBOX = """
INSERT INTO inbox (event_id, group_name, topic, write_id)
SELECT e, $1, $2, w FROM unnest($3::uuid[], $4::uuid[]) AS g(e, w) ORDER BY e ON CONFLICT DO NOTHING
"""
_SEEN = (
    "INSERT INTO resync_seen (request_id, subject) SELECT $1, s FROM unnest($2::uuid[]) AS g(s) ON CONFLICT DO NOTHING"
)
_NO_SEEN = "DELETE FROM resync_seen WHERE request_id = $1"
_NO_GAPS = "DELETE FROM resync_gap WHERE group_name = $1 AND topic = $2"
# One that was asked about within the last minute is left as it is: at most one request per record and minute.
_NOTICE = """
INSERT INTO resync_gap AS g (group_name, topic, subject, known, told, noticed_at)
SELECT $1, $2, s, k, t, $6::timestamptz FROM unnest($3::uuid[], $4::int[], $5::int[]) AS given(s, k, t) ORDER BY s
ON CONFLICT (group_name, topic, subject) DO UPDATE
SET known = excluded.known, told = excluded.told, noticed_at = excluded.noticed_at, asked_at = NULL
WHERE g.asked_at < $6::timestamptz - interval '1 minute'
RETURNING subject
"""
_WAITING = """
SELECT group_name, topic, subject FROM resync_gap g
WHERE asked_at IS NULL AND noticed_at <= $1 AND NOT EXISTS (
  SELECT FROM resync_request r
  WHERE r.group_name = g.group_name AND r.topic = g.topic AND r.ids IS NULL AND r.state IN ('asked', 'running')
)
ORDER BY noticed_at LIMIT $2 FOR UPDATE SKIP LOCKED
"""
_ASKED_ABOUT = "UPDATE resync_gap SET asked_at = $4 WHERE group_name = $1 AND topic = $2 AND subject = ANY($3)"
_OLD = "DELETE FROM resync_gap WHERE asked_at < $1::timestamptz - interval '1 day'"


@dataclass(frozen=True)
class ResyncRequest:
    """A request as it stands. applied: records taken, those refused and unknown included. total: of all, once it is complete."""

    id: uuid.UUID
    group: str
    topic: str
    kind: Resync
    ids: tuple[uuid.UUID, ...] | None
    since: uuid.UUID | None
    types: tuple[str, ...] | None
    prune: bool
    reason: str
    state: str
    attempt: int
    cursor: str | None
    applied: int
    refused: int
    unknown: int
    total: int | None
    problem: str | None
    asked_at: dt.datetime
    sent_at: dt.datetime | None
    heard_at: dt.datetime | None
    finished_at: dt.datetime | None

    @property
    def asked(self) -> Asked:
        return Asked(self.attempt, self.cursor, self.applied)

    @property
    def is_open(self) -> bool:
        return self.state in ("asked", "running")

    def message(self, service: str, asked: Asked) -> Request:
        """What is sent to the owner."""
        return Request(self.id, service, self.group, self.topic, self.kind, asked, self.ids, self.since, self.types)


def plain(value: uuid.UUID) -> uuid.UUID:
    """An id of the driver as Python's."""
    return uuid.UUID(int=value.int)


def _request(row: asyncpg.Record) -> ResyncRequest:
    values = dict(row)
    # The driver's ids are not Python's.
    values["id"] = plain(row["id"])
    values["since"] = None if row["since"] is None else plain(row["since"])
    group, ids, types = values.pop("group_name"), values.pop("ids"), values.pop("types")
    return ResyncRequest(
        **values,
        group=group,
        ids=None if ids is None else tuple(plain(one) for one in ids),
        types=None if types is None else tuple(types),
    )


async def ask(
    session: WriteSession,
    *,
    group: str,
    topic: str,
    kind: Resync,
    reason: str,
    ids: Sequence[uuid.UUID] | None = None,
    since: uuid.UUID | None = None,
    types: Sequence[str] | None = None,
    prune: bool = False,
) -> list[uuid.UUID]:
    """Note that something is to be asked for; the worker does. Several requests when there are many ids; answers theirs."""
    pieces = [None] if ids is None else [ids[n : n + IDS_AT_ONCE] for n in range(0, len(ids), IDS_AT_ONCE)]
    made = []
    for piece in pieces:
        made.append(new_id())
        await session.connection.execute(
            _ASK,
            made[-1],
            group,
            topic,
            kind,
            None if piece is None else list(piece),
            since,
            None if types is None else list(types),
            prune,
            reason,
            session.context.now,
        )
    return made


async def unfinished(session: ReadSession) -> list[ResyncRequest]:
    """Requests that are open, the oldest first."""
    return [_request(row) for row in await session.connection.fetch(_OPEN)]


async def some(session: ReadSession, ids: Sequence[uuid.UUID]) -> list[ResyncRequest]:
    """These requests."""
    return [_request(row) for row in await session.connection.fetch(_SOME, list(ids))]


async def recent(session: ReadSession, limit: int) -> list[ResyncRequest]:
    """The newest requests."""
    return [_request(row) for row in await session.connection.fetch(_RECENT, limit)]


async def lock(session: WriteSession, request: uuid.UUID) -> ResyncRequest | None:
    """An open request, its row locked; None when it is none of ours, or not open any more."""
    row = await session.connection.fetchrow(_LOCK, request)
    return None if row is None else _request(row)


async def ask_anew(session: WriteSession, request: ResyncRequest, asked: Asked) -> bool:
    """It is asked for once more, now. False: somebody else has done so."""
    status = await session.connection.execute(_ANEW, request.id, request.attempt, asked.attempt, session.context.now)
    return bool(status.endswith(" 1"))


async def note_taken(session: WriteSession, request: uuid.UUID, asked: Asked, *, refused: int, unknown: int) -> None:
    """A page was applied."""
    await session.connection.execute(
        _TAKEN, request, asked.cursor, asked.applied, refused, unknown, session.context.now
    )


async def end(session: WriteSession, request: ResyncRequest, *, total: int | None, problem: str | None) -> None:
    """It is complete, or it has failed."""
    state = "complete" if problem is None else "failed"
    await session.connection.execute(_END, request.id, state, total, problem, session.context.now)
    await session.connection.execute(_NO_SEEN, request.id)
    if problem is None and request.ids is None and request.since is None and request.types is None:
        await session.connection.execute(_NO_GAPS, request.group, request.topic)


async def into_inbox(session: WriteSession, group: str, events: Sequence[Envelope]) -> None:
    """The group has dealt with these: when one comes over its topic for the first time later, it is known. Watermarks stay."""
    for topic in sorted({event.topic for event in events}):
        mine = [event for event in events if event.topic == topic]
        await session.connection.execute(
            _INBOX, group, topic, [event.id for event in mine], [event.write_id for event in mine]
        )


async def note_seen(session: WriteSession, request: uuid.UUID, subjects: Iterable[uuid.UUID]) -> None:
    """The owner knows these records."""
    await session.connection.execute(_SEEN, request, sorted(set(subjects)))


async def not_seen(session: ReadSession, request: uuid.UUID, table: sa.Table) -> list[uuid.UUID]:
    """Records of a replica that its owner has not told of. Names come from the table."""
    rows = await session.connection.fetch(
        f'SELECT t.id FROM "{table.name}" t WHERE NOT EXISTS '  # noqa: S608
        "(SELECT FROM resync_seen s WHERE s.request_id = $1 AND s.subject = t.id) ORDER BY t.id",
        request,
    )
    return [plain(row["id"]) for row in rows]


# -- what replicas hold ---------------------------------------------------------------------------------------------------------


async def versions(session: ReadSession, held: Held, topic: str, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, int]:
    """The versions at which these records are held."""
    rows = await session.connection.fetch(
        f'SELECT id, version FROM "{held.tables[topic].name}" WHERE id = ANY($1)',  # noqa: S608  (a table's name)
        list(ids),
    )
    return {plain(row["id"]): row["version"] for row in rows}


async def notice(session: WriteSession, group: str, topic: str, gaps: Sequence[tuple[uuid.UUID, int, int]]) -> int:
    """Note gaps: (record, version known, version told); answers how many are news."""
    rows = await session.connection.fetch(
        _NOTICE,
        group,
        topic,
        [subject for subject, _, _ in gaps],
        [known for _, known, _ in gaps],
        [told for _, _, told in gaps],
        session.context.now,
    )
    return len(rows)


async def take_gaps(
    session: WriteSession, noticed_before: dt.datetime, limit: int
) -> dict[tuple[str, str], list[uuid.UUID]]:
    """Gaps to ask about now: (group, topic) → records; marked as asked about. Those that a whole resync will fill are left."""
    found: dict[tuple[str, str], list[uuid.UUID]] = {}
    for row in await session.connection.fetch(_WAITING, noticed_before, limit):
        found.setdefault((row["group_name"], row["topic"]), []).append(plain(row["subject"]))
    for (group, topic), subjects in found.items():
        await session.connection.execute(_ASKED_ABOUT, group, topic, subjects, session.context.now)
    await session.connection.execute(_OLD, session.context.now)
    return found

"""Reconciling what is kept: replicas with their owners' journals, and each journal with itself.

Read in bounded pieces, while everything works. A replica that is behind because the event is under way, waits in the outbox, is
parked or dead, is no finding of its own: the event's is told already.
"""

import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from crm_database import Database, ReadSession
from crm_events.reaction import ConsumerGroup, Held

#: Rows compared at a time.
CHUNK = 5_000

# Raw SQL: an operator's tool; names come from declared tables.
_OWNED = """
SELECT DISTINCT ON (subject) subject, version FROM journal WHERE subject = ANY($1) AND topic = $2 ORDER BY subject, version DESC
"""
_DENSE = """
SELECT subject, topic, count(*) AS events, min(version) AS first, max(version) AS last, count(DISTINCT version) AS versions
FROM (SELECT subject, topic, version FROM journal WHERE subject > $1 ORDER BY subject LIMIT $2) piece
GROUP BY subject, topic ORDER BY subject
"""
_PIECE = "SELECT count(*) FROM (SELECT 1 FROM journal WHERE subject > $1 LIMIT $2) piece"
_PUBLISHED = """
SELECT p.number, p.event_id, EXISTS (SELECT FROM journal j WHERE j.event_id = p.event_id) AS there
FROM publication p WHERE p.stream_id = $1 AND p.number > $2 ORDER BY p.number LIMIT $3
"""
_STREAMS = "SELECT id, topic FROM stream"


@dataclass(frozen=True)
class HoldingFault:
    """A record of which a replica has not what its owner's journal tells, or a journal that is not whole.

    reason: `replica behind`, `replica lacks`, `replica unknown to owner`, `replica ahead of owner`; of a journal: `journal gap`
    (the versions of a record are not 1, 2, 3, …), `journal lacks` (an event that was published). group: empty for a journal. owned,
    held: the versions. subject: of `journal lacks` the event's id.
    """

    producer: str
    group: str
    topic: str
    subject: uuid.UUID
    reason: str
    owned: int
    held: int


@dataclass(frozen=True)
class Newest:
    """The newest event of a record among those that were looked at."""

    version: int
    event_id: uuid.UUID


#: Of these events, those that the group has applied or never will: for which being behind has no other reason.
Settled = Callable[[Sequence[uuid.UUID]], Awaitable[set[uuid.UUID]]]


async def behind(
    producer: str,
    follower: Database,
    group: ConsumerGroup,
    topic: str,
    newest: Mapping[uuid.UUID, Newest],
    settled: Settled,
) -> dict[uuid.UUID, HoldingFault]:
    """Records that the replica lacks, or has at an older version than these events tell."""
    held = group.held(topic)
    if held is None:
        return {}
    known = await _held_now(follower, held, topic, list(newest))
    late = {subject: one for subject, one in newest.items() if known.get(subject, 0) < one.version}
    if not late:
        return {}
    without_reason = await settled([one.event_id for one in late.values()])
    late = {subject: one for subject, one in late.items() if one.event_id in without_reason}
    # Read again: what was under way a moment ago may have arrived since.
    known = await _held_now(follower, held, topic, list(late))
    return {
        subject: HoldingFault(
            producer,
            group.name,
            topic,
            subject,
            "replica behind" if subject in known else "replica lacks",
            one.version,
            known.get(subject, 0),
        )
        for subject, one in late.items()
        if known.get(subject, 0) < one.version
    }


async def _held_now(follower: Database, held: Held, topic: str, subjects: Sequence[uuid.UUID]) -> dict[uuid.UUID, int]:
    if not subjects:
        return {}
    async with follower.read() as session:
        rows = await session.connection.fetch(
            f'SELECT id, version FROM "{held.tables[topic].name}" WHERE id = ANY($1)',  # noqa: S608
            subjects,
        )
    return {_plain(row["id"]): row["version"] for row in rows}


async def beyond(
    producer: str, database: Database, follower: Database, group: ConsumerGroup, topic: str
) -> list[HoldingFault]:
    """Records of the replica that its owner's journal doesn't know, or not at that version. The replica is read first."""
    held = group.held(topic)
    found: list[HoldingFault] = []
    if held is None:
        return found
    last = uuid.UUID(int=0)
    while True:
        async with follower.read() as session:
            kept = await _page(session, held, topic, last)
        if not kept:
            return found
        last = max(kept)
        async with database.read() as session:
            rows = await session.connection.fetch(_OWNED, list(kept), topic)
        owned = {_plain(row["subject"]): row["version"] for row in rows}
        for subject, version in kept.items():
            known = owned.get(subject, 0)
            if version > known:
                reason = "replica ahead of owner" if known else "replica unknown to owner"
                found.append(HoldingFault(producer, group.name, topic, subject, reason, known, version))


async def _page(session: ReadSession, held: Held, topic: str, last: uuid.UUID) -> dict[uuid.UUID, int]:
    rows = await session.connection.fetch(
        f'SELECT id, version FROM "{held.tables[topic].name}" WHERE id > $1 ORDER BY id LIMIT $2',  # noqa: S608
        last,
        CHUNK,
    )
    return {_plain(row["id"]): row["version"] for row in rows}


async def journal_gaps(producer: str, database: Database) -> list[HoldingFault]:
    """Records whose versions are not 1, 2, 3, … in the journal, and published events that it has not any more."""
    return [*await _not_dense(producer, database), *await _published_and_gone(producer, database)]


async def _not_dense(producer: str, database: Database) -> list[HoldingFault]:
    found: list[HoldingFault] = []
    last, size = uuid.UUID(int=0), CHUNK
    while True:
        async with database.snapshot() as session:
            rows = await session.connection.fetch(_DENSE, last, size)
            whole = await session.connection.fetchval(_PIECE, last, size) < size
        if not rows:
            return found
        # The last record of a piece may go on in the next one.
        subjects = {row["subject"] for row in rows}
        if not whole and len(subjects) == 1:
            size *= 2
            continue
        cut = None if whole else rows[-1]["subject"]
        for row in rows:
            if row["subject"] != cut and (row["first"], row["last"]) != (1, row["versions"]):
                subject = _plain(row["subject"])
                found.append(
                    HoldingFault(producer, "", row["topic"], subject, "journal gap", row["last"], row["events"])
                )
        if whole:
            return found
        last, size = max(_plain(subject) for subject in subjects - {cut}), CHUNK


async def _published_and_gone(producer: str, database: Database) -> list[HoldingFault]:
    found: dict[uuid.UUID, HoldingFault] = {}
    async with database.read() as session:
        streams = await session.connection.fetch(_STREAMS)
    for stream in streams:
        number = 0
        while True:
            async with database.read() as session:
                rows = await session.connection.fetch(_PUBLISHED, stream["id"], number, CHUNK)
            if not rows:
                break
            number = rows[-1]["number"]
            for row in rows:
                if not row["there"]:
                    event = _plain(row["event_id"])
                    found[event] = HoldingFault(producer, "", stream["topic"], event, "journal lacks", row["number"], 0)
    return list(found.values())


def _plain(value: uuid.UUID) -> uuid.UUID:
    return uuid.UUID(int=value.int)

"""The statements: finding what the restored journal lacks, and taking it back. Raw SQL: whole batches as arrays, over partitioned tables
and an operator's look into other services' logs; names come from declared tables and topics, never from input."""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy as sa

from crm_contracts import Event
from crm_database import ReadSession, WriteSession
from crm_events.archive.reading import MARK, contents, storage_of
from crm_kernel.ids import new_id

#: Ids compared at a time.
CHUNK = 5_000

_OTHERS = """
SELECT DISTINCT application_name FROM pg_stat_activity
WHERE datname = current_database() AND usename = current_user AND application_name NOT LIKE 'operator-%' AND pid <> pg_backend_pid()
"""
_SET_APART = "UPDATE stream SET server = 'restored' WHERE current"
_IN_JOURNAL = "SELECT event_id FROM journal WHERE event_id = ANY($1)"
_OWN = f"""
SELECT DISTINCT ON (subject) subject, version, type, event_id, convert_to(data::text, 'UTF8') AS data, data ? '{MARK}' AS is_archived
FROM journal WHERE subject = ANY($1) AND topic = $2
ORDER BY subject, version DESC, event_id DESC
"""  # noqa: S608  (a constant)
_JOURNAL = """
INSERT INTO journal (event_id, topic, type, subject, version, time, occurred_at, write_id, actor_id, data)
SELECT event_id, $1, type, subject, version, time, occurred_at, write_id, actor_id, data::jsonb
FROM unnest($2::uuid[], $3::text[], $4::uuid[], $5::int[], $6::timestamptz[], $7::timestamptz[], $8::uuid[], $9::uuid[], $10::text[])
  AS g(event_id, type, subject, version, time, occurred_at, write_id, actor_id, data)
"""
# In the order of the facts, per record: that is the order in which they are numbered.
_OUTBOX = """
INSERT INTO outbox (event_id, topic, subject)
SELECT event_id, $1, subject FROM unnest($2::uuid[], $3::uuid[], $4::int[]) AS g(event_id, subject, version) ORDER BY subject, version
"""


@dataclass(frozen=True)
class Row:
    """A row of the journal. data: JSON text."""

    event_id: uuid.UUID
    type: str
    subject: uuid.UUID
    version: int
    time: dt.datetime
    occurred_at: dt.datetime
    write_id: uuid.UUID
    actor_id: uuid.UUID | None
    data: str

    @classmethod
    def of(cls, event: Event[Any], subject: uuid.UUID, session: WriteSession) -> "Row":
        """A new event, recorded in this transaction."""
        now = session.context.now
        data = event.model_dump_json()
        return cls(new_id(), event.type, subject, event.version, now, now, session.context.write_id, None, data)

    @property
    def payload(self) -> dict[str, Any]:
        """The data as Python values."""
        found: dict[str, Any] = orjson.loads(self.data)
        return found


@dataclass(frozen=True)
class Own:
    """What the restored journal says of a record."""

    version: int
    type: str
    data: dict[str, Any]


def table_of(topic: str) -> str:
    """The table with a topic's records: services name it after the record."""
    return topic.rsplit(".", 1)[-1].replace("-", "_")


async def others_at_work(session: ReadSession) -> list[str]:
    """Names of the programs of the service that are connected to its database."""
    return sorted(row[0] for row in await session.connection.fetch(_OTHERS))


async def set_apart(session: WriteSession) -> int:
    """The next relay begins new numberings (rule 12); answers how many."""
    status = await session.connection.execute(_SET_APART)
    return int(status.rsplit(" ", 1)[-1])


async def logged(
    session: ReadSession, log: sa.Table, topics: Sequence[str], after: uuid.UUID
) -> list[tuple[uuid.UUID, str, uuid.UUID, int]]:
    """The next ids of a log's events of these topics, with topic, subject and version."""
    rows = await session.connection.fetch(
        f'SELECT id, topic, subject, version FROM "{log.name}" WHERE id > $1 AND topic = ANY($2) ORDER BY id LIMIT $3',  # noqa: S608
        after,
        topics,
        CHUNK,
    )
    return [(plain(row["id"]), row["topic"], plain(row["subject"]), row["version"]) for row in rows]


async def in_journal(session: ReadSession, events: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    """Which of these events the journal has."""
    return {plain(row[0]) for row in await session.connection.fetch(_IN_JOURNAL, list(events))}


async def whole(session: ReadSession, log: sa.Table, events: Sequence[uuid.UUID]) -> list[Row]:
    """These events of a log, as rows for the journal: per record in the order of its facts."""
    rows = await session.connection.fetch(
        f'SELECT id, type, subject, version, time, occurred_at, write_id, actor_id, data::text AS data FROM "{log.name}" '  # noqa: S608
        "WHERE id = ANY($1) ORDER BY subject, version, id",
        list(events),
    )
    return [
        Row(
            plain(row["id"]),
            row["type"],
            plain(row["subject"]),
            row["version"],
            row["time"],
            row["occurred_at"],
            row["write_id"] or row["id"],
            row["actor_id"],
            row["data"],
        )
        for row in rows
    ]


async def own(session: ReadSession, topic: str, subjects: Sequence[uuid.UUID]) -> dict[uuid.UUID, Own]:
    """Record → its newest event in the journal, wherever its data lies. Raises ArchiveUnreachable, ArchiveDamaged."""
    rows = await session.connection.fetch(_OWN, list(subjects), topic)
    archived = [row["event_id"] for row in rows if row["is_archived"]]
    elsewhere = await contents(session.connection, storage_of(session.database), archived)
    return {
        plain(row["subject"]): Own(
            row["version"], row["type"], orjson.loads(elsewhere.get(plain(row["event_id"]), row["data"]))
        )
        for row in rows
    }


async def versions(session: WriteSession, table: str, subjects: Sequence[uuid.UUID]) -> dict[uuid.UUID, int]:
    """The versions of those of these records that there are, their rows locked until the transaction ends."""
    rows = await session.connection.fetch(
        f'SELECT id, version FROM "{table}" WHERE id = ANY($1) ORDER BY id FOR UPDATE',  # noqa: S608
        list(subjects),
    )
    return {plain(row["id"]): row["version"] for row in rows}


async def raise_versions(session: WriteSession, table: str, raised: Mapping[uuid.UUID, int]) -> None:
    """Give records the versions up to which others know them."""
    await session.connection.execute(
        f'UPDATE "{table}" t SET version = g.version FROM unnest($1::uuid[], $2::int[]) AS g(id, version) WHERE t.id = g.id',  # noqa: S608
        list(raised),
        list(raised.values()),
    )


async def append(session: WriteSession, topic: str, rows: Sequence[Row]) -> None:
    """Put events into the journal, and into the outbox: who has applied one knows its id."""
    await session.connection.execute(
        _JOURNAL,
        topic,
        [row.event_id for row in rows],
        [row.type for row in rows],
        [row.subject for row in rows],
        [row.version for row in rows],
        [row.time for row in rows],
        [row.occurred_at for row in rows],
        [row.write_id for row in rows],
        [row.actor_id for row in rows],
        [row.data for row in rows],
    )
    await session.connection.execute(
        _OUTBOX, topic, [row.event_id for row in rows], [row.subject for row in rows], [row.version for row in rows]
    )


def plain(value: uuid.UUID) -> uuid.UUID:
    """The driver's ids don't compare with Python's."""
    return uuid.UUID(int=value.int)

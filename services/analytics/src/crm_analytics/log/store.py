"""Appending to the log, and reading it in the order of its positions."""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_analytics.log.tables import event_log
from crm_contracts import Envelope
from crm_database import Query, ReadSession, WriteSession, query

# Raw SQL: one round trip. The row of log_head is locked until the commit (see tables). Positions of events that were here already
# stay unused. `data` supplies version, business time and actor, so that it is parsed once, by the server.
_APPEND = """
WITH given AS (
  SELECT g.*, data::jsonb AS content FROM ROWS FROM (
    unnest($1::uuid[]), unnest($2::text[]), unnest($3::text[]), unnest($4::uuid[]), unnest($5::timestamptz[]),
    unnest($6::text[]), unnest($7::uuid[]), unnest($8::int[]), unnest($9::bigint[]), unnest($10::text[]), unnest($11::text[])
  ) WITH ORDINALITY AS g(id, topic, type, subject, time, source, write_id, partition, number, stream, data, n)
), head AS (
  UPDATE log_head SET position = position + $12 RETURNING position - $12 AS before
)
INSERT INTO event_log (id, position, topic, type, subject, version, time, occurred_at, actor_id, source, write_id, partition,
  number, stream, data)
SELECT id, before + n, topic, type, subject, (content->>'version')::int, time, (content->>'occurred_at')::timestamptz,
  (content#>>'{actor,id}')::uuid, source, write_id, partition, number, stream, content
FROM given, head ORDER BY n
ON CONFLICT (id) DO NOTHING
"""


async def append(session: WriteSession, envelopes: Sequence[Envelope]) -> None:
    """Put events into the log, in their order; those that are in it already stay as they are.

    Call it last in a transaction: it holds the log's head until the commit.
    """
    await session.connection.execute(  # One statement for all events.
        _APPEND,
        [e.id for e in envelopes],
        [e.topic for e in envelopes],
        [e.type for e in envelopes],
        [e.subject for e in envelopes],
        [e.time for e in envelopes],
        [e.source for e in envelopes],
        [e.write_id for e in envelopes],
        [e.partition for e in envelopes],
        [e.sequence for e in envelopes],
        [e.stream for e in envelopes],
        [e.data.decode() for e in envelopes],
        len(envelopes),
    )


# Raw SQL: one round trip over all records of a batch. What stands before a fact that was lacking, and tells a later version of the
# same record, is moved behind it, in the order of the versions: who reads the log finds each record's facts in order, some twice.
_MOVE_BEHIND = """
WITH filled AS (
  SELECT subject, topic, min(version) AS first FROM event_log WHERE id = ANY($1) GROUP BY subject, topic
), late AS (
  SELECT l.id, row_number() OVER (ORDER BY l.subject, l.version) AS n
  FROM filled f JOIN event_log l ON l.subject = f.subject AND l.topic = f.topic AND l.version > f.first
  WHERE EXISTS (
    SELECT FROM event_log e JOIN event_log o ON o.subject = e.subject AND o.topic = e.topic
    WHERE e.subject = f.subject AND e.topic = f.topic AND e.id = ANY($1) AND e.version < o.version AND e.position > o.position
  )
), head AS (
  UPDATE log_head SET position = position + (SELECT count(*) FROM late) RETURNING position - (SELECT count(*) FROM late) AS before
)
UPDATE event_log l SET position = head.before + late.n FROM late, head WHERE l.id = late.id
"""
_KNOWN = query(sa.select(event_log.c.id).where(event_log.c.id == sa.any_(sa.bindparam("ids", type_=ARRAY(sa.Uuid())))))


async def refill(session: WriteSession, envelopes: Sequence[Envelope]) -> int:
    """Put those events into the log that it lacks; answers how many. Per record the log is in order again afterwards.

    Call it last in a transaction: it holds the log's head until the commit.
    """
    known = {row["id"] for row in await session.fetch(_KNOWN, ids=[e.id for e in envelopes])}
    lacking = [e for e in envelopes if e.id not in known]
    if lacking:
        await append(session, lacking)
        # One statement for all events.
        await session.connection.execute(_MOVE_BEHIND, [e.id for e in lacking])
    return len(lacking)


@dataclass(frozen=True)
class Wanted:
    """Which events; None means any. times: recorded at or after the first and before the second."""

    type: str | None = None
    subject: uuid.UUID | None = None
    actor: uuid.UUID | None = None
    recorded_from: dt.datetime | None = None
    recorded_before: dt.datetime | None = None


_COLUMNS = [column for column in event_log.c if column.name not in ("partition", "number", "stream")]


_FILTERS: Mapping[str, sa.ColumnElement[bool]] = {
    "type": event_log.c.type == sa.bindparam("type", type_=sa.Text),
    "subject": event_log.c.subject == sa.bindparam("subject", type_=sa.Uuid),
    "actor": event_log.c.actor_id == sa.bindparam("actor", type_=sa.Uuid),
    "recorded_from": event_log.c.time >= sa.bindparam("recorded_from", type_=event_log.c.time.type),
    "recorded_before": event_log.c.time < sa.bindparam("recorded_before", type_=event_log.c.time.type),
}


@cache
def _page(filters: tuple[str, ...]) -> Query:
    return query(
        sa.select(*_COLUMNS)
        .where(event_log.c.position > sa.bindparam("position"), *(_FILTERS[name] for name in filters))
        .order_by(event_log.c.position)
        .limit(sa.bindparam("limit", type_=sa.BigInteger))
    )


async def after(session: ReadSession, position: int, limit: int, wanted: Wanted) -> list[Any]:
    """At most `limit` events behind a position, in the order of the log. The log has no owners: who may read it, reads all."""
    given = {name: value for name in _FILTERS if (value := getattr(wanted, name)) is not None}
    return await session.fetch(_page(tuple(given)), position=position, limit=limit, **given)


_REPLAY: Query = query(
    sa.select(
        *(column for column in event_log.c if column.name != "data"),
        # As text: whoever replays reads it with the contract's model.
        sa.cast(event_log.c.data, sa.Text).label("data"),
    )
    .where(
        event_log.c.position > sa.bindparam("position"),
        event_log.c.topic == sa.any_(sa.bindparam("topics", type_=ARRAY(sa.Text))),
    )
    .order_by(event_log.c.position)
    .limit(sa.bindparam("limit", type_=sa.BigInteger))
)


async def replay(session: ReadSession, position: int, limit: int, topics: Sequence[str]) -> list[Any]:
    """At most `limit` events of some topics behind a position, whole, `data` as JSON text, in the order of the log."""
    return await session.fetch(_REPLAY, position=position, limit=limit, topics=list(topics))


_COUNT: Query = query(
    sa.select(sa.func.count()).where(event_log.c.topic == sa.any_(sa.bindparam("topics", type_=ARRAY(sa.Text))))
)


async def count(session: ReadSession, topics: Sequence[str]) -> int:
    """How many events of some topics the log has."""
    return int(await session.value(_COUNT, topics=list(topics)))

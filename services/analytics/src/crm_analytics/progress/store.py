"""Noting and reading how far the consumers are."""

import datetime as dt
from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from crm_analytics.progress.tables import progress
from crm_contracts import Envelope
from crm_database import ReadSession, WriteSession, query

_given = insert(progress)
# A parked event that is applied later has a smaller number than what came after it: nothing goes back.
_NOTE = query(
    _given.on_conflict_do_update(
        index_elements=[progress.c.consumer, progress.c.topic, progress.c.partition],
        set_={
            "stream": _given.excluded.stream,
            "number": _given.excluded.number,
            "time": sa.func.greatest(progress.c.time, _given.excluded.time),
        },
        where=sa.tuple_(progress.c.stream, progress.c.number)
        < sa.tuple_(_given.excluded.stream, _given.excluded.number),
    )
)
_NEWEST = query(sa.select(sa.func.max(progress.c.time)).where(progress.c.consumer == sa.bindparam("consumer")))

_log = progress.alias("logged")
# Partitions of which facts were made that the log doesn't hold yet.
_AHEAD = query(
    sa.select(sa.func.count())
    .select_from(
        progress.outerjoin(
            _log,
            sa.and_(
                _log.c.consumer == "log", _log.c.topic == progress.c.topic, _log.c.partition == progress.c.partition
            ),
        )
    )
    .where(
        progress.c.consumer == "facts",
        sa.or_(
            _log.c.number.is_(None),
            sa.tuple_(_log.c.stream, _log.c.number) < sa.tuple_(progress.c.stream, progress.c.number),
        ),
    )
)


async def note(session: WriteSession, consumer: str, envelopes: Iterable[Envelope]) -> None:
    """Note that a consumer applied these, in the transaction that does."""
    last: dict[tuple[str, int], tuple[str, int, dt.datetime]] = {}
    for envelope in envelopes:
        key = (envelope.topic, envelope.partition)
        mark = (envelope.stream, envelope.sequence, envelope.time)
        known = last.get(key)
        if known is None:
            last[key] = mark
        else:
            stream, number = max(mark[:2], known[:2])
            last[key] = (stream, number, max(mark[2], known[2]))
    for topic, partition in sorted(last):
        stream, number, time = last[topic, partition]
        await session.execute(
            _NOTE, consumer=consumer, topic=topic, partition=partition, stream=stream, number=number, time=time
        )


async def newest(session: ReadSession, consumer: str) -> dt.datetime | None:
    """When the newest event that a consumer applied was recorded; None before its first."""
    found: dt.datetime | None = await session.value(_NEWEST, consumer=consumer)
    return found


async def facts_ahead_of_log(session: ReadSession) -> int:
    """Of how many partitions the facts hold events that the log doesn't hold yet."""
    return int(await session.value(_AHEAD))

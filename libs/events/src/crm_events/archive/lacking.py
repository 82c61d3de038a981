"""Who still needs the events of a month whole: then it is not archived."""

import uuid
from collections.abc import Collection, Sequence
from typing import Any

from crm_contracts import Topic
from crm_events.archive.reading import Fetching

# Raw SQL: ranges of ids and numbers over this library's own tables.
_OUTBOX = "SELECT count(*) FROM outbox WHERE event_id >= $1 AND event_id < $2"
_STREAMS = "SELECT id, topic, partition, next FROM stream WHERE current ORDER BY topic, partition"
_REPORTS = "SELECT group_name, topic, partition, service, stream, watermark FROM group_report"
_BEHIND = """
SELECT count(*) FROM publication
WHERE stream_id = $1 AND number > $2 AND NOT tombstone AND event_id >= $3 AND event_id < $4
"""
_ANSWERS = "SELECT DISTINCT group_name FROM resync_answer WHERE NOT complete ORDER BY group_name"


async def lacking(
    connection: Fetching,
    low: uuid.UUID,
    high: uuid.UUID,
    produced: Collection[Topic],
    expected: frozenset[str] | None,
) -> list[str]:
    """In words, one each: what is not on the bus, which group has not applied some of it, which is being told again.

    low, high: the month's bounds. expected: services of this deployment; None: all that the registry names as consumers.
    """
    found = []
    ((unnumbered,),) = await connection.fetch(_OUTBOX, low, high)
    if unnumbered:
        found.append(f"{unnumbered} events are not on the bus yet")
    reports = await connection.fetch(_REPORTS)
    consumers = {topic.name: topic.consumers for topic in produced}
    for stream in await connection.fetch(_STREAMS):
        for who, applied in _applied(stream, reports, consumers.get(stream["topic"], ()), expected):
            ((behind,),) = await connection.fetch(_BEHIND, stream["id"], applied, low, high)
            if behind:
                found.append(f"{who} lacks {behind} events of {stream['topic']}/{stream['partition']}")
    answers = await connection.fetch(_ANSWERS)
    return [*found, *(f"{answer['group_name']} is being told again" for answer in answers)]


def _applied(
    stream: Any, reports: Sequence[Any], consumers: Sequence[str], expected: frozenset[str] | None
) -> list[tuple[str, int]]:
    """Up to which number each has this partition: the bus, the groups, and the services that never said anything."""
    here = [one for one in reports if (one["topic"], one["partition"]) == (stream["topic"], stream["partition"])]
    silent = {name for name in consumers if expected is None or name in expected} - {one["service"] for one in here}
    return [
        ("the bus", stream["next"] - 1),
        # A group that is in an earlier numbering has nothing of this one.
        *((one["group_name"], one["watermark"] if one["stream"] == str(stream["id"]) else 0) for one in here),
        *((name, 0) for name in sorted(silent)),
    ]

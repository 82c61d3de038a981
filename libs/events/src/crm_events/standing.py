"""How far this service's consumer groups are, as its own database knows it: for operators over the API."""

import datetime as dt
from dataclasses import dataclass

from crm_database import ReadSession

# Raw SQL: an operator's tool over this library's own tables. The head of a numbering is known to its producer only; so `head` is null
# unless the topic is this service's own.
_STANDING = """
SELECT w.group_name AS "group", w.topic, w.partition, w.stream, w.number AS watermark, w.blocked, w.updated_at,
       coalesce(p.parked, 0) AS parked, s.head
FROM watermark w
LEFT JOIN (SELECT group_name, topic, partition, count(*) AS parked FROM parked GROUP BY 1, 2, 3) p USING (group_name, topic, partition)
LEFT JOIN stream s ON s.topic = w.topic AND s.partition = w.partition AND s.current AND s.id::text = w.stream
ORDER BY w.group_name, w.topic, w.partition
"""


@dataclass(frozen=True)
class Standing:
    """A group on a partition. watermark: the last publication number that it applied, parked or put aside, of the numbering `stream`.

    blocked: dead letters that wait. parked: events that wait behind them. head: the highest number given, None where the producer is
    another service. updated_at: when the watermark last rose.
    """

    group: str
    topic: str
    partition: int
    stream: str
    watermark: int
    blocked: int
    parked: int
    head: int | None
    updated_at: dt.datetime

    @property
    def lag(self) -> int | None:
        """Numbers given and not applied; None where this database can't know."""
        return None if self.head is None else max(0, self.head - self.watermark)


async def standing(session: ReadSession) -> list[Standing]:
    """Every group that ever read here, on each of its partitions."""
    return [Standing(**dict(row)) for row in await session.connection.fetch(_STANDING)]

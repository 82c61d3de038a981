"""Facts of long ago in the archive: a record's events are made those of a past month, and that month is archived."""

import datetime as dt
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from crm_contracts import Registry
from crm_events.archive import Storage
from crm_events.archive.archiver import Archiver, archiver
from crm_events.months import bounds

#: A month that no journal of a test has by itself.
LONG_AGO = dt.date(2026, 1, 1)

# Raw SQL: what no service ever does, giving events other ids. In the order in which they were recorded.
_MOVE = """
WITH moved AS (
  SELECT event_id AS old, row_number() OVER (ORDER BY event_id) AS place FROM journal
  WHERE subject = ANY($1) AND ($2::int IS NULL OR version <= $2)
), unsent AS (
  DELETE FROM outbox o USING moved m WHERE o.event_id = m.old
), numbered AS (
  UPDATE publication p SET event_id = ($3::uuid[])[m.place] FROM moved m WHERE p.event_id = m.old
)
UPDATE journal j SET event_id = ($3::uuid[])[m.place] FROM moved m WHERE j.event_id = m.old
"""


async def recorded_long_ago(dsn: str, *subjects: uuid.UUID, until: int | None = None) -> int:
    """Make these records' events, up to a version, those of LONG_AGO; answers how many. They need not be sent any more."""
    connection = await asyncpg.connect(dsn)
    try:
        low, high = bounds(LONG_AGO)
        await connection.execute(
            f"CREATE TABLE IF NOT EXISTS journal_{LONG_AGO:%Y_%m} PARTITION OF journal FOR VALUES FROM ('{low}') TO ('{high}')"
        )
        ids = [uuid.UUID(int=low.int + place) for place in range(1, 2_001)]
        status = await connection.execute(_MOVE, list(subjects), until, ids)
        return int(status.split()[1])
    finally:
        await connection.close()


@asynccontextmanager
async def at_the_archive(dsn: str, service: str, folder: Path) -> AsyncIterator[tuple[Archiver, Storage]]:
    """The archiver of a service that nobody follows, and the folder as the storage that it writes to."""
    storage = Storage(folder.as_uri())
    async with archiver(dsn, service, storage, known=Registry(), expected=frozenset()) as made:
        yield made, storage

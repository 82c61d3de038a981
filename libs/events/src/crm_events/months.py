"""Monthly partitions of journal and inbox, made ahead of time.

Both have a default partition, so nothing is ever refused: an event of a month that does not exist yet goes there, and stays
there when that month's partition can't be made any more.
"""

import datetime as dt
import uuid
from collections.abc import Sequence

import asyncpg
import structlog

from crm_database import Database, WriteContext
from crm_kernel.ids import first_id_at

TABLES = ("journal", "inbox")
AHEAD = 3

_log = structlog.get_logger("crm_events")


def months_from(day: dt.date, count: int) -> list[dt.date]:
    """The first days of `count` months, beginning with that of `day`."""
    first = day.year * 12 + day.month - 1
    return [dt.date(n // 12, n % 12 + 1, 1) for n in range(first, first + count)]


def bounds(month: dt.date) -> tuple[uuid.UUID, uuid.UUID]:
    """The smallest id of a month, and the smallest behind it."""
    month, following = months_from(month, 2)
    low, high = (first_id_at(dt.datetime(d.year, d.month, 1, tzinfo=dt.UTC)) for d in (month, following))
    return low, high


async def make_months(database: Database, now: dt.datetime, tables: Sequence[str] = TABLES) -> list[str]:
    """Make the partitions of this month and the next ones; answers the names of those that are new.

    tables: partitioned by the month of a UUIDv7, with a default partition.
    """
    made = []
    for table in tables:
        for month in months_from(now.date(), AHEAD):
            name = f"{table}_{month:%Y_%m}"
            if await _make(database, now, table, name, month):
                made.append(name)
    return made


async def _make(database: Database, now: dt.datetime, table: str, name: str, month: dt.date) -> bool:
    low, high = bounds(month)
    try:
        async with database.write(WriteContext(now=now)) as session:
            if await session.connection.fetchval("SELECT to_regclass($1) IS NOT NULL", name):
                return False
            # Raw SQL: SQLAlchemy has no partitions. Names and bounds are ours.
            await session.connection.execute(
                f"CREATE TABLE IF NOT EXISTS {name} PARTITION OF {table} FOR VALUES FROM ('{low}') TO ('{high}')"
            )
    except (asyncpg.CheckViolationError, asyncpg.LockNotAvailableError, asyncpg.DuplicateTableError) as error:
        # Rows of this month lie in the default partition already, or somebody is busy there: the next run tries again.
        _log.info("month not made", table=table, month=str(month), cause=repr(error))
        return False
    return True

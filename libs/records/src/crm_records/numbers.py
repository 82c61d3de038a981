"""The numbers that people see (PL-2): a pattern of the record type, filled from its sequence.

A sequence is race-free without holding a lock until the commit, as a counter row would; what a rolled-back request drew is not
used again. The count goes on over months and years, so no number ever comes twice.
"""

import datetime as dt
from functools import lru_cache

from crm_database import Query, WriteSession
from crm_records.record_type import RecordType


async def draw_numbers(session: WriteSession, record: RecordType, count: int, day: dt.date) -> list[str]:
    """So many fresh numbers, ascending, with the day they are given on. The record type must have a pattern."""
    if record.number is None or count == 0:
        return []
    rows = await session.fetch(_draw(record.table.name), count=count)
    return [format_number(record.number, row["n"], day) for row in rows]


def format_number(pattern: str, n: int, day: dt.date) -> str:
    """`AACC-{yy}{mm}-{n:04}` → `AACC-2611-0042`."""
    return pattern.format(
        n=n, yyyy=f"{day.year:04}", yy=f"{day.year % 100:02}", mm=f"{day.month:02}", dd=f"{day.day:02}"
    )


@lru_cache(maxsize=256)
def _draw(table: str) -> Query:
    # Raw SQL: SQLAlchemy has no set of nextval. The name is a table's of ours, never input.
    sql = f"SELECT nextval('{table}_number') AS n FROM generate_series(1, $1::int)"  # noqa: S608
    return Query(sql, ("count",))

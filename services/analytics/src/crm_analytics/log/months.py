"""Monthly partitions of the log, made ahead of time."""

import datetime as dt

from crm_database import Database
from crm_events.months import make_months


async def make_log_months(database: Database, due: dt.datetime) -> None:
    """Make this month's partition and those of the next months, where they are missing."""
    await make_months(database, due, ("event_log",))

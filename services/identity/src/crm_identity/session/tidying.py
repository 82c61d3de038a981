"""Remove what only running sessions need. Sessions themselves stay: they are the login history."""

import datetime as dt

from crm_database import Database, WriteContext
from crm_identity.session import guard_store, store

#: So long after a session's end its refresh tokens are still known, and a counter of failed log-ins that nobody touches.
KEPT = dt.timedelta(days=1)


async def tidy(database: Database, due: dt.datetime) -> None:
    """For the schedule: refresh tokens of sessions that are over, and counters of failed log-ins that count no more."""
    async with database.write(WriteContext(now=due)) as session:
        await store.forget_tokens(session, due - KEPT)
        await guard_store.forget_old(session, due - KEPT)

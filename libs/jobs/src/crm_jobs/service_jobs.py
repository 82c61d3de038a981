"""What a service declares of its jobs: `Service(jobs=Jobs([…]))`. Its worker then runs them."""

import asyncio
import datetime as dt
from collections.abc import Sequence

from crm_database import Database, WriteContext
from crm_events import Schedule, every
from crm_jobs import store
from crm_jobs.kind import JobKind
from crm_jobs.rules import KEPT
from crm_jobs.runner import Runner
from crm_kernel import Clock

_PURGED_AT_ONCE = 10_000


class Jobs:
    """The kinds of job that a service knows. ValueError when two have one name."""

    def __init__(self, kinds: Sequence[JobKind]) -> None:
        names = [kind.name for kind in kinds]
        if len(set(names)) != len(names):
            raise ValueError("two kinds of job have one name")
        self._kinds = tuple(kinds)

    @property
    def kinds(self) -> Sequence[JobKind]:
        """The kinds that runners of this service know."""
        return self._kinds

    @property
    def schedules(self) -> Sequence[Schedule]:
        """What is to be done about jobs now and then: those that ended long ago are forgotten."""
        return [Schedule("crm.jobs", every(dt.timedelta(hours=1)), _purge)]

    async def run(self, database: Database, clock: Clock, stop: asyncio.Event) -> None:
        """Run jobs until `stop`."""
        await Runner(database, self.kinds, clock).run(stop)


async def _purge(database: Database, due: dt.datetime) -> None:
    while True:
        async with database.write(WriteContext(now=due)) as session:
            if await store.purge(session, due - KEPT, _PURGED_AT_ONCE) < _PURGED_AT_ONCE:
                return

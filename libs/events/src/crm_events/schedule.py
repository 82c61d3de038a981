"""Schedules (PL-41): exactly one runner per service however many replicas; a run missed while nobody was up is made up."""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from crm_database import DATABASE_ERRORS, Database, WriteContext
from crm_events.waiting import stopped_within
from crm_kernel.clock import Clock

_log = structlog.get_logger("crm_events")

Run = Callable[[Database, dt.datetime], Awaitable[None]]
Due = Callable[[dt.datetime], dt.datetime]

#: Seconds between looks; after trouble with the database; after a run that failed.
LOOK_SECONDS = 1.0
TROUBLE_SECONDS = 5.0
FAILED_SECONDS = 60.0

_ALL = "SELECT name, due_at FROM schedule_run WHERE name = ANY($1)"
_BEGIN = "INSERT INTO schedule_run (name, due_at) VALUES ($1, $2) ON CONFLICT DO NOTHING"
_TAKE = "SELECT due_at FROM schedule_run WHERE name = $1 AND due_at <= $2 FOR UPDATE SKIP LOCKED"
_NEXT = "UPDATE schedule_run SET due_at = $2 WHERE name = $1"


@dataclass(frozen=True)
class Schedule:
    """name: unique in the service, stable. next_after: the first instant after a given one at which it is due.

    run: async (database, due instant), in transactions of its own; it must bear being run again for the same instant (after a
    crash), and tells by the instant what is due: several missed instants are made up by one run, with the earliest.
    """

    name: str
    next_after: Due
    run: Run


def every(interval: dt.timedelta) -> Due:
    """Due at multiples of an interval, counted from midnight UTC of day one."""
    start = dt.datetime(1, 1, 1, tzinfo=dt.UTC)

    def following(instant: dt.datetime) -> dt.datetime:
        return start + ((instant - start) // interval + 1) * interval

    return following


class Scheduler:
    """Runs what is due. The row of a schedule is locked while it runs: that is what makes the runner the only one."""

    def __init__(self, database: Database, schedules: Sequence[Schedule], clock: Clock) -> None:
        self.database = database
        self.schedules = schedules
        self.clock = clock

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; then what runs is let finish. A schedule that fails is tried again a minute later."""
        running: dict[str, asyncio.Task[None]] = {}
        try:
            while not stop.is_set():
                wait = LOOK_SECONDS
                try:
                    due = await self.due()
                except DATABASE_ERRORS as error:
                    _log.warning("schedules not looked at", cause=repr(error))
                    due, wait = [], TROUBLE_SECONDS
                for schedule in due:
                    task = running.get(schedule.name)
                    if task is None or task.done():
                        running[schedule.name] = asyncio.create_task(self._attempt(schedule, stop))
                await stopped_within(stop, wait)
            await asyncio.gather(*running.values())
        finally:
            for task in running.values():
                task.cancel()
            await asyncio.gather(*running.values(), return_exceptions=True)

    async def due(self) -> list[Schedule]:
        """Those that are due, or were never heard of in this database. One statement for all: it is asked for ever, mostly in vain."""
        now = self.clock.now()
        async with self.database.read() as session:
            rows = await session.connection.fetch(_ALL, [schedule.name for schedule in self.schedules])
        next_at = {row["name"]: row["due_at"] for row in rows}
        return [schedule for schedule in self.schedules if next_at.get(schedule.name, now) <= now]

    async def _attempt(self, schedule: Schedule, stop: asyncio.Event) -> None:
        """Run it if it is due; after a failure this lasts until it may be tried again."""
        try:
            await self.run_if_due(schedule)
        except DATABASE_ERRORS as error:
            _log.warning("schedule not run", schedule=schedule.name, cause=repr(error))
            await stopped_within(stop, TROUBLE_SECONDS)
        except Exception as error:
            _log.exception("schedule failed", schedule=schedule.name, cause=repr(error))
            await stopped_within(stop, FAILED_SECONDS)

    async def run_if_due(self, schedule: Schedule) -> bool:
        """Run it if it is due and nobody runs it; whether it ran."""
        now = self.clock.now()
        async with self.database.write(WriteContext(now=now)) as session:
            await session.connection.execute(_BEGIN, schedule.name, schedule.next_after(now))
        async with self.database.pool.acquire() as connection:
            # A transaction of its own on its own connection: it only holds the row while `run` works elsewhere.
            await connection.execute("BEGIN READ WRITE")
            try:
                # A run may take longer than an idle transaction is allowed to last otherwise.
                await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
                due = await connection.fetchval(_TAKE, schedule.name, now)
                if due is not None:
                    await schedule.run(self.database, due)
                    await connection.execute(_NEXT, schedule.name, schedule.next_after(max(due, now)))
                await connection.execute("COMMIT")
            except BaseException:
                if not connection.is_closed():
                    await asyncio.shield(connection.execute("ROLLBACK"))
                raise
        return due is not None

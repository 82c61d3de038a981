"""The runner: takes jobs that are due and does their steps, as many replicas of it as there are.

A step is one transaction. It locks the job's row and looks whether the lease is still its own; does a part of the work; writes what
became of the rows and where the next step begins; and commits. Whenever the process dies, the transaction was or was not. While it
lasts its lock keeps takers away (they skip locked rows), and its commit gives the lease anew: the step is the heartbeat.
"""

import asyncio
import contextlib
import datetime as dt
import time
import uuid
from collections.abc import Sequence
from typing import Final

import structlog

from crm_authz import Directory, keeper_of
from crm_database import DATABASE_ERRORS, Database, WriteContext, WriteSession
from crm_events.looked import Looked
from crm_jobs import metrics, store
from crm_jobs.kind import JobKind, StepDone
from crm_jobs.rules import (
    STEP_ROWS,
    GaveUp,
    Job,
    LeaseLost,
    as_end,
    is_given_up,
    is_transient,
    pause,
    problem_of,
    require_held,
)
from crm_jobs.unit import authorised
from crm_jobs.wake import wakeup
from crm_kernel import Clock, Refusal, SystemClock, Unavailable, new_id
from crm_web.problems import Failed, refusal_for

#: Jobs that one process works on at the same time.
SLOTS: Final = 2
#: Seconds between two looks for jobs of other processes.
LOOK_EVERY: Final = 1.0
#: Seconds that a job is worked on before the one that waits longest has its turn.
TURN: Final = 5.0
#: Seconds to wait when not even the looking works.
_TROUBLE: Final = 5.0

_log = structlog.get_logger("crm_jobs")


class DirectoryDeaf(Unavailable):
    """Identity was not heard: a right that was taken away may not be known here. Jobs wait."""

    code = "directory.deaf"
    title = "Identity was not heard for a while"


class Runner:
    """Works on one service's jobs of the kinds it knows."""

    def __init__(self, database: Database, kinds: Sequence[JobKind], clock: Clock | None = None) -> None:
        self.database = database
        self.kinds = {kind.name: kind for kind in kinds}
        self.clock = clock or SystemClock()
        #: What is due, of every kind: also of those that no program here knows.
        self.counted = Looked(database, store.due)
        self._keeper = keeper_of(database)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`; steps under way are finished, their jobs left to whoever comes."""
        metrics.jobs_due.of(self.counted, lambda counted: [(counted.now.waiting, {})] if counted.now else [])
        metrics.jobs_age.of(self.counted, lambda counted: [(counted.now.age, {})] if counted.now else [])
        metrics.jobs_running.of(self.counted, lambda counted: [(counted.now.running, {})] if counted.now else [])
        await asyncio.gather(self.counted.run(stop), *(self._slot(stop) for _ in range(SLOTS)))

    async def run_due(self) -> int:
        """Work on jobs until none is due; answers how many turns were taken."""
        turns = 0
        while (job := await self.take()) is not None:
            await self.work(job, asyncio.Event())
            turns += 1
        return turns

    async def _slot(self, stop: asyncio.Event) -> None:
        woken = wakeup(self.database)
        while not stop.is_set():
            wait = LOOK_EVERY
            woken.clear()
            try:
                job = await self.take()
                if job is not None:
                    await self.work(job, stop)
                    continue
            except DATABASE_ERRORS as error:
                _log.warning("jobs can't be looked for", cause=repr(error))
                wait = _TROUBLE
            await _either(stop, woken, wait)

    async def take(self) -> Job | None:
        """The job that is due longest, leased to us; None when none is due."""
        async with self.database.write(WriteContext(now=self.clock.now())) as session:
            return await store.take(session, new_id(), list(self.kinds))

    async def work(self, job: Job, stop: asyncio.Event) -> None:
        """Do steps of a job that was taken: until it ends, its turn is over, `stop` is set, or it is taken from us."""
        lease = job.leased_by
        assert lease is not None  # noqa: S101  (it comes from `take`)
        turn = time.monotonic() + TURN
        try:
            if is_given_up(job.attempts):
                # Whoever had it died in the same place, again and again.
                await self._end(job, lease, GaveUp())
                return
            stepped = False
            while True:
                # Also before the first step: it may have been taken while the process was told to end.
                if stop.is_set() or (stepped and time.monotonic() >= turn):
                    await self._put_back(job, lease, dt.timedelta(0))
                    return
                try:
                    going_on = await self.step(job, lease)
                except Exception as error:
                    if isinstance(error, LeaseLost):
                        raise
                    await self._failed(job, lease, error)
                    return
                if not going_on:
                    return
                stepped = True
        except LeaseLost:
            _log.info("job taken away", job=str(job.id), kind=job.kind)
        except DATABASE_ERRORS as error:
            # Not even the failure could be written down: the lease runs out, and somebody goes on.
            _log.warning("job left to its lease", job=str(job.id), kind=job.kind, cause=repr(error))

    async def step(self, job: Job, lease: uuid.UUID) -> bool:
        """One step, committed when this returns; whether there is more to do now. Raises LeaseLost, and what the step raises."""
        kind = self.kinds[job.kind]
        began = time.perf_counter()
        directory = await self._directory()
        async with self.database.write(self._context(job)) as session:
            held = require_held(await store.lock(session, job.id), lease)
            unit = authorised(session, directory, held, kind)
            done = await kind.step(unit, held)
            _check(kind, held, done)
            await store.stepped(session, held.id, done.rows, done.position)
            if done.finished:
                await store.ended(session, held.id, "succeeded", session.context.now)
            elif done.pause is not None:
                await store.put_back(session, held.id, done.pause, 0, 0)
        metrics.job_step_duration.record(time.perf_counter() - began, {"kind": kind.name})
        if done.finished:
            metrics.jobs_ended.add(1, {"kind": kind.name, "state": "succeeded"})
        return not done.finished and done.pause is None

    async def _directory(self) -> Directory:
        """The organisation as of now. Raises DirectoryDeaf."""
        directory = await self._keeper.current(self.database)
        if directory.is_deaf(self.clock.now()):
            raise DirectoryDeaf
        return directory

    def _context(self, job: Job) -> WriteContext:
        """Changes are the person's who asked, made by a job."""
        return WriteContext(
            now=self.clock.now(),
            actor_kind="user",
            actor_id=job.asked_by,
            channel="job",
            address=job.address,
            client=job.client,
            traceparent=job.traceparent,
        )

    async def _failed(self, job: Job, lease: uuid.UUID, error: Exception) -> None:
        """What to do after a failed step: wait and try again, or end the job."""
        refusal = refusal_for(error)
        metrics.job_failures.add(1, {"kind": job.kind})
        if is_transient(refusal):
            _log.warning("job waits", job=str(job.id), kind=job.kind, code=refusal.code, cause=repr(error))
            await self._put_back(job, lease, None, waits=1)
        elif isinstance(error, Refusal) or (not isinstance(refusal, Failed) and refusal.status < 500):
            _log.info("job refused", job=str(job.id), kind=job.kind, code=refusal.code)
            await self._end(job, lease, as_end(refusal))
        else:
            _log.error("job step failed", job=str(job.id), kind=job.kind, exc_info=error)
            await self._put_back(job, lease, None, attempts=1)

    async def _put_back(
        self, job: Job, lease: uuid.UUID, wait: dt.timedelta | None, *, attempts: int = 0, waits: int = 0
    ) -> None:
        """Leave the job to whoever comes. wait: None: by its failures in a row. Ends it when it failed too often."""
        async with self.database.write(self._context(job)) as session:
            held = require_held(await store.lock(session, job.id), lease)
            attempts, waits = held.attempts + attempts, held.waits + waits
            given_up = is_given_up(attempts)
            if given_up:
                await self._write_failure(session, held, GaveUp())
            else:
                pausing = pause(attempts + waits) if wait is None else wait
                await store.put_back(session, job.id, pausing, attempts, waits)
        if given_up:
            metrics.jobs_ended.add(1, {"kind": job.kind, "state": "failed"})

    async def _end(self, job: Job, lease: uuid.UUID, refusal: Refusal) -> None:
        async with self.database.write(self._context(job)) as session:
            await self._write_failure(session, require_held(await store.lock(session, job.id), lease), refusal)
        metrics.jobs_ended.add(1, {"kind": job.kind, "state": "failed"})

    async def _write_failure(self, session: WriteSession, job: Job, refusal: Refusal) -> None:
        """End the locked job as failed, with what its kind has to say of that."""
        problem = problem_of(refusal)
        failed = self.kinds[job.kind].failed
        if failed is not None:
            await failed(session, job, problem)
        await store.ended(session, job.id, "failed", session.context.now, problem)


def _check(kind: JobKind, job: Job, done: StepDone) -> None:
    """A step that does nothing and goes nowhere would be done for ever: that is a mistake of ours."""
    if len(done.rows) > STEP_ROWS:
        raise RuntimeError(f"{kind.name}: a step of {len(done.rows)} rows")
    if not done.finished and done.pause is None and not done.rows and done.position == job.position:
        raise RuntimeError(f"{kind.name}: a step that does nothing")


async def _either(stop: asyncio.Event, woken: asyncio.Event, seconds: float) -> None:
    """Wait for one of both, at most so long."""
    waiting = [asyncio.create_task(event.wait()) for event in (stop, woken)]
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*waiting, return_exceptions=True)


__all__ = ["LOOK_EVERY", "SLOTS", "TURN", "DirectoryDeaf", "Runner"]

"""A tiny service that grinds grains: each grain that a job grinds becomes a row that nothing keeps from being there twice.

It goes by the name of a service that there is: roles give rights over those only.
"""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pydantic import BaseModel

from crm_authz import AUTHZ_1
from crm_database import WriteSession
from crm_events.schema import BUS_1, JOURNAL_1
from crm_jobs import (
    JOBS_1,
    JOBS_2,
    Job,
    JobKind,
    JobRow,
    Jobs,
    JobUnit,
    JobView,
    StepDone,
    accepted,
    job_router,
    start_job,
)
from crm_kernel import Conflict
from crm_web import Json, Router, Service, WriteUnit
from crm_web.idempotency import IDEMPOTENCY_1

NAME = "sales"
PERMISSION = "sales.grain:grind"
TABLES = (
    *JOURNAL_1,
    *BUS_1,
    *AUTHZ_1,
    *IDEMPOTENCY_1,
    *JOBS_1,
    *JOBS_2,
    "CREATE TABLE flour (job_id uuid NOT NULL, grain integer NOT NULL, ground_by uuid, lease uuid)",
)
#: Grains of one step.
HANDFUL = 3

#: What a test has the mill do in the middle of a step; called with the job.
Mishap = Callable[[Job], Awaitable[None]]


class MillClosed(Conflict):
    code = "mill.closed"
    title = "The mill is closed"


class Mill:
    """mishap: what happens in the middle of each step. gate: closed, a step waits in its middle."""

    def __init__(self) -> None:
        self.mishap: Mishap | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.inside = asyncio.Event()

    async def grind(self, unit: JobUnit, job: Job) -> StepDone:
        first = job.position or 0
        grains = range(first, min(first + HANDFUL, job.parameters["grains"]))
        rows = []
        for grain in grains:
            bad = grain in job.parameters["stones"]
            if not bad:
                # Raw SQL: a test's own table.
                await unit.session.connection.execute(
                    "INSERT INTO flour VALUES ($1, $2, $3, $4)", job.id, grain, unit.caller.user_id, job.leased_by
                )
            rows.append(
                JobRow(grain, "error", code="grain.stone", detail="A stone")
                if bad
                else JobRow(grain, "ok", done="ground", record_id=job.id, record_version=grain)
            )
        self.inside.set()
        await self.gate.wait()
        if self.mishap is not None:
            await self.mishap(job)
        return StepDone(rows, first + len(rows), first + len(rows) >= job.parameters["grains"])


MILL = Mill()


async def _grind(unit: JobUnit, job: Job) -> StepDone:
    return await MILL.grind(unit, job)


async def _listen(unit: JobUnit, job: Job) -> StepDone:
    """Says in its rows what it was given."""
    part = job.position or 0
    given = await unit.given(part)
    if given is None:
        return StepDone(finished=True)
    return StepDone([JobRow(job.processed, "ok", done=str(given))], part + 1)


async def _tell(session: WriteSession, job: Job, problem: Mapping[str, Any]) -> None:
    # Raw SQL: a test's own table. Below all grains: what is told of the end.
    await session.connection.execute("INSERT INTO flour VALUES ($1, -1, $2, NULL)", job.id, session.context.actor_id)
    assert problem["code"]


async def _nap(unit: JobUnit, job: Job) -> StepDone:
    """Waits for something else, once."""
    if job.position is None:
        return StepDone(position="rested", pause=dt.timedelta(minutes=5))
    return StepDone(finished=True)


GRIND = JobKind("sales.grain.grind", PERMISSION, _grind)
LISTEN = JobKind("sales.grain.listen", None, _listen)
NAP = JobKind("sales.grain.nap", None, _nap)
#: What the mill does by itself.
MAINTAIN = JobKind("sales.mill.maintain", None, _grind, authority="product", reason="a mill must run", failed=_tell)

router = Router(NAME)


@router.post("/naps", permission=PERMISSION, status=202, response=JobView)
async def nap(unit: WriteUnit) -> Json:
    return accepted(NAME, await start_job(unit, NAP, {}))


class GrindBody(BaseModel):
    grains: int
    stones: list[int] = []


@router.post("/grinds", permission=PERMISSION, status=202, response=JobView)
async def grind(body: GrindBody, unit: WriteUnit) -> Json:
    return accepted(NAME, await start_job(unit, GRIND, body.model_dump(), total=body.grains))


@router.post("/listens", permission=PERMISSION, status=202, response=JobView)
async def listen(body: dict[str, Any], unit: WriteUnit) -> Json:
    return accepted(NAME, await start_job(unit, LISTEN, {}, parts=body["parts"]))


SERVICE = Service(
    name=NAME, title="Mill", routers=[router, job_router(NAME)], jobs=Jobs([GRIND, LISTEN, NAP, MAINTAIN])
)

__all__ = [
    "GRIND",
    "LISTEN",
    "MAINTAIN",
    "MILL",
    "NAME",
    "NAP",
    "PERMISSION",
    "SERVICE",
    "TABLES",
    "Mill",
    "MillClosed",
]

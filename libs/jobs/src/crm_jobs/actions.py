"""Asking for a job, and taking it back."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from crm_authz import Directory
from crm_database import WriteSession
from crm_jobs import store
from crm_jobs.kind import JobKind
from crm_jobs.rules import MAX_OPEN, OPEN, Job, ProductsJob, TooManyOpenJobs
from crm_jobs.wake import wake
from crm_kernel import NotFound, new_id
from crm_web import ReadUnit, WriteUnit


async def start_job(
    unit: WriteUnit,
    kind: JobKind,
    parameters: Mapping[str, Any],
    *,
    total: int | None = None,
    parts: Sequence[Any] = (),
) -> Job:
    """Ask for a job in the caller's name; it begins when the request is committed.

    parameters: small, JSON; read by every step. parts: what the job is given and would be too much to read at each step; a step
    reads one of them. total: how many rows it will be about, when that is known. The caller's rights were checked: whoever may not
    do it now is refused now. Raises TooManyOpenJobs.
    """
    person = unit.caller.user_id
    if await store.how_many_open(unit.session, person) >= MAX_OPEN:
        raise TooManyOpenJobs(f"At most {MAX_OPEN}; wait until one has ended, or cancel one")
    return await _insert(unit.session, kind, parameters, person, total, parts)


async def start_product_job(
    session: WriteSession, kind: JobKind, parameters: Mapping[str, Any], *, asked_by: uuid.UUID
) -> Job:
    """Have the product do something that follows from what was permitted before: in a reaction or schedule, or within a request.

    asked_by: whose doing it follows from; the history of what it changes names them. Only for kinds whose authority is the product's.
    """
    if kind.authority != "product":
        raise ValueError(f"{kind.name} runs with its asker's rights")
    return await _insert(session, kind, parameters, asked_by, None, ())


async def _insert(
    session: WriteSession,
    kind: JobKind,
    parameters: Mapping[str, Any],
    person: uuid.UUID,
    total: int | None,
    parts: Sequence[Any],
) -> Job:
    context = session.context
    job = Job(
        id=new_id(),
        version=1,
        kind=kind.name,
        state="queued",
        asked_by=person,
        client=context.client,
        address=context.address,
        traceparent=context.traceparent,
        parameters=parameters,
        position=None,
        total=total,
        done=0,
        failed=0,
        attempts=0,
        waits=0,
        run_after=context.now,
        leased_by=None,
        lease_until=None,
        problem=None,
        created_at=context.now,
        started_at=None,
        finished_at=None,
        authority=kind.authority,
    )
    await store.insert(session, job, parts)
    database = session.database
    session.after_commit(lambda: wake(database))
    return job


async def read_job(unit: ReadUnit | WriteUnit, job_id: uuid.UUID) -> Job:
    """A job of the caller's own; super administrators read everybody's. Raises NotFound."""
    return _own(unit, await store.read(unit.session, job_id))


async def cancel_job(unit: WriteUnit, job_id: uuid.UUID) -> Job:
    """End a job between two of its steps. What was done stays done; one that has ended already stays as it is.

    Raises NotFound; ProductsJob for one that its asker did not ask for as a job.

    Waits for the step under way: its transaction holds the row. The runner then finds the job taken away from it.
    """
    job = _own(unit, await store.lock(unit.session, job_id))
    if job.authority == "product":
        raise ProductsJob
    if job.state not in OPEN:
        return job
    await store.ended(unit.session, job.id, "cancelled", unit.now)
    return _own(unit, await store.read(unit.session, job_id))


def _own(unit: ReadUnit | WriteUnit, job: Job | None) -> Job:
    if job is None or not may_see(job, unit.caller.user_id, unit.directory):
        raise NotFound
    return job


def may_see(job: Job, user_id: uuid.UUID, directory: Directory) -> bool:
    """Whether a user may see a job, its rows, and cancel it."""
    return user_id == job.asked_by or user_id in directory.super_admins

"""Jobs over HTTP: the same operations for every service that has some."""

import datetime as dt
import uuid
from typing import Annotated, Any

from fastapi import Query
from pydantic import Field

from crm_jobs import actions, store
from crm_jobs.progress import progress
from crm_jobs.rules import ProductsJob
from crm_jobs.store import RowStatus
from crm_jobs.views import JobList, JobRows, JobView, row_view, view
from crm_kernel import NotFound
from crm_web import Json, Limits, ReadUnit, Router, Stream, WriteUnit

Limit = Annotated[int, Field(ge=1, le=200)]
RowLimit = Annotated[int, Field(ge=1, le=1000)]
Cursor = Annotated[str | None, Query(max_length=4000)]


def job_router(service: str) -> Router:
    """The operations over a service's jobs, below `/api/<service>/v1/jobs`. Everybody sees their own, super administrators all."""
    router = Router(service, tag="jobs")

    @router.get("/jobs", access="authenticated", summary="List one's own jobs, newest first")
    async def list_jobs(unit: ReadUnit, limit: Limit = 50, cursor: Cursor = None) -> JobList:
        after = None
        if cursor is not None:
            instant, last = unit.open_cursor(cursor, query=["jobs"])
            after = (dt.datetime.fromisoformat(instant), uuid.UUID(last))
        found = await store.page(unit.session, unit.caller.user_id, after, limit + 1)
        following = None
        if len(found) > limit:
            last_shown = found[limit - 1]
            following = unit.sign_cursor([last_shown.created_at.isoformat(), str(last_shown.id)], query=["jobs"])
        return JobList(items=[view(job, unit.language) for job in found[:limit]], next=following)

    @router.get(
        "/jobs/{id}",
        access="authenticated",
        summary="Read a job: how far it is, or how it ended",
        errors=[NotFound],
        response=JobView,
    )
    async def read_job(id: uuid.UUID, unit: ReadUnit) -> Json:
        job = await actions.read_job(unit, id)
        return Json(view(job, unit.language), etag=job.version)

    @router.get(
        "/jobs/{id}/rows",
        access="authenticated",
        summary="What became of each row of a job, so far",
        errors=[NotFound],
        response=JobRows,
    )
    async def list_job_rows(
        id: uuid.UUID, unit: ReadUnit, status: RowStatus | None = None, limit: RowLimit = 200, cursor: Cursor = None
    ) -> Json:
        job = await actions.read_job(unit, id)
        bound = ["job rows", str(job.id), status]
        after = None if cursor is None else int(unit.open_cursor(cursor, query=bound)[0])
        rows = await store.rows(unit.session, job.id, status, after, limit + 1)
        following = unit.sign_cursor([rows[limit - 1]["index"]], query=bound) if len(rows) > limit else None
        shown: dict[str, Any] = {"items": [row_view(row) for row in rows[:limit]], "next": following}
        return Json(shown)

    @router.post(
        "/jobs/{id}/cancel",
        access="authenticated",
        summary="End a job after the step it is at; what was done stays. A job that has ended stays as it is",
        errors=[NotFound, ProductsJob],
        response=JobView,
    )
    async def cancel_job(id: uuid.UUID, unit: WriteUnit) -> Json:
        job = await actions.cancel_job(unit, id)
        return Json(view(job, unit.language), etag=job.version)

    @router.get(
        "/jobs/{id}/progress",
        access="authenticated",
        summary=(
            "Follow a job: server-sent events `job`, each with the job as JSON, when something changed and at most twice a second; "
            "the stream ends with the job or with the access token"
        ),
        errors=[NotFound],
        stream=True,
        limits=Limits(rate="stream"),
    )
    async def follow_job(id: uuid.UUID, unit: ReadUnit) -> Stream:
        job = await actions.read_job(unit, id)
        return progress(unit, job.id)

    return router


__all__ = ["job_router"]

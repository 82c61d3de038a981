"""What the API shows of jobs."""

import datetime as dt
import uuid
from typing import Any, Literal

import asyncpg
from pydantic import BaseModel, ConfigDict, Field

from crm_jobs.rules import Job, State
from crm_web import Json
from crm_web.messages import choose, title

#: A job as the documents show one.
JOB_EXAMPLE: dict[str, Any] = {
    "id": "01900000-0000-7000-8000-000000000077",
    "version": 5,
    "kind": "customers.customer.transfer",
    "state": "running",
    "asked_by": "01900000-0000-7000-8000-000000000002",
    "total": 4200,
    "done": 1490,
    "failed": 10,
    "problem": None,
    "created_at": "2026-03-01T09:00:00Z",
    "started_at": "2026-03-01T09:00:01Z",
    "finished_at": None,
}


class FieldProblemView(BaseModel):
    """What is wrong with one member of what was asked for. pointer: JSON pointer into that body."""

    pointer: str
    code: str
    detail: str


class JobProblem(BaseModel):
    """Why a job failed. `code` is stable."""

    code: str
    title: str
    detail: str
    errors: list[FieldProblemView] | None = None


class JobView(BaseModel):
    """A job. total: how many rows it is about, as counted when it was asked for; null when that is not known. done, failed: rows that
    were dealt with so far, and that were refused. problem: why it failed as a whole; what was done until then stays done."""

    model_config = ConfigDict(json_schema_extra={"examples": [JOB_EXAMPLE]})

    id: uuid.UUID
    version: int
    kind: str
    state: State
    asked_by: uuid.UUID
    total: int | None = None
    done: int
    failed: int
    problem: JobProblem | None = None
    created_at: dt.datetime
    started_at: dt.datetime | None = None
    finished_at: dt.datetime | None = None


class JobList(BaseModel):
    """A page, newest first. next: the cursor of the next page, or null."""

    items: list[JobView]
    next: str | None


class JobRowView(BaseModel):
    """What became of one row. index: its place in what was asked for, or in the order of the work."""

    index: int
    status: Literal["ok", "error"]
    done: str | None = None
    id: uuid.UUID | None = None
    version: int | None = None
    code: str | None = None
    detail: str | None = None
    errors: list[FieldProblemView] | None = None


class JobRows(BaseModel):
    """A page in the order of the rows. next: the cursor of the next page, or null."""

    items: list[JobRowView] = Field(default_factory=list)
    next: str | None


def view(job: Job, language: str = "") -> JobView:
    """A job as it is shown. language: Accept-Language, for the problem's title."""
    values = {name: getattr(job, name) for name in JobView.model_fields if name != "problem"}
    problem = None if job.problem is None else _in_language(dict(job.problem), language)
    return JobView(**values, problem=problem)


def _in_language(problem: dict[str, Any], accept_language: str) -> dict[str, Any]:
    shown = title(problem["code"], problem["title"], choose(accept_language) if accept_language else "en")
    if problem["detail"] == problem["title"]:
        problem["detail"] = shown
    return {**problem, "title": shown}


def row_view(row: asyncpg.Record) -> dict[str, Any]:
    """A row as it is shown: what doesn't concern it is left out."""
    shown = {
        "index": row["index"],
        "status": row["status"],
        "done": row["done"],
        "id": row["record_id"],
        "version": row["record_version"],
        "code": row["code"],
        "detail": row["detail"],
        "errors": row["errors"],
    }
    return {name: value for name, value in shown.items() if value is not None}


def accepted(service: str, job: Job) -> Json:
    """202: the job, and where it is to be found."""
    return Json(view(job), status=202, etag=job.version, location=f"/api/{service}/v1/jobs/{job.id}")

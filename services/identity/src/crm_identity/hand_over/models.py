"""Hand-overs as requests and answers."""

import datetime as dt
import uuid
from typing import Any, Literal

from pydantic import BaseModel

from crm_identity.models import Request
from crm_sagas import Saga, SagaStep
from crm_web.messages import choose, title

HandOverState = Literal["running", "succeeded", "failed", "cancelled"]

EXAMPLE: dict[str, Any] = {
    "id": "01900000-0000-7000-8000-000000000050",
    "version": 2,
    "user_id": "01900000-0000-7000-8000-000000000002",
    "successor_id": "01900000-0000-7000-8000-000000000004",
    "state": "failed",
    "asked_by": "01900000-0000-7000-8000-000000000001",
    "asked_at": "2026-03-01T09:00:00Z",
    "ended_at": "2026-03-01T09:01:30Z",
    "steps": [
        {
            "service": "customers",
            "state": "done",
            "attempt": 1,
            "asked_at": "2026-03-01T09:00:00Z",
            "moved": {"customers.customer": 1240, "customers.contact": 3021},
            "remaining": {"customers.customer": 0, "customers.contact": 0},
            "job_id": "01900000-0000-7000-8000-000000000077",
            "problem": None,
        },
        {
            "service": "sales",
            "state": "failed",
            "attempt": 1,
            "asked_at": "2026-03-01T09:00:00Z",
            "moved": {"sales.opportunity": 500, "sales.activity": 0},
            "remaining": {"sales.opportunity": 112, "sales.activity": 8},
            "job_id": "01900000-0000-7000-8000-000000000078",
            "problem": {
                "code": "hand_over.successor_not_active",
                "title": "The successor is not active any more",
                "detail": "The successor is not active any more",
            },
        },
    ],
}


class HandOverProblem(BaseModel):
    """Why a service could not go on. code: stable."""

    code: str
    title: str
    detail: str


class HandOverStep(BaseModel):
    """One service's part. attempt: how often it was asked. moved: record type → how many records are the successor's by now.
    remaining: how many open ones were still the leaver's when the service last counted. job_id: the job there; its asker sees its rows.
    """

    service: str
    state: Literal["waiting", "asked", "done", "failed", "cancelled"]
    attempt: int
    asked_at: dt.datetime | None
    moved: dict[str, int]
    remaining: dict[str, int]
    job_id: uuid.UUID | None
    problem: HandOverProblem | None


class HandOver(BaseModel):
    """A leaver's open records go to the successor. `failed`: a service could not go on; resume it. `cancelled`: what had changed hands
    stays the successor's."""

    id: uuid.UUID
    version: int
    user_id: uuid.UUID
    successor_id: uuid.UUID
    state: HandOverState
    asked_by: uuid.UUID | None
    asked_at: dt.datetime
    ended_at: dt.datetime | None
    steps: list[HandOverStep]


class HandOverList(BaseModel):
    """A page: those that are under way first, the newest first. next: the cursor of the next one, null on the last."""

    items: list[HandOver]
    next: str | None


class ResumeHandOver(Request):
    """successor_id: who gets what is left instead of the successor of before."""

    successor_id: uuid.UUID | None = None


def view(found: Saga, language: str = "") -> HandOver:
    """A hand-over as an answer. language: Accept-Language, for the problems' titles."""
    return HandOver(
        id=found.id,
        version=found.version,
        user_id=found.about,
        successor_id=uuid.UUID(found.data["successor_id"]),
        state=found.state,
        asked_by=found.asked_by,
        asked_at=found.asked_at,
        ended_at=found.ended_at,
        steps=[_step(step, language) for step in found.steps],
    )


def _step(step: SagaStep, language: str) -> HandOverStep:
    problem = None
    if step.problem is not None:
        code, english = step.problem["code"], step.problem["title"]
        shown = title(code, english, choose(language) if language else "en")
        detail = step.problem["detail"]
        problem = HandOverProblem(code=code, title=shown, detail=shown if detail == english else detail)
    return HandOverStep(
        service=step.name,
        state=step.state,
        attempt=step.attempt,
        asked_at=step.asked_at,
        moved=step.outcome.get("moved", {}),
        remaining=step.outcome.get("remaining", {}),
        job_id=step.outcome.get("job_id"),
        problem=problem,
    )

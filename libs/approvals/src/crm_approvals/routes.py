"""Approvals over HTTP: the same operations for every service that has something approved."""

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Annotated, Any

import asyncpg
from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from crm_approvals import actions, store
from crm_approvals.approval import Approval
from crm_approvals.rules import (
    AlreadyDecided,
    CommentNeeded,
    Decision,
    NotApprover,
    NotSubmitter,
    OwnApproval,
    SnapshotChanged,
    Status,
)
from crm_approvals.store import Role
from crm_approvals.subject import Subject
from crm_kernel import NotFound, Stale
from crm_records import Id
from crm_web import Json, ReadUnit, Router, WriteUnit

#: Letters of a comment, of who submits and of who decides.
MAX_COMMENT = 2000

Limit = Annotated[int, Field(ge=1, le=200)]
Cursor = Annotated[str | None, Query(max_length=4000)]


class DecisionBody(BaseModel):
    """What the approver says to it; a rejection needs it."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"comment": "The discount is too high"}]})

    comment: str | None = Field(default=None, max_length=MAX_COMMENT)


class ApprovalStepView(BaseModel):
    """Who decides, or has decided, at a step. decided_on_digest: the digest of the snapshot that was decided on."""

    model_config = ConfigDict(from_attributes=True)

    step: int
    part: int
    approvers: list[uuid.UUID]
    decided_by: uuid.UUID | None
    decided_at: dt.datetime | None
    decision: Decision | None
    comment: str | None
    decided_on_digest: str | None


class ApprovalItem(BaseModel):
    """An approval in a list. title: of what was submitted. comment: the submitter's. ended_at: when it was decided or withdrawn."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    version: int
    subject_type: str
    subject_id: uuid.UUID
    subject_version: int
    title: str
    snapshot_digest: str
    submitted_by: uuid.UUID
    submitted_at: dt.datetime
    comment: str | None
    status: Status
    current_step: int
    ended_at: dt.datetime | None


class ApprovalView(ApprovalItem):
    """An approval. snapshot: what was submitted, frozen; it is this that is decided on."""

    snapshot: dict[str, Any]
    steps: list[ApprovalStepView]


class ApprovalList(BaseModel):
    """A page. next: the cursor of the next page, or null."""

    items: list[ApprovalItem]
    next: str | None


def approval_router(service: str, subjects: Sequence[Subject]) -> Router:
    """The operations over a service's approvals, below `/api/<service>/v1/approvals`. subjects: all that the service has.

    TypeError when one is another service's, ValueError when two are of one type.
    """
    _check(service, subjects)
    # Not scoped: who has a part in an approval sees it, wherever the record lies.
    router = Router(service, tag="approvals", module=service)
    read, decide = f"{service}.approval:read", f"{service}.approval:decide"
    deciding = [NotFound, OwnApproval, AlreadyDecided, NotApprover, SnapshotChanged, Stale]

    @router.get(
        "/approvals",
        permission=read,
        summary="List the approvals that wait for the caller, or that the caller decided or submitted",
    )
    async def list_approvals(unit: ReadUnit, role: Role, limit: Limit = 50, cursor: Cursor = None) -> ApprovalList:
        return await _page(unit, role, limit, cursor)

    @router.get(
        "/approvals/{id}",
        permission=read,
        summary="Read an approval: what was submitted, and who decides",
        errors=[NotFound],
        response=ApprovalView,
    )
    async def read_approval(id: Id, unit: ReadUnit) -> Json:
        return _answer(await actions.read_approval(unit.session, unit.directory, id, unit.caller.user_id))

    @router.post(
        "/approvals/{id}/approve",
        permission=decide,
        summary="Approve what was submitted",
        errors=[*deciding, *(refusal for subject in subjects for refusal in subject.refusals)],
        response=ApprovalView,
    )
    async def approve_approval(id: Id, body: DecisionBody, unit: WriteUnit) -> Json:
        return _answer(await actions.decide(unit, subjects, id, "approve", _said(body.comment)))

    @router.post(
        "/approvals/{id}/reject",
        permission=decide,
        summary="Reject what was submitted, and say why",
        errors=[*deciding, CommentNeeded],
        response=ApprovalView,
    )
    async def reject_approval(id: Id, body: DecisionBody, unit: WriteUnit) -> Json:
        return _answer(await actions.decide(unit, subjects, id, "reject", _said(body.comment)))

    @router.post(
        "/approvals/{id}/withdraw",
        permission=read,
        summary="Take back what one has submitted, before it is decided; or what somebody who has left has",
        errors=[NotFound, NotSubmitter, AlreadyDecided, Stale],
        response=ApprovalView,
    )
    async def withdraw_approval(id: Id, unit: WriteUnit) -> Json:
        return _answer(await actions.withdraw(unit, subjects, id))

    return router


async def _page(unit: ReadUnit, role: Role, limit: int, cursor: str | None) -> ApprovalList:
    bound = ["approvals", role]
    after = None
    if cursor is not None:
        instant, last = unit.open_cursor(cursor, query=bound)
        after = (dt.datetime.fromisoformat(instant), uuid.UUID(last))
    rows = await store.page(unit.session, role, unit.caller.user_id, after, limit + 1, _left(unit))
    following = None
    if len(rows) > limit:
        last_row = rows[limit - 1]
        following = unit.sign_cursor([last_row["submitted_at"].isoformat(), str(last_row["id"])], query=bound)
    return ApprovalList(items=[_item(row) for row in rows[:limit]], next=following)


def _left(unit: ReadUnit) -> list[uuid.UUID] | None:
    """Everybody who is not active, for a super administrator: what waits for them alone waits for the caller. None for others."""
    directory = unit.directory
    if unit.caller.user_id not in directory.super_admins:
        return None
    return [user.id for user in directory.users.values() if not user.active]


def _item(row: asyncpg.Record) -> ApprovalItem:
    return ApprovalItem(**dict(row))


def _answer(found: Approval) -> Json:
    return Json(ApprovalView.model_validate(found), etag=found.version)


def _said(comment: str | None) -> str | None:
    """What was said, without spaces around it; None when that is nothing."""
    return (comment or "").strip() or None


def _check(service: str, subjects: Sequence[Subject]) -> None:
    types = [subject.type for subject in subjects]
    if foreign := [name for name in types if name.partition(".")[0] != service]:
        raise TypeError(f"{', '.join(foreign)}: not of {service}")
    if len(set(types)) != len(types):
        raise ValueError(f"{service}: a subject is registered twice")

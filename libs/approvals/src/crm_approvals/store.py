"""Queries over approvals and their steps."""

import datetime as dt
import uuid
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_approvals.approval import Approval
from crm_approvals.rules import ApprovalStep
from crm_approvals.tables import approval, approval_step
from crm_database import Query, ReadSession, WriteSession, insert_rows, query

#: What a list shows: what waits for the caller, what the caller decided, what the caller submitted.
Role = Literal["to_decide", "decided", "submitted"]

_ID = sa.bindparam("id", type_=sa.Uuid)
_USER = sa.bindparam("user_id", type_=sa.Uuid)
_AT = sa.bindparam("at", type_=sa.TIMESTAMP(timezone=True))
_IDS = sa.bindparam("ids", type_=ARRAY(sa.Uuid()))

_ONE = query(sa.select(approval).where(approval.c.id == _ID))
# NO KEY: the steps' foreign keys need not wait; nobody changes the id.
_ONE_LOCKED = query(sa.select(approval).where(approval.c.id == _ID).with_for_update(key_share=True))
_STEPS = query(
    sa.select(approval_step)
    .where(approval_step.c.approval_id == _ID)
    .order_by(approval_step.c.step, approval_step.c.part)
)
_PENDING = query(
    sa.select(approval.c.id, approval.c.subject_id).where(
        approval.c.subject_type == sa.bindparam("subject_type", type_=sa.Text),
        approval.c.subject_id == sa.func.any(_IDS),
        approval.c.status == sa.literal_column("'pending'"),
    )
)
_DECIDE = query(
    sa.update(approval_step)
    .where(
        approval_step.c.approval_id == _ID,
        approval_step.c.step == sa.bindparam("at_step", type_=sa.Integer),
        approval_step.c.part == sa.bindparam("at_part", type_=sa.Integer),
        approval_step.c.decided_by.is_(None),
    )
    .values(
        decided_by=_USER,
        decided_at=_AT,
        decision=sa.bindparam("said", type_=sa.Text),
        comment=sa.bindparam("why", type_=sa.Text),
        decided_on_digest=sa.bindparam("digest", type_=sa.Text),
    )
)
#: What a list shows of each: everything but what was submitted.
LISTED = tuple(column for column in approval.c if column.name != "snapshot")


async def read(session: ReadSession, approval_id: uuid.UUID) -> Approval | None:
    """One approval with its steps."""
    row = await session.first(_ONE, id=approval_id)
    return None if row is None else await _whole(session, row)


async def lock(session: WriteSession, approval_id: uuid.UUID) -> Approval | None:
    """One approval, locked until the transaction ends; its steps are read after the lock."""
    rows = await session.locked(approval, _ONE_LOCKED, id=approval_id)
    return await _whole(session, rows[0]) if rows else None


async def pending_of(
    session: ReadSession, subject_type: str, subject_ids: Sequence[uuid.UUID]
) -> dict[uuid.UUID, uuid.UUID]:
    """The approvals that records wait for: record id → approval id."""
    rows = await session.fetch(_PENDING, subject_type=subject_type, ids=list(subject_ids))
    return {_plain(row["subject_id"]): _plain(row["id"]) for row in rows}


async def add_steps(session: WriteSession, made: Sequence[Approval]) -> None:
    """Write the steps of new approvals."""
    rows = [
        {"approval_id": one.id, "step": step.step, "part": step.part, "approvers": list(step.approvers)}
        for one in made
        for step in one.steps
    ]
    await insert_rows(session, approval_step, rows)


async def decide_step(session: WriteSession, approval_id: uuid.UUID, decided: ApprovalStep) -> bool:
    """Write the decision of a part of a step; False when it was decided already."""
    changed = await session.execute(
        _DECIDE,
        id=approval_id,
        at_step=decided.step,
        at_part=decided.part,
        user_id=decided.decided_by,
        at=decided.decided_at,
        said=decided.decision,
        why=decided.comment,
        digest=decided.decided_on_digest,
    )
    return changed == 1


async def page(
    session: ReadSession,
    role: Role,
    user_id: uuid.UUID,
    after: tuple[dt.datetime, uuid.UUID] | None,
    limit: int,
    left: Sequence[uuid.UUID] | None = None,
) -> list[asyncpg.Record]:
    """What somebody has to decide (the longest waiting first), has decided or submitted (newest first), behind a position.

    left: for a super administrator, everybody who is not active: what waits for nobody else is to be decided, too (`rules.deciders`).
    `submitted_at` and `id` stand in each row: they are the position.
    """
    parameters = {} if after is None else {"at": after[0], "id": after[1]}
    inherits = role == "to_decide" and left is not None
    person: dict[str, Any] = {"users": [user_id]} if role == "to_decide" else {"user_id": user_id}
    if inherits:
        person |= {"user_id": user_id, "left": left}
    return await session.fetch(_listed(role, after is not None, limit, inherits), **person, **parameters)


@lru_cache(maxsize=200)
def _listed(role: Role, behind: bool, limit: int, inherits: bool = False) -> Query:
    position = sa.tuple_(approval.c.submitted_at, approval.c.id)
    select = sa.select(*LISTED).where(_of(role, inherits))
    if role == "to_decide":
        order = (approval.c.submitted_at, approval.c.id)
        further = position > sa.tuple_(_AT, _ID)
    else:
        order = (approval.c.submitted_at.desc(), approval.c.id.desc())  # type: ignore[assignment]
        further = position < sa.tuple_(_AT, _ID)
    if behind:
        select = select.where(further)
    # A literal: the server plans badly for a limit that it doesn't know (docs/decisions/0007).
    return query(select.order_by(*order).limit(sa.literal_column(str(limit))))


def _of(role: Role, inherits: bool) -> sa.ColumnElement[bool]:
    step = approval_step.c
    if role == "submitted":
        return approval.c.submitted_by == _USER
    if role == "decided":
        return sa.exists().where(step.approval_id == approval.c.id, step.decided_by == _USER)
    mine: sa.ColumnElement[bool] = step.approvers.contains(sa.bindparam("users", type_=ARRAY(sa.Uuid())))
    if inherits:
        mine = sa.or_(mine, step.approvers.contained_by(sa.bindparam("left", type_=ARRAY(sa.Uuid()))))
    waiting = sa.exists().where(
        step.approval_id == approval.c.id, step.step == approval.c.current_step, step.decided_by.is_(None), mine
    )
    pending = sa.and_(approval.c.status == sa.literal_column("'pending'"), waiting)
    # Nobody inherits what they submitted themselves.
    return sa.and_(pending, approval.c.submitted_by != _USER) if inherits else pending


async def _whole(session: ReadSession, row: asyncpg.Record) -> Approval:
    steps = await session.fetch(_STEPS, id=row["id"])
    values = {**row, "id": _plain(row["id"]), "subject_id": _plain(row["subject_id"])}
    return Approval(**values | {"submitted_by": _plain(row["submitted_by"]), "steps": tuple(map(_step, steps))})


def _step(row: asyncpg.Record) -> ApprovalStep:
    decided_by = row["decided_by"]
    return ApprovalStep(
        step=row["step"],
        part=row["part"],
        approvers=tuple(_plain(one) for one in row["approvers"]),
        decided_by=None if decided_by is None else _plain(decided_by),
        decided_at=row["decided_at"],
        decision=row["decision"],
        comment=row["comment"],
        decided_on_digest=row["decided_on_digest"],
    )


def _plain(value: uuid.UUID) -> uuid.UUID:
    """The driver's UUID as the standard library's."""
    return uuid.UUID(int=value.int)

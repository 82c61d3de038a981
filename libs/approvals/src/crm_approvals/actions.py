"""What happens to approvals: submitted, decided, withdrawn; each under the approval's row lock, in one transaction with what follows.

Locks are always taken in this order: first the approval's row, then the record's (then what the subject's reaction locks besides).
Only `submit` comes with the record's lock held: there the approval is new, and nobody else waits for it.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from crm_approvals import store
from crm_approvals.approval import Approval
from crm_approvals.rules import (
    AlreadyDecided,
    ApprovalPending,
    ApprovalStep,
    Decision,
    NotPending,
    NotSubmitter,
    SnapshotChanged,
    approvers_of,
    check_decide,
    check_not_owner,
    check_seen,
    check_unchanged,
    check_withdraw,
    may_withdraw,
    status_after,
    superiors_of,
)
from crm_approvals.snapshots import digest_of, frozen
from crm_approvals.subject import Subject
from crm_approvals.tables import approval as approval_table
from crm_authz import Directory
from crm_contracts import Access, Event, Member
from crm_contracts.approvals import ApprovalState
from crm_database import ReadSession
from crm_events.record import Step, record
from crm_kernel import NotFound, new_id
from crm_records import Record, SystemUnit, Writing, lock_one

#: What `record()` writes itself, and what stands in rows of its own.
_NOT_GIVEN = ("id", "version", "steps")


async def submit(
    unit: Writing,
    subject: Subject,
    given: Record,
    comment: str | None = None,
    *,
    submitted_by: uuid.UUID | None = None,
) -> Approval:
    """Freeze a record, and ask for its approval. The record is locked by the caller, or new.

    submitted_by: who asks; the actor of the transaction unless said.
    Raises NoApprover, ApprovalPending; TypeError when the snapshot is no plain JSON.
    """
    return (await submit_all(unit, subject, [given], comment, submitted_by=submitted_by))[0]


async def submit_all(
    unit: Writing,
    subject: Subject,
    given: Sequence[Record],
    comment: str | None = None,
    *,
    submitted_by: uuid.UUID | None = None,
) -> list[Approval]:
    """The same for many records, each with an approval of its own, in as many statements as for one (PL-9).

    Answers in the order given. Raises as `submit` does; then none is submitted.
    """
    if not given:
        return []
    asker = submitted_by or acting(unit)
    if await store.pending_of(unit.session, subject.type, [one.id for one in given]):
        raise ApprovalPending
    approvers = {
        owner: _approvers(unit.directory, subject, asker, owner)
        for owner in dict.fromkeys(one.owner_id for one in given)
    }
    snapshots = await _frozen(unit, subject, given)
    made = [_made(unit, subject, one, comment, asker, approvers[one.owner_id], snapshots[one.id]) for one in given]
    event = subject.events.submitted
    await record(unit.session, [_event(unit, event, one, values=_columns(one), new=True) for one in made])
    await store.add_steps(unit.session, made)
    return made


async def _frozen(unit: Writing, subject: Subject, given: Sequence[Record]) -> dict[uuid.UUID, dict[str, Any]]:
    """The snapshots of locked records. TypeError when one is no plain JSON, or lacks something that counts."""
    found = {key: frozen(content) for key, content in (await subject.snapshot(unit, given)).items()}
    for one in given:
        if lacking := [name for name in subject.counting if name not in found[one.id]]:
            raise TypeError(f"{subject.type}: {', '.join(lacking)} counts, but is not in the snapshot")
    return found


def _made(
    unit: Writing,
    subject: Subject,
    given: Record,
    comment: str | None,
    asker: uuid.UUID,
    approvers: tuple[uuid.UUID, ...],
    snapshot: dict[str, Any],
) -> Approval:
    return Approval(
        id=new_id(),
        version=1,
        subject_type=subject.type,
        subject_id=given.id,
        subject_version=given.version,
        title=subject.title(given),
        snapshot=snapshot,
        snapshot_digest=digest_of(snapshot),
        submitted_by=asker,
        submitted_at=unit.now,
        comment=comment,
        status="pending",
        current_step=1,
        ended_at=None,
        steps=(ApprovalStep(step=1, part=1, approvers=approvers),),
    )


def _columns(made: Approval) -> dict[str, Any]:
    return {field.name: getattr(made, field.name) for field in fields(made) if field.name not in _NOT_GIVEN}


async def decide(
    unit: Writing,
    subjects: Iterable[Subject],
    approval_id: uuid.UUID,
    decision: Decision,
    comment: str | None = None,
) -> Approval:
    """An approver approves or rejects what was frozen, and the subject's reaction follows.

    subjects: all that the service has; the approval says which one it is about.
    Raises NotFound, OwnApproval, AlreadyDecided, NotApprover, CommentNeeded, Stale, SnapshotChanged, and what the reaction raises.
    A rejection does not ask whether the record has changed: it only says no to what was submitted.
    """
    user = acting(unit)
    found = await _locked(unit, approval_id)
    part = check_decide(
        submitter=found.submitted_by,
        status=found.status,
        current_step=found.current_step,
        steps=found.steps,
        user=user,
        active=unit.directory.is_active,
        administrators=unit.directory.super_admins,
        decision=decision,
        comment=comment,
    )
    unit.require_match(found.version)
    digest = digest_of(found.snapshot)
    if digest != found.snapshot_digest:
        raise SnapshotChanged
    subject = _subject_of(subjects, found)
    given = await _lock_record(unit, subject, found)
    check_not_owner(given.owner_id, user)
    if decision == "approve":
        present = (await _frozen(unit, subject, [given]))[given.id]
        check_unchanged(found.snapshot, present, subject.counting)
    decided = replace(
        part, decided_by=user, decided_at=unit.now, decision=decision, comment=comment, decided_on_digest=digest
    )
    if not await store.decide_step(unit.session, found.id, decided):
        raise AlreadyDecided
    steps = tuple(decided if one is part else one for one in found.steps)
    after = replace(found, version=found.version + 1, status=status_after(decision), ended_at=unit.now, steps=steps)
    approves = after.status == "approved"
    await _write_end(unit, subject.events.approved if approves else subject.events.rejected, found, after)
    await (subject.approved if approves else subject.rejected)(unit, after, given)
    return after


async def withdraw(unit: Writing, subjects: Iterable[Subject], approval_id: uuid.UUID) -> Approval:
    """Who submitted takes it back (or an administrator, when they have left), and the subject's reaction follows.

    Raises NotFound, NotSubmitter, AlreadyDecided, Stale, and what the reaction raises.
    """
    found = await _locked(unit, approval_id)
    _check_withdraw(unit, found)
    unit.require_match(found.version)
    return await _end_withdrawn(unit, _subject_of(subjects, found), found)


async def withdraw_subject(unit: Writing, subject: Subject, subject_id: uuid.UUID) -> Approval:
    """The same for the approval that a record waits for, without knowing its id. The caller was checked to see the record.

    The record must not be locked yet: that comes after the approval. If-Match is about the record, and not looked at here.
    Raises NotPending, NotSubmitter, AlreadyDecided, and what the reaction raises.
    """
    pending = await store.pending_of(unit.session, subject.type, [subject_id])
    if subject_id not in pending:
        raise NotPending
    found = await _locked(unit, pending[subject_id])
    directory = unit.directory
    # Who sees the record may know that it waits: a stranger to the approval is told so, and not that there is none.
    if not may_withdraw(found.submitted_by, acting(unit), directory.is_active, directory.super_admins):
        raise NotSubmitter
    _check_withdraw(unit, found)
    return await _end_withdrawn(unit, subject, found)


async def read_approval(
    session: ReadSession, directory: Directory, approval_id: uuid.UUID, user_id: uuid.UUID
) -> Approval:
    """One approval with its steps, for somebody who has a part in it. Raises NotFound for everybody else."""
    found = await store.read(session, approval_id)
    if found is None:
        raise NotFound
    check_seen(found.submitted_by, found.steps, user_id, directory.is_active, directory.super_admins)
    return found


async def require_none_pending(session: ReadSession, subject: Subject, ids: Sequence[uuid.UUID]) -> None:
    """Raise ApprovalPending when one of these records (locked) waits for a decision: until then it is not changed."""
    if await store.pending_of(session, subject.type, ids):
        raise ApprovalPending


def acting(unit: Writing) -> uuid.UUID:
    """Who acts in the transaction. RuntimeError when that is nobody: the product itself neither submits nor decides."""
    actor = unit.session.context.actor_id
    if actor is None:
        raise RuntimeError("approvals are submitted, decided and withdrawn by users")
    return uuid.UUID(int=actor.int)


async def _locked(unit: Writing, approval_id: uuid.UUID) -> Approval:
    found = await store.lock(unit.session, approval_id)
    if found is None:
        raise NotFound
    return found


async def _lock_record(unit: Writing, subject: Subject, found: Approval) -> Record:
    """The record, locked after the approval. Raises NotFound when it was deleted meanwhile."""
    system = SystemUnit(
        unit.session, unit.directory, unit.calendar, "BI-14: who has a part in an approval need not reach the record"
    )
    return await lock_one(system, subject.record, found.subject_id, "write")


def _check_withdraw(unit: Writing, found: Approval) -> None:
    check_withdraw(
        submitter=found.submitted_by,
        status=found.status,
        steps=found.steps,
        user=acting(unit),
        active=unit.directory.is_active,
        administrators=unit.directory.super_admins,
    )


async def _end_withdrawn(unit: Writing, subject: Subject, found: Approval) -> Approval:
    given = await _lock_record(unit, subject, found)
    after = replace(found, version=found.version + 1, status="withdrawn", ended_at=unit.now)
    await _write_end(unit, subject.events.withdrawn, found, after)
    await subject.withdrawn(unit, after, given)
    return after


async def _write_end(unit: Writing, event: type[Event[ApprovalState]], before: Approval, after: Approval) -> None:
    values = {"status": after.status, "ended_at": after.ended_at}
    await record(unit.session, [_event(unit, event, after, values=values, was=before.status)])


def _event(
    unit: Writing,
    event: type[Event[ApprovalState]],
    after: Approval,
    *,
    values: Mapping[str, Any],
    new: bool = False,
    was: str | None = None,
) -> Step:
    # An administrator who decided for somebody who has left stands in no list of approvers.
    deciding = {user for step in after.steps for user in (*step.approvers, step.decided_by) if user is not None}
    return Step(
        table=approval_table,
        id=after.id,
        event=event,
        state=after.state(),
        values=values,
        changes={} if was is None else {"status": (was, after.status)},
        new=new,
        access=Access(
            owner_id=after.submitted_by, members=[Member(user_id=user, right="read") for user in sorted(deciding)]
        ),
        credit=unit.directory.credit_of(after.submitted_by),
    )


def _approvers(
    directory: Directory, subject: Subject, submitter: uuid.UUID, owner: uuid.UUID | None
) -> tuple[uuid.UUID, ...]:
    """Who decides on what `submitter` submits of `owner`'s, by the organisation as it is now. Raises NoApprover."""

    def superior_of(user_id: uuid.UUID) -> uuid.UUID | None:
        user = directory.users.get(user_id)
        return None if user is None else user.superior_id

    def may_decide(user_id: uuid.UUID) -> bool:
        # Who is not active has no rights there.
        return directory.grants_of(user_id, (subject.events.service,)).allows(subject.permission)

    own = {submitter} if owner is None else {submitter, owner}
    return approvers_of(own, superiors_of(submitter, superior_of), may_decide, directory.super_admins)


def _subject_of(subjects: Iterable[Subject], found: Approval) -> Subject:
    """What the approval is about. RuntimeError when the service has no such subject (a programming error)."""
    for subject in subjects:
        if subject.type == found.subject_type:
            return subject
    raise RuntimeError(f"nobody registered {found.subject_type} as a subject of approvals")

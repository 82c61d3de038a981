"""Who approves, and who may do what when (BI-2, BI-14, BI-15). Pure: people and time come in as arguments.

One step in this form. What a step with several parts, or a further step, would change is `is_current` and `status_after`.
Two arguments come back throughout: active says whether a user is active now, administrators are the super administrators active now.
"""

import datetime as dt
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from crm_kernel import Conflict, FieldError, Forbidden, Invalid, NotFound

Status = Literal["pending", "approved", "rejected", "withdrawn"]
Decision = Literal["approve", "reject"]
#: Says something of a user: that they are active, that they may decide.
Of = Callable[[uuid.UUID], bool]

#: How many superiors above somebody are asked: no organisation is deeper, but a broken event may say so.
MAX_SUPERIORS: Final = 32


class NoApprover(Conflict):
    """409: nobody could decide: no superior who may, and no active super administrator but the submitter and the record's owner."""

    code = "approval.no_approver"
    title = "There is nobody who could approve this"


class ApprovalPending(Conflict):
    """409: it waits for a decision; until then it is neither submitted again nor changed."""

    code = "approval.pending"
    title = "It is waiting for approval"


class NotPending(Conflict):
    """409: the record does not wait for a decision."""

    code = "approval.not_pending"
    title = "It is not waiting for approval"


class AlreadyDecided(Conflict):
    """409: it is approved, rejected or withdrawn already; `status` says which."""

    code = "approval.decided"
    title = "This was decided or withdrawn already"


class SnapshotChanged(Conflict):
    """409: what is there is not what was submitted: the record has changed (`differing` says in what), or the snapshot's digest differs."""

    code = "approval.snapshot_changed"
    title = "What is there is not what was submitted"


class OwnApproval(Forbidden):
    """403: nobody decides on what they submitted, nor on a record that is theirs."""

    code = "approval.own"
    title = "You can't decide on what you submitted or what is yours"


class NotApprover(Forbidden):
    """403: another step's approvers decide now."""

    code = "approval.not_approver"
    title = "It is not for you to decide now"


class NotSubmitter(Forbidden):
    """403: only who submitted it withdraws it; for somebody who has left, an active super administrator."""

    code = "approval.not_submitter"
    title = "Only who submitted it can withdraw it"


class CommentNeeded(Invalid):
    """422: a rejection says why."""

    code = "approval.comment_needed"
    title = "A rejection needs a comment"

    def __init__(self) -> None:
        super().__init__(errors=[FieldError("/comment", "field.required", self.title)])


@dataclass(frozen=True)
class ApprovalStep:
    """One part of a step: any of its approvers decides it.

    step, part: from 1 on. decided_on_digest: the digest of the snapshot that was decided on; hex.
    """

    step: int
    part: int
    approvers: tuple[uuid.UUID, ...]
    decided_by: uuid.UUID | None = None
    decided_at: dt.datetime | None = None
    decision: Decision | None = None
    comment: str | None = None
    decided_on_digest: str | None = None


def superiors_of(user: uuid.UUID, superior_of: Callable[[uuid.UUID], uuid.UUID | None]) -> Iterator[uuid.UUID]:
    """The superior, the superior's superior, and so on; nobody twice, and no more than MAX_SUPERIORS."""
    seen = {user}
    above = superior_of(user)
    while above is not None and above not in seen and len(seen) <= MAX_SUPERIORS:
        yield above
        seen.add(above)
        above = superior_of(above)


def approvers_of(
    own: Collection[uuid.UUID], superiors: Iterable[uuid.UUID], may_decide: Of, administrators: Collection[uuid.UUID]
) -> tuple[uuid.UUID, ...]:
    """Who decides: the nearest superior who may, or else the administrators; never whose own it is.

    own: who submits, and the record's owner. superiors: of who submits, the nearest first. may_decide: active, with the permission.
    Raises NoApprover.
    """
    for superior in superiors:
        if superior not in own and may_decide(superior):
            return (superior,)
    others = tuple(sorted(user for user in administrators if user not in own))
    if not others:
        raise NoApprover
    return others


def deciders(
    step: ApprovalStep, submitter: uuid.UUID, active: Of, administrators: Collection[uuid.UUID]
) -> frozenset[uuid.UUID]:
    """Who may act on a part of a step at this moment: its approvers who are active, else the administrators without the submitter.

    So nothing waits for somebody who has left, and who comes back acts again.
    """
    there = frozenset(user for user in step.approvers if active(user))
    return there or frozenset(administrators) - {submitter}


def is_party(
    submitter: uuid.UUID,
    steps: Sequence[ApprovalStep],
    user: uuid.UUID,
    active: Of,
    administrators: Collection[uuid.UUID],
) -> bool:
    """Whether the approval exists for a user: who submitted it, the approvers of any step, decided ones too, and whoever acts for one
    of them who has left."""
    if may_withdraw(submitter, user, active, administrators):
        return True
    return any(
        user in step.approvers or user == step.decided_by or user in deciders(step, submitter, active, administrators)
        for step in steps
    )


def may_withdraw(submitter: uuid.UUID, user: uuid.UUID, active: Of, administrators: Collection[uuid.UUID]) -> bool:
    """Whether a user acts for who submitted: the submitter, or, when they have left, the administrators."""
    return user == submitter or (user in administrators and not active(submitter))


def is_current(step: ApprovalStep, current_step: int) -> bool:
    """Whether a part of a step is the one to be decided now."""
    return step.step == current_step and step.decided_by is None


def check_seen(
    submitter: uuid.UUID,
    steps: Sequence[ApprovalStep],
    user: uuid.UUID,
    active: Of,
    administrators: Collection[uuid.UUID],
) -> None:
    """Raise NotFound for everybody who has no part in the approval."""
    if not is_party(submitter, steps, user, active, administrators):
        raise NotFound


def check_decide(
    *,
    submitter: uuid.UUID,
    status: Status,
    current_step: int,
    steps: Sequence[ApprovalStep],
    user: uuid.UUID,
    active: Of,
    administrators: Collection[uuid.UUID],
    decision: Decision,
    comment: str | None,
) -> ApprovalStep:
    """Whether the user may decide so now; answers the part of the step that the decision is on.

    Raises NotFound, OwnApproval, AlreadyDecided, NotApprover, CommentNeeded; the first that applies, in this order.
    """
    check_seen(submitter, steps, user, active, administrators)
    if user == submitter:
        raise OwnApproval
    if status != "pending":
        raise AlreadyDecided(extra={"status": status})
    for step in steps:
        if is_current(step, current_step) and user in deciders(step, submitter, active, administrators):
            break
    else:
        raise NotApprover
    if decision == "reject" and not (comment and comment.strip()):
        raise CommentNeeded
    return step


def check_not_owner(owner: uuid.UUID | None, user: uuid.UUID) -> None:
    """Whether the record is somebody else's at the moment of the decision. Raises OwnApproval."""
    if owner == user:
        raise OwnApproval("The record is yours")


def check_unchanged(submitted: Mapping[str, Any], present: Mapping[str, Any], counting: Collection[str]) -> None:
    """Whether the record still is what was submitted, in what counts. Both are snapshots. Raises SnapshotChanged."""
    differing = [name for name in counting if submitted.get(name) != present.get(name)]
    if differing:
        raise SnapshotChanged(f"Different by now: {', '.join(differing)}", extra={"differing": differing})


def check_withdraw(
    *,
    submitter: uuid.UUID,
    status: Status,
    steps: Sequence[ApprovalStep],
    user: uuid.UUID,
    active: Of,
    administrators: Collection[uuid.UUID],
) -> None:
    """Whether the user may take it back now. Raises NotFound, NotSubmitter, AlreadyDecided; in this order."""
    check_seen(submitter, steps, user, active, administrators)
    if not may_withdraw(submitter, user, active, administrators):
        raise NotSubmitter
    if status != "pending":
        raise AlreadyDecided(extra={"status": status})


def status_after(decision: Decision) -> Status:
    """What the approval is after the decision of its one step."""
    return "approved" if decision == "approve" else "rejected"

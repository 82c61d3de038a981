"""An approval as actions and subjects work with it."""

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Any

from crm_approvals.rules import ApprovalStep, Status
from crm_contracts.approvals import ApprovalState


@dataclass(frozen=True)
class Approval:
    """One thing that was submitted: frozen, with its steps.

    subject_version: the record's version when it was submitted. title: for people, as it was then. snapshot: plain JSON.
    snapshot_digest: of the snapshot, SHA-256, hex. ended_at: when it was decided or withdrawn.
    """

    id: uuid.UUID
    version: int
    subject_type: str
    subject_id: uuid.UUID
    subject_version: int
    title: str
    snapshot: dict[str, Any]
    snapshot_digest: str
    submitted_by: uuid.UUID
    submitted_at: dt.datetime
    comment: str | None
    status: Status
    current_step: int
    ended_at: dt.datetime | None
    steps: tuple[ApprovalStep, ...]

    @property
    def last_decision(self) -> ApprovalStep | None:
        """The step decided last; None when nobody has decided."""
        decided = [step for step in self.steps if step.decided_at is not None]
        return max(decided, key=lambda step: (step.decided_at, step.step, step.part)) if decided else None

    def state(self) -> ApprovalState:
        """As events tell it: without what was submitted."""
        return ApprovalState.model_validate(self, from_attributes=True)

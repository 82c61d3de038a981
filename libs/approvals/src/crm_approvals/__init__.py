"""Approvals: decisions over frozen snapshots of records, for every service alike. What is listed here is public."""

from crm_approvals.actions import (
    decide,
    read_approval,
    require_none_pending,
    submit,
    submit_all,
    withdraw,
    withdraw_subject,
)
from crm_approvals.approval import Approval
from crm_approvals.permissions import approval_permissions
from crm_approvals.routes import MAX_COMMENT, approval_router
from crm_approvals.rules import (
    AlreadyDecided,
    ApprovalPending,
    ApprovalStep,
    CommentNeeded,
    NoApprover,
    NotApprover,
    NotPending,
    NotSubmitter,
    OwnApproval,
    SnapshotChanged,
)
from crm_approvals.schema import APPROVALS_1
from crm_approvals.snapshots import digest_of
from crm_approvals.store import pending_of
from crm_approvals.subject import Subject

__all__ = [
    "APPROVALS_1",
    "MAX_COMMENT",
    "AlreadyDecided",
    "Approval",
    "ApprovalPending",
    "ApprovalStep",
    "CommentNeeded",
    "NoApprover",
    "NotApprover",
    "NotPending",
    "NotSubmitter",
    "OwnApproval",
    "SnapshotChanged",
    "Subject",
    "approval_permissions",
    "approval_router",
    "decide",
    "digest_of",
    "pending_of",
    "read_approval",
    "require_none_pending",
    "submit",
    "submit_all",
    "withdraw",
    "withdraw_subject",
]

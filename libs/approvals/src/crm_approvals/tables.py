"""The tables of approvals. Made for flows of many steps (BI-10 to BI-16); what a flow is will have tables of its own.

A step that several must agree to has a part per approver; one that any may decide has one part with all of them. Steps follow
one another by `step`; `approval.current_step` is the one to be decided.
"""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from crm_database import instant, service_metadata

#: A service's migration makes these tables by APPROVALS_1; they are in no service's own metadata.
metadata = service_metadata()

approval = sa.Table(
    "approval",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("subject_type", sa.Text, nullable=False),
    sa.Column("subject_id", sa.Uuid, nullable=False),
    sa.Column("subject_version", sa.Integer, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("snapshot", JSONB, nullable=False),
    sa.Column("snapshot_digest", sa.Text, nullable=False),
    sa.Column("submitted_by", sa.Uuid, nullable=False),
    instant("submitted_at", nullable=False),
    sa.Column("comment", sa.Text),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("current_step", sa.Integer, nullable=False),
    instant("ended_at"),
    sa.CheckConstraint("status IN ('pending', 'approved', 'rejected', 'withdrawn')", name="status"),
    sa.CheckConstraint("(ended_at IS NULL) = (status = 'pending')", name="ended"),
    sa.Index("ix_approval_submitted_by", "submitted_by", "submitted_at", "id"),
    sa.Index("ix_approval_subject", "subject_type", "subject_id", "submitted_at"),
    # Of what waits for a decision there is one approval.
    sa.Index(
        "uq_approval_pending",
        "subject_type",
        "subject_id",
        unique=True,
        postgresql_where=sa.text("status = 'pending'"),
    ),
)

approval_step = sa.Table(
    "approval_step",
    metadata,
    sa.Column("approval_id", sa.Uuid, sa.ForeignKey("approval.id"), primary_key=True),
    sa.Column("step", sa.Integer, primary_key=True),
    sa.Column("part", sa.Integer, primary_key=True),
    sa.Column("approvers", ARRAY(sa.Uuid), nullable=False),
    sa.Column("decided_by", sa.Uuid),
    instant("decided_at"),
    sa.Column("decision", sa.Text),
    sa.Column("comment", sa.Text),
    sa.Column("decided_on_digest", sa.Text),
    sa.CheckConstraint("decision IN ('approve', 'reject')", name="decision"),
    sa.CheckConstraint("num_nulls(decided_by, decided_at, decision, decided_on_digest) IN (0, 4)", name="decided"),
    sa.Index("ix_approval_step_decided_by", "decided_by", postgresql_where=sa.text("decided_by IS NOT NULL")),
    sa.Index(
        "ix_approval_step_waiting", "approvers", postgresql_using="gin", postgresql_where=sa.text("decided_by IS NULL")
    ),
)

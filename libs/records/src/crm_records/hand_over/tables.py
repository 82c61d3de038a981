"""The tables of a service's part in hand-overs: what identity asked for, and how far it is, by record type."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from crm_database import instant, service_metadata

#: A service's migration makes these tables by HAND_OVERS_1; they are in no service's own metadata.
metadata = service_metadata()

#: id: the hand-over's, as identity gave it. successor_epoch, user_epoch: what the directory must have heard of before it begins.
hand_over = sa.Table(
    "hand_over",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("user_id", sa.Uuid, nullable=False),
    sa.Column("user_epoch", sa.Integer, nullable=False),
    sa.Column("successor_id", sa.Uuid, nullable=False),
    sa.Column("successor_epoch", sa.Integer, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("asked_by", sa.Uuid, nullable=False),
    instant("asked_at", nullable=False),
    instant("told_at", nullable=False),
    instant("ended_at"),
    # The job that is at it, or was: another than this one has been superseded.
    sa.Column("job_id", sa.Uuid),
    sa.Column("problem", JSONB(none_as_null=True)),
    sa.CheckConstraint("status IN ('running', 'done', 'failed', 'cancelled')", name="status"),
    sa.CheckConstraint("(ended_at IS NULL) = (status = 'running')", name="ended"),
    sa.CheckConstraint("(problem IS NOT NULL) = (status = 'failed')", name="problem"),
)

hand_over_count = sa.Table(
    "hand_over_count",
    metadata,
    sa.Column("hand_over_id", sa.Uuid, sa.ForeignKey("hand_over.id"), primary_key=True),
    sa.Column("record_type", sa.Text, primary_key=True),
    sa.Column("moved", sa.BigInteger, nullable=False),
    sa.Column("remaining", sa.BigInteger, nullable=False),
)

"""The table of operator acts: the aggregate whose events tell of them. Rows are only ever added."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_database import instant, platform

operation = sa.Table(
    "operation",
    platform,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    # The consumer groups concerned, and the dead letter's event.
    sa.Column("groups", ARRAY(sa.Text), nullable=False),
    sa.Column("event_id", sa.Uuid),
    sa.Column("reason", sa.Text),
    sa.Column("asked_by", sa.Uuid, nullable=False),
    instant("asked_at", nullable=False),
    sa.CheckConstraint("kind IN ('dead_letter.retry', 'dead_letter.discard', 'resync')", name="kind"),
    sa.Index("ix_operation_event_id", "event_id", postgresql_where=sa.text("event_id IS NOT NULL")),
)

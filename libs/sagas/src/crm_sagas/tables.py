"""The tables of sagas: the saga, and what each other service is asked to do for it."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from crm_database import instant, service_metadata

#: A service's migration makes these tables by SAGAS_1; they are in no service's own metadata.
metadata = service_metadata()

saga = sa.Table(
    "saga",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("about", sa.Uuid, nullable=False),
    sa.Column("data", JSONB, nullable=False),
    sa.Column("asked_by", sa.Uuid),
    instant("asked_at", nullable=False),
    instant("ended_at"),
    sa.CheckConstraint("state IN ('running', 'succeeded', 'failed', 'cancelled')", name="state"),
    sa.CheckConstraint("(ended_at IS NULL) = (state = 'running')", name="ended"),
    # Of one kind one at a time about one record: two would undo each other.
    sa.Index("uq_saga_open", "kind", "about", unique=True, postgresql_where=sa.text("state IN ('running', 'failed')")),
    sa.Index("ix_saga_about", "about", "asked_at", "id"),
    sa.Index(
        "ix_saga_newest", "kind", sa.text("(state = 'running') DESC"), sa.text("asked_at DESC"), sa.text("id DESC")
    ),
)

saga_step = sa.Table(
    "saga_step",
    metadata,
    sa.Column("saga_id", sa.Uuid, sa.ForeignKey("saga.id"), primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("stage", sa.Integer, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    # The number of the newest ask, and how many of them were made in a row without hearing anything.
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    instant("asked_at"),
    instant("due_at"),
    # The version of the newest news, and what it said.
    sa.Column("heard", sa.Integer, nullable=False),
    sa.Column("outcome", JSONB, nullable=False),
    sa.Column("problem", JSONB(none_as_null=True)),
    sa.CheckConstraint("state IN ('waiting', 'asked', 'done', 'failed', 'cancelled')", name="state"),
    sa.CheckConstraint("(due_at IS NOT NULL) = (state = 'asked')", name="due"),
    sa.CheckConstraint("(problem IS NOT NULL) = (state = 'failed')", name="problem"),
    sa.Index("ix_saga_step_due", "due_at", postgresql_where=sa.text("due_at IS NOT NULL")),
)

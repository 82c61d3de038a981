"""The tables of jobs: the job itself, what it was given (in parts, so that a step reads one), and what became of its rows."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from crm_database import instant, service_metadata

#: A service's migration makes these tables by JOBS_1 and JOBS_2; they are in no service's own metadata.
metadata = service_metadata()

job = sa.Table(
    "job",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    # As whom it runs, through which client and from which address it was asked: what its changes are recorded with.
    sa.Column("asked_by", sa.Uuid, nullable=False),
    sa.Column("client", sa.Text),
    sa.Column("address", sa.Text),
    sa.Column("traceparent", sa.Text),
    sa.Column("parameters", JSONB, nullable=False),
    # Where the next step begins; its kind's own.
    sa.Column("position", JSONB(none_as_null=True)),
    sa.Column("total", sa.BigInteger),
    sa.Column("done", sa.BigInteger, nullable=False),
    sa.Column("failed", sa.BigInteger, nullable=False),
    # Failures in a row since the last step that was committed; transient ones apart.
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("waits", sa.Integer, nullable=False),
    instant("run_after", nullable=False),
    sa.Column("leased_by", sa.Uuid),
    instant("lease_until"),
    sa.Column("problem", JSONB(none_as_null=True)),
    instant("created_at", nullable=False),
    instant("started_at"),
    instant("finished_at"),
    # With whose rights: its asker's, or the product's own.
    sa.Column("authority", sa.Text, nullable=False, server_default="asker"),
    sa.CheckConstraint("state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')", name="state"),
    sa.CheckConstraint("(finished_at IS NULL) = (state IN ('queued', 'running'))", name="finished"),
    sa.CheckConstraint("authority IN ('asker', 'product')", name="authority"),
    sa.CheckConstraint("num_nulls(leased_by, lease_until) IN (0, 2)", name="leased"),
    sa.Index("ix_job_asked_by", "asked_by", "created_at", "id"),
    sa.Index("ix_job_due", "run_after", "id", postgresql_where=sa.text("state IN ('queued', 'running')")),
    sa.Index("ix_job_finished", "finished_at", postgresql_where=sa.text("finished_at IS NOT NULL")),
)

job_input = sa.Table(
    "job_input",
    metadata,
    sa.Column("job_id", sa.Uuid, sa.ForeignKey("job.id"), primary_key=True),
    sa.Column("part", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("content", JSONB, nullable=False),
)

job_row = sa.Table(
    "job_row",
    metadata,
    sa.Column("job_id", sa.Uuid, sa.ForeignKey("job.id"), primary_key=True),
    sa.Column("index", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("done", sa.Text),
    sa.Column("record_id", sa.Uuid),
    sa.Column("record_version", sa.Integer),
    sa.Column("code", sa.Text),
    sa.Column("detail", sa.Text),
    sa.Column("errors", JSONB(none_as_null=True)),
    sa.CheckConstraint("status IN ('ok', 'error')", name="status"),
    sa.Index("ix_job_row_error", "job_id", "index", postgresql_where=sa.text("status = 'error'")),
)

"""The log of all events, and the row that gives its positions."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from crm_analytics.metadata import metadata
from crm_database import instant

#: One row per event of the whole product. Append-only, range-partitioned by month of the UUIDv7 event id.
#: position: the order of the feed, see log_head; changed only when a lost fact is filled in (store.refill).
#: partition, number, stream: as it came from the bus.
event_log = sa.Table(
    "event_log",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("topic", sa.Text, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("subject", sa.Uuid, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    instant("time", nullable=False),
    instant("occurred_at", nullable=False),
    sa.Column("actor_id", sa.Uuid),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("write_id", sa.Uuid),
    sa.Column("partition", sa.Integer, nullable=False),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("stream", sa.Text, nullable=False),
    sa.Column("data", JSONB, nullable=False),
    # Unique within the whole log (log_head gives each once); PostgreSQL can't say so across partitions by another column.
    sa.Index("ix_event_log_position", "position"),
    sa.Index("ix_event_log_subject_position", "subject", "position"),
    sa.Index(
        "ix_event_log_actor_id_position", "actor_id", "position", postgresql_where=sa.text("actor_id IS NOT NULL")
    ),
    sa.Index("ix_event_log_type_position", "type", "position"),
    # Events come roughly in the order of their time, so a few bytes per range of pages find a day in years.
    sa.Index("ix_event_log_time", "time", postgresql_using="brin", postgresql_with={"pages_per_range": 32}),
    postgresql_partition_by="RANGE (id)",
)

#: Exactly one row: the highest position given. Who appends holds its lock until the commit, so positions become visible in their
#: order: a reader that has seen position n never finds a smaller one that it hasn't seen.
log_head = sa.Table(
    "log_head",
    metadata,
    sa.Column("only", sa.Boolean, sa.CheckConstraint('"only"', name="one_row"), primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
)

"""The journal and the outbox: one record of what happened, used for everything (docs/decisions/0001)."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from crm_database import instant, platform

#: Append-only, range-partitioned by month of the UUIDv7 event id. History, source of resends, and what audit reads.
journal = sa.Table(
    "journal",
    platform,
    sa.Column("event_id", sa.Uuid, primary_key=True),
    sa.Column("topic", sa.Text, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("subject", sa.Uuid, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    instant("time", nullable=False),
    instant("occurred_at", nullable=False),
    sa.Column("write_id", sa.Uuid, nullable=False),
    sa.Column("actor_id", sa.Uuid),
    sa.Column("traceparent", sa.Text),
    sa.Column("data", JSONB, nullable=False),
    sa.Index("ix_journal_subject_event_id", "subject", "event_id"),
    postgresql_partition_by="RANGE (event_id)",
)

#: Events that the broker has not acknowledged yet. `position` is drawn while the record's row lock is held, so that per record
#: its order is the order of the facts; UUIDv7 order is not (two processes' clocks differ).
outbox = sa.Table(
    "outbox",
    platform,
    sa.Column("position", sa.BigInteger, sa.Identity(always=True, cache=1), primary_key=True),
    sa.Column("event_id", sa.Uuid, nullable=False, unique=True),
    sa.Column("topic", sa.Text, nullable=False),
    sa.Column("subject", sa.Uuid, nullable=False),
)

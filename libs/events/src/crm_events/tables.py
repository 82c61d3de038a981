"""The tables of relay and consumer (schema.BUS_1 creates them). Only this library reads and writes them."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from crm_database import instant, platform

#: One numbering of a (topic, partition). In its outbox are `next … head`: numbered, and not acknowledged since.
stream = sa.Table(
    "stream",
    platform,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("topic", sa.Text, nullable=False),
    sa.Column("partition", sa.Integer, nullable=False),
    sa.Column("current", sa.Boolean, nullable=False),
    sa.Column("head", sa.BigInteger, nullable=False),
    sa.Column("acknowledged", sa.BigInteger, nullable=False),
    sa.Column("next", sa.BigInteger, nullable=False),
    #: The server's data that the numbers were given on; another one after a restore.
    sa.Column("server", sa.Text, nullable=False),
    instant("started_at", nullable=False),
    sa.Index("uq_stream_topic_partition", "topic", "partition", unique=True, postgresql_where=sa.text("current")),
)

#: Which event has which number; given once, never changed.
publication = sa.Table(
    "publication",
    platform,
    sa.Column("stream_id", sa.Uuid, primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True),
    sa.Column("event_id", sa.Uuid, nullable=False),
    sa.Column("tombstone", sa.Boolean, nullable=False, server_default=sa.false()),
)

#: Where numbers lay in the log when they were acknowledged: `number` at `base_offset + number - first`; the newest row counts.
sent_range = sa.Table(
    "sent_range",
    platform,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("stream_id", sa.Uuid, nullable=False),
    sa.Column("first", sa.BigInteger, nullable=False),
    sa.Column("last", sa.BigInteger, nullable=False),
    sa.Column("base_offset", sa.BigInteger, nullable=False),
    sa.Index("ix_sent_range_stream_id_first", "stream_id", "first"),
)

#: What each consumer group last said it has applied.
group_report = sa.Table(
    "group_report",
    platform,
    sa.Column("group_name", sa.Text, primary_key=True),
    sa.Column("topic", sa.Text, primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True),
    sa.Column("service", sa.Text, nullable=False),
    sa.Column("stream", sa.Text, nullable=False),
    sa.Column("watermark", sa.BigInteger, nullable=False),
    instant("heard_at", nullable=False),
)

#: What a group here has applied. `blocked`: how many dead letters wait; 0 saves looking for parked keys.
watermark = sa.Table(
    "watermark",
    platform,
    sa.Column("group_name", sa.Text, primary_key=True),
    sa.Column("topic", sa.Text, primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True),
    sa.Column("stream", sa.Text, nullable=False),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("blocked", sa.Integer, nullable=False),
    instant("updated_at", nullable=False),
)

#: The events that a group here has dealt with: applied, parked or dead-lettered.
inbox = sa.Table(
    "inbox",
    platform,
    sa.Column("event_id", sa.Uuid, primary_key=True),
    sa.Column("group_name", sa.Text, primary_key=True),
    sa.Column("topic", sa.Text, nullable=False),
    sa.Column("write_id", sa.Uuid),
    sa.Index("ix_inbox_write_id", "write_id"),
    postgresql_partition_by="RANGE (event_id)",
)


def _record_columns() -> list[sa.Column[object]]:
    """A record as it was received."""
    return [
        sa.Column("group_name", sa.Text, primary_key=True),
        sa.Column("event_id", sa.Uuid, primary_key=True),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("partition", sa.Integer, nullable=False),
        sa.Column("stream", sa.Text, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("key", sa.Uuid, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("headers", JSONB, nullable=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
    ]


#: Events that a group could not apply. An operator asks for `retry` or `discard`; the worker carries it out.
dead_letter = sa.Table(
    "dead_letter",
    platform,
    *_record_columns(),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("trace", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    instant("failed_at", nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    instant("settled_at"),
    #: Whether it was told on the dead-letter topic.
    sa.Column("announced", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.CheckConstraint("state IN ('waiting', 'retry', 'discard', 'retried', 'discarded')", name="state"),
    sa.Index(
        "ix_dead_letter_group_name_topic_partition",
        "group_name",
        "topic",
        "partition",
        postgresql_where=sa.text("state IN ('waiting', 'retry', 'discard')"),
    ),
)

#: Events of a key behind its dead letter.
parked = sa.Table(
    "parked",
    platform,
    *_record_columns(),
    sa.Index("ix_parked_group_name_topic_key", "group_name", "topic", "key"),
)

#: When a schedule is due next.
schedule_run = sa.Table(
    "schedule_run",
    platform,
    sa.Column("name", sa.Text, primary_key=True),
    instant("due_at", nullable=False),
)

"""Webhooks, how far each is, what is to be delivered, and each attempt."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_analytics.metadata import metadata
from crm_database import instant

#: What people set. secret, previous_secret: sealed. previous_until: until then the one before signs as well. A deleted one stays as a
#: row without secrets, for those who ask what was sent.
webhook = sa.Table(
    "webhook",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("owner_id", sa.Uuid, nullable=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("types", ARRAY(sa.Text), nullable=False),
    sa.Column("description", sa.Text),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    instant("status_since", nullable=False),
    sa.Column("secret", sa.LargeBinary, nullable=False),
    instant("secret_since", nullable=False),
    sa.Column("previous_secret", sa.LargeBinary),
    instant("previous_until"),
    instant("created_at", nullable=False),
    instant("updated_at", nullable=False),
    instant("deleted_at"),
    sa.CheckConstraint("status IN ('active', 'paused', 'disabled')", name="status"),
    sa.CheckConstraint("(status = 'disabled') = (reason IS NOT NULL)", name="reason"),
    sa.Index("ix_webhook_owner_id", "owner_id", "id", postgresql_where=sa.text("deleted_at IS NULL")),
)

#: How far a webhook is; gone with it. position: the log was taken in up to there. since: events recorded before are sent only when asked
#: for again. due_at: when a delivery is to be tried next. is_full: as much waits as may wait. rest_until, failed_rounds: see rules.rest.
#: replay, replay_until: what stands in the log up to there is sent though it was sent before, in the replay of that number.
#: leased_by, lease_until: who works on it, by the database's clock. turn_at: when it was last taken.
webhook_work = sa.Table(
    "webhook_work",
    metadata,
    sa.Column("webhook_id", sa.Uuid, sa.ForeignKey("webhook.id"), primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
    instant("since", nullable=False),
    instant("due_at"),
    sa.Column("is_full", sa.Boolean, nullable=False),
    instant("rest_until"),
    sa.Column("failed_rounds", sa.Integer, nullable=False),
    sa.Column("replay", sa.Integer, nullable=False),
    sa.Column("replay_until", sa.BigInteger, nullable=False),
    sa.Column("leased_by", sa.Uuid),
    instant("lease_until"),
    instant("turn_at"),
    sa.CheckConstraint("num_nulls(leased_by, lease_until) IN (0, 2)", name="leased"),
)

#: What is, or was, to be delivered: an event once per webhook, whatever happens to the log. seq: its place in the order, the log's
#: position when it was taken. replay: in which it was last taken; 0: in none. failures: in a row; attempts: of all times.
webhook_delivery = sa.Table(
    "webhook_delivery",
    metadata,
    sa.Column("webhook_id", sa.Uuid, sa.ForeignKey("webhook.id"), primary_key=True),
    sa.Column("event_id", sa.Uuid, primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("subject", sa.Uuid, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("replay", sa.Integer, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False),
    instant("taken_at", nullable=False),
    instant("first_attempt_at"),
    instant("next_attempt_at"),
    instant("settled_at"),
    sa.CheckConstraint("state IN ('pending', 'delivered', 'withheld')", name="state"),
    sa.CheckConstraint("(state = 'pending') = (settled_at IS NULL)", name="settled"),
    sa.CheckConstraint("(state = 'pending') = (next_attempt_at IS NOT NULL)", name="next_attempt"),
    sa.Index(
        "ix_webhook_delivery_pending",
        "webhook_id",
        "subject",
        "seq",
        postgresql_where=sa.text("state = 'pending'"),
    ),
    sa.Index("ix_webhook_delivery_seq", "webhook_id", "seq", "event_id"),
    sa.Index("ix_webhook_delivery_settled_at", "settled_at", postgresql_where=sa.text("settled_at IS NOT NULL")),
)

#: One request. number: from 1 on, through all replays. answer: the beginning of its text.
webhook_attempt = sa.Table(
    "webhook_attempt",
    metadata,
    sa.Column("webhook_id", sa.Uuid, primary_key=True),
    sa.Column("event_id", sa.Uuid, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    instant("at", nullable=False),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("status", sa.Integer),
    sa.Column("answer", sa.Text),
    sa.Column("error", sa.Text),
    sa.ForeignKeyConstraint(
        ["webhook_id", "event_id"],
        ["webhook_delivery.webhook_id", "webhook_delivery.event_id"],
        ondelete="CASCADE",
    ),
)

"""The tables of resync (schema.RESYNC_1 creates them). Only this library reads and writes them."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_database import instant, platform

#: What a group here asked for. cursor: up to where it was taken in, in the owner's words. prune: rows that the owner doesn't know go.
resync_request = sa.Table(
    "resync_request",
    platform,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("group_name", sa.Text, nullable=False),
    sa.Column("topic", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("ids", ARRAY(sa.Uuid)),
    sa.Column("since", sa.Uuid),
    sa.Column("types", ARRAY(sa.Text)),
    sa.Column("prune", sa.Boolean, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    #: Raised each time it is asked anew: on start, and after silence.
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("cursor", sa.Text),
    sa.Column("applied", sa.BigInteger, nullable=False),
    #: Events that don't fit: left out, and told in the log.
    sa.Column("refused", sa.BigInteger, nullable=False),
    #: Records of `ids` that the owner doesn't know.
    sa.Column("unknown", sa.BigInteger, nullable=False),
    sa.Column("total", sa.BigInteger),
    sa.Column("problem", sa.Text),
    instant("asked_at", nullable=False),
    instant("sent_at"),
    instant("heard_at"),
    instant("finished_at"),
    sa.CheckConstraint("kind IN ('state', 'journal')", name="kind"),
    sa.CheckConstraint("state IN ('asked', 'running', 'complete', 'failed')", name="state"),
    sa.Index("ix_resync_request_open", "asked_at", postgresql_where=sa.text("state IN ('asked', 'running')")),
)

#: Which records a request that prunes was told of; gone when it is finished.
resync_seen = sa.Table(
    "resync_seen",
    platform,
    sa.Column("request_id", sa.Uuid, primary_key=True),
    sa.Column("subject", sa.Uuid, primary_key=True),
)

#: What this service answers, and how far it is: who takes over goes on there. taken: how many records the asker said it has.
resync_answer = sa.Table(
    "resync_answer",
    platform,
    sa.Column("request_id", sa.Uuid, primary_key=True),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("group_name", sa.Text, nullable=False),
    sa.Column("topic", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("ids", ARRAY(sa.Uuid)),
    sa.Column("since", sa.Uuid),
    sa.Column("types", ARRAY(sa.Text)),
    sa.Column("cursor", sa.Text),
    sa.Column("sent", sa.BigInteger, nullable=False),
    sa.Column("taken", sa.BigInteger, nullable=False),
    sa.Column("complete", sa.Boolean, nullable=False),
    instant("heard_at", nullable=False),
)

#: Records of which an event told version `told` when `known` was the one here (0: none). asked_at: when they were asked for.
resync_gap = sa.Table(
    "resync_gap",
    platform,
    sa.Column("group_name", sa.Text, primary_key=True),
    sa.Column("topic", sa.Text, primary_key=True),
    sa.Column("subject", sa.Uuid, primary_key=True),
    sa.Column("known", sa.Integer, nullable=False),
    sa.Column("told", sa.Integer, nullable=False),
    instant("noticed_at", nullable=False),
    instant("asked_at"),
    sa.Index("ix_resync_gap_waiting", "noticed_at", postgresql_where=sa.text("asked_at IS NULL")),
)

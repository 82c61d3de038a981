"""Whose each record is now, as the log tells it, and up to where the log was read for that."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from crm_analytics.metadata import metadata

#: One row per record whose events carry `access`: owner and members after its newest event, also of a deleted one.
#: members: a list of user_id, right and expires_at. Not `record_member`: that is the facts', who rebuild it, of fewer types.
record_access = sa.Table(
    "record_access",
    metadata,
    sa.Column("record_id", sa.Uuid, primary_key=True),
    sa.Column("topic", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("owner_id", sa.Uuid),
    sa.Column("members", JSONB, nullable=False),
)

#: Exactly one row: record_access holds what the log says up to this position. Feed and webhooks read the log up to here, so nobody
#: hears of a record whose owner isn't known yet.
access_head = sa.Table(
    "access_head",
    metadata,
    sa.Column("only", sa.Boolean, sa.CheckConstraint('"only"', name="one_row"), primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
)

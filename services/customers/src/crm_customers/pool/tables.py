"""Pools. Who waits in which is a field of the customer; what happened is in the journal, indexed by pool."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_customers.metadata import metadata
from crm_database import instant

pool = sa.Table(
    "pool",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("administrator_ids", ARRAY(sa.Uuid), nullable=False),
    sa.Column("member_user_ids", ARRAY(sa.Uuid), nullable=False),
    sa.Column("member_department_ids", ARRAY(sa.Uuid), nullable=False),
    sa.Column("open_to_all", sa.Boolean, nullable=False),
    sa.Column("daily_claim_cap", sa.Integer),
    sa.Column("cooldown_days", sa.Integer, nullable=False),
    sa.Column("hold_hours", sa.Integer, nullable=False),
    sa.Column("is_default", sa.Boolean, nullable=False),
    instant("created_at", nullable=False),
    sa.Index("uq_pool_is_default", "is_default", unique=True, postgresql_where=sa.text("is_default")),
)

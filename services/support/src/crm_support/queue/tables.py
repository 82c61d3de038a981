"""Queues. Which tickets wait in one is said by the tickets."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_database import instant
from crm_support.metadata import metadata

queue = sa.Table(
    "queue",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("member_user_ids", ARRAY(sa.Uuid), nullable=False),
    sa.Column("member_department_ids", ARRAY(sa.Uuid), nullable=False),
    sa.Column("open_to_all", sa.Boolean, nullable=False),
    instant("created_at", nullable=False),
    sa.Index("uq_queue_key", "key", unique=True),
)

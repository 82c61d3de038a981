"""Chosen departments, each with or without its subtree."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_database import instant
from crm_identity.metadata import metadata

department_set = sa.Table(
    "department_set",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("departments", ARRAY(sa.Uuid), nullable=False),
    sa.Column("subtrees", ARRAY(sa.Uuid), nullable=False),
    instant("created_at", nullable=False),
    instant("updated_at", nullable=False),
    instant("deleted_at"),
)

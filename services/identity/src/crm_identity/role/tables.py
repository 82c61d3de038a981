"""Roles: what their holders may do and which records they reach."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from crm_database import instant
from crm_identity.metadata import metadata

#: shipped: key of a role that comes with the product, or NULL. epoch: raised by every edit of permissions or scopes.
role = sa.Table(
    "role",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("shipped", sa.Text, unique=True),
    sa.Column("permissions", ARRAY(sa.Text), nullable=False),
    sa.Column("scopes", JSONB, nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    instant("created_at", nullable=False),
    instant("updated_at", nullable=False),
    instant("deleted_at"),
)

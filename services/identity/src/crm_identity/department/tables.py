"""Departments: one row each, with the path from the root, so that a subtree is found without recursion."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_database import instant
from crm_identity.metadata import metadata

department = sa.Table(
    "department",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("parent_id", sa.Uuid, sa.ForeignKey("department.id")),
    # Added by ALTER: users point at departments, too.
    sa.Column("manager_id", sa.Uuid, sa.ForeignKey("app_user.id", use_alter=True)),
    sa.Column("business_area", sa.Text, nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("path", ARRAY(sa.Uuid), nullable=False),
    sa.Column("external_system", sa.Text),
    sa.Column("external_id", sa.Text),
    instant("created_at", nullable=False),
    instant("updated_at", nullable=False),
    instant("deleted_at"),
    sa.Index("uq_department_root", sa.text("(true)"), unique=True, postgresql_where=sa.text("parent_id IS NULL")),
    sa.Index("ix_department_parent_id", "parent_id"),
    sa.Index(
        "uq_department_external",
        "external_system",
        "external_id",
        unique=True,
        postgresql_where=sa.text("deleted_at IS NULL"),
    ),
)

"""People who log in. Never removed (ID-5): what they did stays theirs."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_database import SCOPED, instant
from crm_identity.metadata import metadata

#: email_key: the e-mail as it is compared (lower case). name_key: the name as it is sorted and searched.
#: super_admin: holds the role Super administrator; kept beside role_ids because every change of anybody asks for it.
app_user = sa.Table(
    "app_user",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("name_key", sa.Text, nullable=False),
    sa.Column("email", sa.Text),
    sa.Column("email_key", sa.Text, unique=True),
    sa.Column("mobile", sa.Text, unique=True),
    sa.Column("gender", sa.Text),
    sa.Column("department_id", sa.Uuid, sa.ForeignKey("department.id"), nullable=False),
    sa.Column("position", sa.Text),
    sa.Column("superior_id", sa.Uuid, sa.ForeignKey("app_user.id")),
    sa.Column("role_ids", ARRAY(sa.Uuid), nullable=False),
    sa.Column("super_admin", sa.Boolean, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("locale", sa.Text),
    sa.Column("time_zone", sa.Text),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("external_system", sa.Text),
    sa.Column("external_id", sa.Text),
    instant("created_at", nullable=False),
    instant("updated_at", nullable=False),
    sa.CheckConstraint("email_key IS NOT NULL OR mobile IS NOT NULL", name="login"),
    sa.CheckConstraint("status IN ('pending_activation', 'active', 'inactive', 'dismissed')", name="status"),
    sa.CheckConstraint("superior_id <> id", name="superior"),
    sa.Index("ix_app_user_name_key_id", "name_key", "id"),
    sa.Index("ix_app_user_department_id", "department_id"),
    sa.Index("ix_app_user_superior_id", "superior_id"),
    sa.UniqueConstraint("external_system", "external_id"),
    info=SCOPED,
)

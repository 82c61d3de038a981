"""Secrets of users, apart from their profile: nothing here ever gets into an event or an answer."""

import sqlalchemy as sa

from crm_database import instant
from crm_identity.metadata import metadata

#: password_hash: Argon2id in PHC form; NULL until the user is activated.
#: activation_hash: SHA-256 of the one-time code that lets a new user choose a password.
credential = sa.Table(
    "credential",
    metadata,
    sa.Column("user_id", sa.Uuid, sa.ForeignKey("app_user.id"), primary_key=True),
    sa.Column("password_hash", sa.Text),
    instant("changed_at"),
    sa.Column("activation_hash", sa.LargeBinary, unique=True),
    instant("activation_expires_at"),
)

"""Logins, their refresh tokens, and the counters that protect logging in."""

import sqlalchemy as sa

from crm_database import instant
from crm_identity.metadata import metadata

login_session = sa.Table(
    "login_session",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("user_id", sa.Uuid, sa.ForeignKey("app_user.id"), nullable=False),
    sa.Column("client", sa.Text, nullable=False),
    sa.Column("address", sa.Text),
    sa.Column("user_agent", sa.Text),
    instant("started_at", nullable=False),
    instant("expires_at", nullable=False),
    instant("ended_at"),
    sa.Column("reason", sa.Text),
    sa.Index("ix_login_session_user_id_open", "user_id", postgresql_where=sa.text("ended_at IS NULL")),
)

#: One row per refresh token ever given, until its session is long over. token_hash: SHA-256; the token itself is known to the
#: client only. used_at: when it was first exchanged; presenting it later than the grace after that ends the session.
refresh_token = sa.Table(
    "refresh_token",
    metadata,
    sa.Column("token_hash", sa.LargeBinary, primary_key=True),
    sa.Column("session_id", sa.Uuid, sa.ForeignKey("login_session.id", ondelete="CASCADE"), nullable=False),
    instant("issued_at", nullable=False),
    instant("expires_at", nullable=False),
    instant("used_at"),
    sa.Index("ix_refresh_token_session_id", "session_id"),
)

#: Failed logins per account and per address. subject: `account:…` or `address:…`. failures: attempts that failed or are still
#: being checked. blocked_until: no attempt is evaluated before.
login_guard = sa.Table(
    "login_guard",
    metadata,
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("failures", sa.Integer, nullable=False),
    instant("last_at", nullable=False),
    instant("blocked_until"),
    sa.Index("ix_login_guard_last_at", "last_at"),
)

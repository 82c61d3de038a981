"""Tables that every service's database has: the replica of the directory, and who shares in which record.

No foreign keys: rows of a replica arrive in any order. `changed_at_version` is the directory_version whose transaction wrote the
row last: who knows version n loads the rows above n.
"""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from crm_database import instant, platform


def _replica(name: str, *columns: sa.Column[object]) -> sa.Table:
    """A replica's table: `version` is the record's, older ones are ignored by the upsert."""
    return sa.Table(
        name,
        platform,
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        *columns,
        sa.Column("changed_at_version", sa.BigInteger, nullable=False),
        sa.Index(None, "changed_at_version"),
    )


directory_user = _replica(
    "directory_user",
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("department_id", sa.Uuid, nullable=False),
    sa.Column("position", sa.Text),
    sa.Column("superior_id", sa.Uuid),
    sa.Column("role_ids", ARRAY(sa.Uuid), nullable=False),
    sa.Column("group_ids", ARRAY(sa.Uuid), nullable=False),
    sa.Column("super_admin", sa.Boolean, nullable=False),
    sa.Column("locale", sa.Text),
    sa.Column("time_zone", sa.Text),
    sa.Column("epoch", sa.Integer, nullable=False),
)

directory_department = _replica(
    "directory_department",
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("parent_id", sa.Uuid),
    sa.Column("manager_id", sa.Uuid),
    sa.Column("business_area", sa.Text, nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("path", ARRAY(sa.Uuid), nullable=False),
    sa.Column("deleted", sa.Boolean, nullable=False),
)

directory_role = _replica(
    "directory_role",
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("shipped", sa.Text),
    sa.Column("permissions", ARRAY(sa.Text), nullable=False),
    sa.Column("scopes", JSONB, nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("deleted", sa.Boolean, nullable=False),
)

directory_set = _replica(
    "directory_set",
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("departments", ARRAY(sa.Uuid), nullable=False),
    sa.Column("subtrees", ARRAY(sa.Uuid), nullable=False),
    sa.Column("deleted", sa.Boolean, nullable=False),
)

#: Sessions that ended. forget_at: when no token of the session can be in time any more, and the row may go.
directory_session_end = _replica(
    "directory_session_end",
    instant("ended_at", nullable=False),
    instant("forget_at", nullable=False),
)

directory_key = _replica(
    "directory_key",
    sa.Column("kid", sa.Text, nullable=False),
    sa.Column("jwk", JSONB, nullable=False),
    instant("not_after"),
)

directory_company = _replica(
    "directory_company",
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("time_zone", sa.Text, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("locale", sa.Text, nullable=False),
)

#: Exactly one row. version: raised once by each transaction that changes the replica. heard_at: identity's last heartbeat.
directory_version = sa.Table(
    "directory_version",
    platform,
    sa.Column("only", sa.Boolean, sa.CheckConstraint('"only"', name="one_row"), primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    instant("heard_at"),
)

#: Who shares in which record (PL-21), for all record types of the service. record_type: `<service>.<record>`.
#: right: `read` or `write`. expires_at: from that instant on the row counts no more.
record_member = sa.Table(
    "record_member",
    platform,
    sa.Column("record_type", sa.Text, primary_key=True),
    sa.Column("record_id", sa.Uuid, primary_key=True),
    sa.Column("user_id", sa.Uuid, primary_key=True),
    sa.Column("right", sa.Text, sa.CheckConstraint("\"right\" IN ('read', 'write')", name="right"), nullable=False),
    instant("expires_at"),
    # All that a scope needs of a user's memberships is in the index.
    sa.Index(
        "ix_record_member_user_id_record_type",
        "user_id",
        "record_type",
        postgresql_include=["record_id", "right", "expires_at"],
    ),
)

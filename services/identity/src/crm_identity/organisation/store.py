"""The lock that the organisation changes under, and who refers to whom."""

import uuid
from collections.abc import Collection, Iterable, Mapping

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_database import ReadSession, WriteSession, lock_key, query
from crm_identity.department.tables import department
from crm_identity.role.tables import role
from crm_identity.user.tables import app_user

_IDS = sa.bindparam("ids", type_=ARRAY(sa.Uuid))

_WHY = "rules about the whole organisation; nothing of it is shown"

_LOCK = query(sa.select(sa.func.pg_advisory_xact_lock(sa.literal(lock_key("identity.organisation"), sa.BigInteger))))


async def lock(session: WriteSession) -> None:
    """Change the organisation alone, until the transaction ends.

    Rules about the whole (no cycles, one super administrator remains, a department is empty, an e-mail is nobody else's) can't
    be kept by locking the rows that a change touches: two moves that are fine alone close a circle together. Such changes are
    rare, so they take turns. Taken before any row lock; logging in and refreshing don't need it.
    """
    await session.value(_LOCK)


_PEOPLE = query(
    sa.select(sa.func.count()).select_from(app_user).where(app_user.c.department_id == sa.bindparam("department_id")),
    unscoped=_WHY,
)


async def people_in(session: ReadSession, department_id: uuid.UUID) -> int:
    """How many users stand in a department, whatever their status: they are never removed, and their place is not, either."""
    return int(await session.value(_PEOPLE, department_id=department_id))


_LIVE_DEPARTMENTS = query(sa.select(department.c.id).where(department.c.deleted_at.is_(None)))
_ACTIVE_USERS = query(
    sa.select(app_user.c.id).where(app_user.c.id == sa.any_(_IDS), app_user.c.status == "active"), unscoped=_WHY
)
_LIVE_ROLES = query(sa.select(role.c.id, role.c.shipped).where(role.c.id == sa.any_(_IDS), role.c.deleted_at.is_(None)))
_HOLDERS = query(
    sa.select(sa.func.count())
    .select_from(app_user)
    .where(app_user.c.role_ids.contains(sa.bindparam("role_ids", type_=ARRAY(sa.Uuid)))),
    unscoped=_WHY,
)


async def live_departments(session: ReadSession) -> set[uuid.UUID]:
    """All departments that exist."""
    return {row["id"] for row in await session.fetch(_LIVE_DEPARTMENTS)}


async def active_users(session: ReadSession, ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Which of these are active users."""
    return {row["id"] for row in await session.fetch(_ACTIVE_USERS, ids=list(ids))} if ids else set()


async def live_roles(session: ReadSession, ids: Iterable[uuid.UUID]) -> Mapping[uuid.UUID, str | None]:
    """Which of these roles exist, each with its shipped key or None."""
    return {row["id"]: row["shipped"] for row in await session.fetch(_LIVE_ROLES, ids=list(ids))}


async def holders_of(session: ReadSession, role_id: uuid.UUID) -> int:
    """How many users hold a role."""
    return int(await session.value(_HOLDERS, role_ids=[role_id]))

"""Queries of department sets."""

import uuid
from typing import Any

import sqlalchemy as sa

from crm_database import ReadSession, WriteSession, query
from crm_identity.department_set.rules import DepartmentSetNotFound
from crm_identity.department_set.tables import department_set
from crm_identity.role.tables import role

_LIVE = department_set.c.deleted_at.is_(None)
_ALL = query(sa.select(department_set).where(_LIVE).order_by(department_set.c.name, department_set.c.id))
_ONE = query(sa.select(department_set).where(department_set.c.id == sa.bindparam("id"), _LIVE))
_LOCKED = query(sa.select(department_set).where(department_set.c.id == sa.bindparam("id"), _LIVE).with_for_update())
_IDS = query(sa.select(department_set.c.id).where(_LIVE))
_USED = query(
    sa.select(sa.func.count())
    .select_from(role)
    .where(
        role.c.deleted_at.is_(None),
        sa.func.jsonb_path_exists(
            role.c.scopes,
            sa.text("'$.*.* ? (@.set_id == $set)'::jsonpath"),  # a path has no other form than text
            sa.func.jsonb_build_object("set", sa.bindparam("set_id", type_=sa.Text)),
        ),
    )
)


async def all_of(session: ReadSession) -> list[Any]:
    """All sets, by name."""
    return await session.fetch(_ALL)


async def one(session: ReadSession, set_id: uuid.UUID) -> Any:
    """Raises DepartmentSetNotFound."""
    row = await session.first(_ONE, id=set_id)
    if row is None:
        raise DepartmentSetNotFound
    return row


async def locked(session: WriteSession, set_id: uuid.UUID) -> Any:
    """The row, locked. Raises DepartmentSetNotFound."""
    rows = await session.locked(department_set, _LOCKED, id=set_id)
    if not rows:
        raise DepartmentSetNotFound
    return rows[0]


async def live(session: ReadSession) -> set[uuid.UUID]:
    """The ids of all sets."""
    return {row["id"] for row in await session.fetch(_IDS)}


async def used(session: ReadSession, set_id: uuid.UUID) -> bool:
    """Whether a role's scope names the set."""
    return int(await session.value(_USED, set_id=str(set_id))) > 0

"""Queries of departments."""

import datetime as dt
import uuid
from typing import Any

import sqlalchemy as sa

from crm_database import ReadSession, WriteSession, query
from crm_identity.department.rules import Department, DepartmentNotFound, Tree
from crm_identity.department.tables import department

_LIVE = department.c.deleted_at.is_(None)
_LOCKED = query(sa.select(department).where(_LIVE).order_by(department.c.id).with_for_update())
_ALL = query(
    sa.select(department)
    .where(_LIVE)
    .order_by(sa.func.cardinality(department.c.path), department.c.position, department.c.name)
)
_ONE = query(sa.select(department).where(department.c.id == sa.bindparam("id"), _LIVE))


async def locked_tree(session: WriteSession) -> tuple[Tree, dict[uuid.UUID, Any]]:
    """The whole tree, every row locked, and the rows themselves. Take organisation.lock before."""
    rows = await session.locked(department, _LOCKED)
    return Tree(as_department(row) for row in rows), {row["id"]: row for row in rows}


_THERE = department.alias("there")
_AFTER = sa.bindparam("after", type_=sa.Uuid)
_PAGE = query(
    sa.select(department)
    .where(
        _LIVE,
        sa.or_(
            _AFTER.is_(None),
            department.c.path > sa.select(_THERE.c.path).where(_THERE.c.id == _AFTER).scalar_subquery(),
        ),
    )
    .order_by(department.c.path)
    .limit(sa.bindparam("limit", type_=sa.Integer))
)


async def page(session: ReadSession, *, after: uuid.UUID | None, limit: int) -> list[Any]:
    """Departments in the order of their paths (a parent before what is below it), behind the department `after`."""
    return await session.fetch(_PAGE, after=after, limit=limit)


async def tree(session: ReadSession) -> Tree:
    """The whole tree. Nobody changes it while organisation.lock is held."""
    return Tree(as_department(row) for row in await all_of(session))


async def all_of(session: ReadSession) -> list[Any]:
    """All departments, parents before children, siblings in their order."""
    return await session.fetch(_ALL)


async def one(session: ReadSession, department_id: uuid.UUID) -> Any:
    """Raises DepartmentNotFound."""
    row = await session.first(_ONE, id=department_id)
    if row is None:
        raise DepartmentNotFound
    return row


def as_department(row: Any) -> Department:
    """A row as the rules know it."""
    ref = (row["external_system"], row["external_id"]) if row["external_system"] is not None else None
    return Department(
        id=row["id"],
        name=row["name"],
        parent_id=row["parent_id"],
        business_area=row["business_area"],
        manager_id=row["manager_id"],
        position=row["position"],
        external_ref=ref,
    )


def values(node: Department, path: tuple[uuid.UUID, ...], now: dt.datetime) -> dict[str, Any]:
    """The columns of a department."""
    system, external_id = node.external_ref or (None, None)
    return {
        "name": node.name,
        "parent_id": node.parent_id,
        "manager_id": node.manager_id,
        "business_area": node.business_area,
        "position": node.position,
        "path": list(path),
        "external_system": system,
        "external_id": external_id,
        "updated_at": now,
    }

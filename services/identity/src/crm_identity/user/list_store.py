"""Queries of lists of users: profiles through a scope, and the directory of colleagues."""

import uuid
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from crm_authz import Scope
from crm_database import ReadSession, query
from crm_identity.department.tables import department
from crm_identity.user.rules import folded
from crm_identity.user.store import VISIBLE, reach
from crm_identity.user.tables import app_user


def _optional(name: str, column: sa.Column[Any]) -> sa.ColumnElement[bool]:
    """A condition that counts only when its parameter is given."""
    parameter = sa.bindparam(name, type_=column.type)
    return sa.or_(parameter.is_(None), column == parameter)


def _after() -> sa.ColumnElement[bool]:
    """Behind the last row of the page before, in the order of name and id."""
    name = sa.bindparam("after_name", type_=sa.Text)
    return sa.or_(
        name.is_(None),
        sa.tuple_(app_user.c.name_key, app_user.c.id) > sa.tuple_(name, sa.bindparam("after_id", type_=sa.Uuid)),
    )


def _matching() -> sa.ColumnElement[bool]:
    text = sa.bindparam("text", type_=sa.Text)
    return sa.or_(
        text.is_(None),
        app_user.c.name_key.like(text, escape="\\"),
        app_user.c.email_key.like(text, escape="\\"),
        app_user.c.mobile.like(text, escape="\\"),
    )


_ROLE = sa.bindparam("role_id", type_=sa.Uuid)
_FILTERS = (
    _optional("status", app_user.c.status),
    _optional("department_id", app_user.c.department_id),
    _optional("superior_id", app_user.c.superior_id),
    sa.or_(_ROLE.is_(None), sa.any_(app_user.c.role_ids) == _ROLE),
    _matching(),
)
_LIST = query(
    sa.select(app_user)
    .where(VISIBLE, *_FILTERS, _after())
    .order_by(app_user.c.name_key, app_user.c.id)
    .limit(sa.bindparam("limit", type_=sa.Integer))
)
_COUNT = query(sa.select(sa.func.count()).select_from(app_user).where(VISIBLE, *_FILTERS))


@dataclass(frozen=True)
class Filter:
    """Which users a list asks for; None asks for nothing. text: part of the name, e-mail or number, in any case."""

    status: str | None = None
    department_id: uuid.UUID | None = None
    superior_id: uuid.UUID | None = None
    role_id: uuid.UUID | None = None
    text: str | None = None

    def parameters(self) -> dict[str, Any]:
        return {
            "status": self.status,
            "department_id": self.department_id,
            "superior_id": self.superior_id,
            "role_id": self.role_id,
            "text": None if self.text is None else f"%{_literal(folded(self.text))}%",
        }


def _literal(text: str) -> str:
    """Text for LIKE that means itself."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


Position = tuple[str, uuid.UUID]


async def page(
    session: ReadSession, scope: Scope, wanted: Filter, *, self_id: uuid.UUID, after: Position | None, limit: int
) -> list[Any]:
    """Users that the scope reaches, by name, at most `limit`, behind the position `after` (name_key, id)."""
    name, last = after or (None, None)
    return await session.fetch(
        _LIST, **reach(scope, self_id), **wanted.parameters(), after_name=name, after_id=last, limit=limit
    )


async def count(session: ReadSession, scope: Scope, wanted: Filter, *, self_id: uuid.UUID) -> int:
    """How many users the scope reaches and the filter admits."""
    return int(await session.value(_COUNT, **reach(scope, self_id), **wanted.parameters()))


_DIRECTORY = query(
    sa.select(
        app_user.c.id,
        app_user.c.name,
        app_user.c.name_key,
        app_user.c.position,
        app_user.c.department_id,
        department.c.name.label("department_name"),
    )
    .join(department, department.c.id == app_user.c.department_id)
    .where(
        app_user.c.status == "active",
        _optional("department_id", app_user.c.department_id),
        sa.or_(
            sa.bindparam("text", type_=sa.Text).is_(None),
            app_user.c.name_key.like(sa.bindparam("text", type_=sa.Text), escape="\\"),
        ),
        _after(),
    )
    .order_by(app_user.c.name_key, app_user.c.id)
    .limit(sa.bindparam("limit", type_=sa.Integer)),
    unscoped="name, department and position of active users are open to all who log in (ID-8)",
)


async def directory(session: ReadSession, wanted: Filter, *, after: Position | None, limit: int) -> list[Any]:
    """Active users by name; of the filter, department_id and text count, and the text is looked for in names only."""
    name, last = after or (None, None)
    given = wanted.parameters()
    return await session.fetch(
        _DIRECTORY,
        department_id=given["department_id"],
        text=given["text"],
        after_name=name,
        after_id=last,
        limit=limit,
    )

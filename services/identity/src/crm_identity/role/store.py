"""Queries of roles."""

import uuid
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_authz.rules import Rule
from crm_database import ReadSession, WriteSession, query
from crm_identity.role.rules import RoleNotFound, RoleRights
from crm_identity.role.tables import role

_LIVE = role.c.deleted_at.is_(None)
_ALL = query(sa.select(role).where(_LIVE).order_by(role.c.name, role.c.id))
_ONE = query(sa.select(role).where(role.c.id == sa.bindparam("id"), _LIVE))
_LOCKED = query(sa.select(role).where(role.c.id == sa.bindparam("id"), _LIVE).with_for_update())
_NAMED = query(sa.select(role.c.id).where(sa.func.lower(role.c.name) == sa.func.lower(sa.bindparam("name")), _LIVE))
_SHIPPED = query(sa.select(role.c.id).where(role.c.shipped == sa.bindparam("key"), _LIVE))

_SOME = query(
    sa.select(role).where(role.c.id == sa.any_(sa.bindparam("ids", type_=ARRAY(sa.Uuid))), _LIVE).order_by(role.c.id)
)


async def all_of(session: ReadSession) -> list[Any]:
    """All roles, by name."""
    return await session.fetch(_ALL)


async def one(session: ReadSession, role_id: uuid.UUID) -> Any:
    """Raises RoleNotFound."""
    row = await session.first(_ONE, id=role_id)
    if row is None:
        raise RoleNotFound
    return row


async def some(session: ReadSession, ids: Iterable[uuid.UUID]) -> list[Any]:
    """Those of these roles that exist."""
    return await session.fetch(_SOME, ids=list(ids))


async def locked(session: WriteSession, role_id: uuid.UUID) -> Any:
    """The row, locked. Raises RoleNotFound."""
    rows = await session.locked(role, _LOCKED, id=role_id)
    if not rows:
        raise RoleNotFound
    return rows[0]


async def named(session: ReadSession, name: str) -> uuid.UUID | None:
    """The role that has this name, in any case of letters."""
    found: uuid.UUID | None = await session.value(_NAMED, name=name)
    return found


async def shipped(session: ReadSession, key: str) -> uuid.UUID | None:
    """The role that came with the product under this key."""
    found: uuid.UUID | None = await session.value(_SHIPPED, key=key)
    return found


def as_rights(row: Any) -> RoleRights:
    """What a row gives."""
    return RoleRights(permissions=tuple(row["permissions"]), scopes=scopes_of(row["scopes"]))


def scopes_of(stored: dict[str, dict[str, dict[str, Any]]]) -> dict[str, dict[str, Rule]]:
    """Scopes from their JSON form."""
    return {
        record: {
            action: Rule(rule["scope"], uuid.UUID(rule["set_id"]) if rule.get("set_id") else None)
            for action, rule in classes.items()
        }
        for record, classes in stored.items()
    }

"""Reading the replica's tables into a Directory: all of it, or what changed after a version."""

import datetime as dt
import uuid
from collections.abc import Mapping
from typing import Any, cast

import sqlalchemy as sa

from crm_authz import tables
from crm_authz.keys import VerifyingKey
from crm_authz.people import Changes, Company, Department, DepartmentSet, Role, User
from crm_authz.rules import ACTION_CLASSES, SCOPE_NAMES, Rule, ScopeName
from crm_database import Query, ReadSession, query


def _changed(table: sa.Table) -> Query:
    return query(
        sa.select(table).where(table.c.changed_at_version > sa.bindparam("known")).order_by(table.c.changed_at_version)
    )


VERSION = query(sa.select(tables.directory_version.c.version, tables.directory_version.c.heard_at))
_USERS = _changed(tables.directory_user)
_DEPARTMENTS = _changed(tables.directory_department)
_ROLES = _changed(tables.directory_role)
_SETS = _changed(tables.directory_set)
_ENDED = _changed(tables.directory_session_end)
_KEYS = _changed(tables.directory_key)
_COMPANY = _changed(tables.directory_company)


class ReplicaMissing(RuntimeError):
    """The one row of directory_version is not there: the database was not migrated, or somebody removed it."""


async def look(session: ReadSession) -> tuple[int, dt.datetime | None]:
    """The replica's version, and when identity was last heard."""
    row = await session.first(VERSION)
    if row is None:
        raise ReplicaMissing("directory_version is empty")
    return row["version"], row["heard_at"]


async def load(session: ReadSession, known: int) -> Changes:
    """The rows that changed after version `known`; -1 for all."""
    companies = await session.fetch(_COMPANY, known=known)
    return Changes(
        users=tuple([_user(row) for row in await session.fetch(_USERS, known=known)]),
        departments=tuple([_department(row) for row in await session.fetch(_DEPARTMENTS, known=known)]),
        roles=tuple([_role(row) for row in await session.fetch(_ROLES, known=known)]),
        sets=tuple([_set(row) for row in await session.fetch(_SETS, known=known)]),
        keys=tuple([key for row in await session.fetch(_KEYS, known=known) if (key := _key(row)) is not None]),
        company=_company(companies[-1]) if companies else None,
        ended_sessions={row["id"]: row["forget_at"] for row in await session.fetch(_ENDED, known=known)},
    )


def _user(row: Any) -> User:
    return User(
        id=row["id"],
        name=row["name"],
        status=row["status"],
        department_id=row["department_id"],
        superior_id=row["superior_id"],
        role_ids=tuple(row["role_ids"]),
        group_ids=tuple(row["group_ids"]),
        super_admin=row["super_admin"],
        epoch=row["epoch"],
        position=row["position"],
        locale=row["locale"],
        time_zone=row["time_zone"],
    )


def _department(row: Any) -> Department:
    return Department(
        id=row["id"],
        name=row["name"],
        parent_id=row["parent_id"],
        business_area=row["business_area"],
        manager_id=row["manager_id"],
        position=row["position"],
        path=tuple(row["path"]),
        deleted=row["deleted"],
    )


def _role(row: Any) -> Role:
    return Role(
        id=row["id"],
        name=row["name"],
        permissions=tuple(row["permissions"]),
        scopes=read_scopes(row["scopes"]),
        epoch=row["epoch"],
        shipped=row["shipped"],
        deleted=row["deleted"],
    )


def read_scopes(stored: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, Rule]]:
    """A role's scopes as RoleState writes them. What names no known class or scope is left out: it reaches nothing."""
    return {
        target: {
            action: rule
            for action, value in classes.items()
            if action in (*ACTION_CLASSES, "*") and (rule := _rule(value)) is not None
        }
        for target, classes in stored.items()
    }


def _rule(value: Mapping[str, Any]) -> Rule | None:
    scope, set_id = value.get("scope"), value.get("set_id")
    if scope not in SCOPE_NAMES or (scope == "departments") != (set_id is not None):
        return None
    return Rule(cast(ScopeName, scope), uuid.UUID(str(set_id)) if set_id is not None else None)


def _set(row: Any) -> DepartmentSet:
    return DepartmentSet(
        row["id"], row["name"], frozenset(row["departments"]), frozenset(row["subtrees"]), row["deleted"]
    )


def _key(row: Any) -> VerifyingKey | None:
    """None for a key that is no P-256 point: it verifies nothing, and must not keep the others from being loaded."""
    try:
        return VerifyingKey.of(row["kid"], row["jwk"], row["not_after"])
    except ValueError:
        return None


def _company(row: Any) -> Company:
    return Company(row["name"], row["time_zone"], row["currency"], row["locale"])

"""Queries of users. Lists and single users are read through a scope (ID-8); what needs none says why."""

import uuid
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_authz import Scope
from crm_database import ReadSession, ScopeMark, WriteSession, query
from crm_identity.credential.tables import credential
from crm_identity.user.people import Person, User
from crm_identity.user.rules import UserNotFound, folded
from crm_identity.user.tables import app_user

#: The name under which a session holds a user's row.
TABLE = app_user.name

_IDS = sa.bindparam("ids", type_=ARRAY(sa.Uuid))
_REACHED = sa.bindparam("reached", type_=ARRAY(sa.Uuid))
_EVERYTHING = sa.bindparam("everything", type_=sa.Boolean)

#: A user's "owner" is the user. Everybody reaches themself, whatever the scope says (ID-8).
VISIBLE = ScopeMark(app_user, sa.or_(_EVERYTHING, app_user.c.id == sa.any_(_REACHED)))


def reach(scope: Scope, self_id: uuid.UUID | None) -> dict[str, Any]:
    """The parameters of VISIBLE."""
    own = [] if self_id is None else [self_id]
    return {"everything": scope.everything, "reached": [] if scope.everything else [*scope.owners, *own]}


_ONE = query(sa.select(app_user).where(app_user.c.id == sa.bindparam("id"), VISIBLE))


async def one(session: ReadSession, scope: Scope, user_id: uuid.UUID, *, self_id: uuid.UUID | None) -> Any:
    """A user that the scope reaches, or oneself. Raises UserNotFound."""
    row = await session.first(_ONE, id=user_id, **reach(scope, self_id))
    if row is None:
        raise UserNotFound
    return row


_OWN = query(sa.select(app_user).where(app_user.c.id == sa.bindparam("id")), unscoped="one's own profile")


async def own(session: ReadSession, user_id: uuid.UUID) -> Any:
    """The caller's own row, or that of a user whom the caller has been shown already. Raises UserNotFound."""
    row = await session.first(_OWN, id=user_id)
    if row is None:
        raise UserNotFound
    return row


_LOCKED = query(
    sa.select(app_user).where(app_user.c.id == sa.any_(_IDS)).order_by(app_user.c.id).with_for_update(),
    unscoped="the caller was shown these rows through its scope before, or they come from another system's references",
)


async def locked(session: WriteSession, ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, Any]:
    """Rows of users, locked. Take organisation.lock before when places, roles or statuses change."""
    return {row["id"]: row for row in await session.locked(app_user, _LOCKED, ids=list(ids))}


_EVERYBODY = query(
    sa.select(
        app_user.c.id,
        app_user.c.superior_id,
        app_user.c.status,
        app_user.c.super_admin,
        app_user.c.email_key,
        app_user.c.mobile,
    ),
    unscoped="the rules about the whole organisation need it; nothing of it is shown",
)


async def everybody(session: ReadSession) -> dict[uuid.UUID, Person]:
    """What of each user matters to the others."""
    return {row["id"]: Person(**row) for row in await session.fetch(_EVERYBODY)}


_BY_REF = query(
    sa.select(app_user.c.id, app_user.c.external_system, app_user.c.external_id).where(
        sa.tuple_(app_user.c.external_system, app_user.c.external_id).in_(
            sa.select(
                sa.func.unnest(
                    sa.bindparam("systems", type_=ARRAY(sa.Text)), sa.bindparam("external_ids", type_=ARRAY(sa.Text))
                )
                .table_valued("system", "external_id")
                .render_derived(name="wanted")
            )
        )
    ),
    unscoped="an import finds what it wrote before; what it may change is checked per row",
)


async def by_refs(session: ReadSession, refs: Collection[tuple[str, str]]) -> dict[tuple[str, str], uuid.UUID]:
    """External reference → user."""
    rows = await session.fetch(
        _BY_REF, systems=[system for system, _ in refs], external_ids=[external_id for _, external_id in refs]
    )
    return {(row["external_system"], row["external_id"]): row["id"] for row in rows}


_BY_LOGIN = query(
    sa.select(app_user.c.id, credential.c.password_hash)
    .join(credential, credential.c.user_id == app_user.c.id, isouter=True)
    .where(
        sa.or_(
            app_user.c.email_key == sa.bindparam("email_key", type_=sa.Text),
            app_user.c.mobile == sa.bindparam("mobile", type_=sa.Text),
        )
    ),
    unscoped="logging in: nobody is known yet",
)


async def by_login(session: ReadSession, email_key: str, mobile: str | None) -> Any:
    """id and password_hash of the user whom an e-mail address or a number belongs to, or None."""
    return await session.first(_BY_LOGIN, email_key=email_key, mobile=mobile)


_SHARED = query(
    sa.select(app_user).where(app_user.c.id == sa.bindparam("id")).with_for_update(read=True),
    unscoped="logging in and refreshing: the user proved who they are",
)


async def kept(session: WriteSession, user_id: uuid.UUID) -> Any:
    """A user's row, which nobody can change until the transaction ends; several may keep it at once."""
    return await session.first(_SHARED, id=user_id)


def as_user(row: Any) -> User:
    """A row as the rules know it."""
    ref = (row["external_system"], row["external_id"]) if row["external_system"] is not None else None
    return User(
        id=row["id"],
        name=row["name"],
        department_id=row["department_id"],
        email=row["email"],
        mobile=row["mobile"],
        gender=row["gender"],
        position=row["position"],
        superior_id=row["superior_id"],
        role_ids=tuple(row["role_ids"]),
        super_admin=row["super_admin"],
        status=row["status"],
        locale=row["locale"],
        time_zone=row["time_zone"],
        epoch=row["epoch"],
        external_ref=ref,
    )


def values(user: User) -> Mapping[str, Any]:
    """The columns of a user."""
    system, external_id = user.external_ref or (None, None)
    return {
        "name": user.name,
        "name_key": folded(user.name),
        "email": user.email,
        "email_key": folded(user.email) if user.email else None,
        "mobile": user.mobile,
        "gender": user.gender,
        "department_id": user.department_id,
        "position": user.position,
        "superior_id": user.superior_id,
        "role_ids": list(user.role_ids),
        "super_admin": user.super_admin,
        "status": user.status,
        "locale": user.locale,
        "time_zone": user.time_zone,
        "epoch": user.epoch,
        "external_system": system,
        "external_id": external_id,
    }


_FIRST_SUPER_ADMIN = query(
    sa.select(app_user.c.id)
    .where(app_user.c.super_admin, app_user.c.status == "active")
    .order_by(app_user.c.created_at, app_user.c.id)
    .limit(1),
    unscoped="the operator of the installation asks, not a user",
)


async def first_super_admin(session: ReadSession) -> uuid.UUID | None:
    """The oldest active super administrator."""
    found: uuid.UUID | None = await session.value(_FIRST_SUPER_ADMIN)
    return found

"""Define, edit and remove roles. An edit raises the role's epoch: one event, and older tokens of all holders are refused."""

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from crm_authz import Rule, ShippedRole
from crm_contracts.control import ALL
from crm_contracts.identity import RoleChanged, RoleCreated, RoleDeleted
from crm_database import ReadSession, WriteSession
from crm_events.record import Step, changes_between
from crm_identity.announce import announce
from crm_identity.department_set import store as sets
from crm_identity.organisation import store as organisation
from crm_identity.role import store
from crm_identity.role.catalogue import Catalogue
from crm_identity.role.rules import (
    SUPER_ADMIN,
    RightsNotYours,
    RoleHeld,
    RoleImmutable,
    RoleNameTaken,
    RoleRights,
    adds_rights,
    check_permissions,
    check_scopes,
)
from crm_identity.role.tables import role
from crm_kernel import new_id

Scopes = Mapping[str, Mapping[str, Rule]]


@dataclass(frozen=True)
class Definition:
    """What a role is to be."""

    name: str
    description: str
    permissions: Collection[str]
    scopes: Scopes


async def rights(session: ReadSession) -> dict[uuid.UUID, RoleRights]:
    """What each role gives."""
    return {row["id"]: store.as_rights(row) for row in await store.all_of(session)}


async def super_admin_role(session: ReadSession) -> uuid.UUID | None:
    """The role Super administrator."""
    return await store.shipped(session, SUPER_ADMIN)


async def create(
    session: WriteSession, catalogue: Catalogue, definition: Definition, *, held: Collection[RoleRights] | None
) -> uuid.UUID:
    """Define a role. held: the rights of whoever defines it; None: a super administrator, who may give anything.

    Raises UnacceptableRole, RoleNameTaken, RightsNotYours.
    """
    await organisation.lock(session)
    await _check(session, catalogue, definition, held)
    if await store.named(session, definition.name) is not None:
        raise RoleNameTaken
    return await _add(session, definition, None)


async def ship(session: WriteSession, shipped: ShippedRole, language: str) -> uuid.UUID:
    """Create a role that comes with the product, named in the company's language (English when it has none for it)."""
    definition = Definition(
        name=shipped.names.get(language, shipped.names["en"]),
        description=shipped.description,
        permissions=shipped.permissions,
        scopes=shipped.scopes,
    )
    return await _add(session, definition, shipped.key)


async def _add(session: WriteSession, definition: Definition, shipped: str | None) -> uuid.UUID:
    role_id, now = new_id(), session.context.now
    values = {**_values(definition), "epoch": 1}
    await announce(
        session,
        [
            Step(
                table=role,
                id=role_id,
                event=RoleCreated,
                state={**_values(definition), "shipped": shipped, "epoch": 1},
                values={**values, "shipped": shipped, "created_at": now, "updated_at": now, "deleted_at": None},
                new=True,
            )
        ],
    )
    return role_id


async def change(
    session: WriteSession,
    catalogue: Catalogue,
    row: Any,
    fields: Mapping[str, Any],
    *,
    held: Collection[RoleRights] | None,
) -> None:
    """Edit the locked role (store.locked, under organisation.lock); a change of permissions or scopes raises its epoch.

    Raises RoleImmutable, UnacceptableRole, RoleNameTaken, RightsNotYours.
    """
    role_id = row["id"]
    if row["shipped"] == SUPER_ADMIN:
        raise RoleImmutable
    before = definition_of(row)
    after = Definition(**{**vars(before), **fields})
    if after == before:
        return
    await _check(session, catalogue, after, held, before)
    other = await store.named(session, after.name)
    if other is not None and other != role_id:
        raise RoleNameTaken
    gives_other = (set(after.permissions), after.scopes) != (set(before.permissions), before.scopes)
    epoch = row["epoch"] + 1 if gives_other else row["epoch"]
    await announce(
        session,
        [
            Step(
                table=role,
                id=role_id,
                event=RoleChanged,
                state={**_values(after), "shipped": row["shipped"], "epoch": epoch},
                values={**_values(after), "epoch": epoch, "updated_at": session.context.now},
                changes=changes_between(_values(before), _values(after)),
            )
        ],
    )


async def remove(session: WriteSession, role_id: uuid.UUID) -> None:
    """Remove a role that nobody holds. Raises RoleNotFound, RoleImmutable, RoleHeld."""
    await organisation.lock(session)
    row = await store.locked(session, role_id)
    if row["shipped"] == SUPER_ADMIN:
        raise RoleImmutable
    if await organisation.holders_of(session, role_id):
        raise RoleHeld
    now = session.context.now
    epoch = row["epoch"] + 1
    await announce(
        session,
        [
            Step(
                table=role,
                id=role_id,
                event=RoleDeleted,
                state={**_values(definition_of(row)), "shipped": row["shipped"], "epoch": epoch, "deleted": True},
                values={"epoch": epoch, "deleted_at": now, "updated_at": now},
            )
        ],
    )


async def _check(
    session: WriteSession,
    catalogue: Catalogue,
    definition: Definition,
    held: Collection[RoleRights] | None,
    before: Definition | None = None,
) -> None:
    # What the role says already stays good, although the service that knew it may be gone or yet to come.
    codes = catalogue.codes if before is None else catalogue.codes | set(before.permissions)
    check_permissions(definition.permissions, codes)
    check_scopes(definition.scopes, catalogue.record_types, ALL, await sets.live(session))
    if held is not None and adds_rights(held, RoleRights(definition.permissions, definition.scopes), ALL):
        raise RightsNotYours


def definition_of(row: Any) -> Definition:
    """A row as it was defined."""
    return Definition(
        name=row["name"],
        description=row["description"],
        permissions=tuple(row["permissions"]),
        scopes=store.scopes_of(row["scopes"]),
    )


def _values(definition: Definition) -> dict[str, Any]:
    return {
        "name": definition.name,
        "description": definition.description,
        "permissions": sorted(set(definition.permissions)),
        "scopes": {
            record: {
                action: {"scope": rule.scope, "set_id": None if rule.set_id is None else str(rule.set_id)}
                for action, rule in classes.items()
            }
            for record, classes in definition.scopes.items()
        },
    }

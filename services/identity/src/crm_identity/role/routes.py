"""Roles and the permission catalogue over HTTP."""

import uuid
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints

from crm_authz import Rule
from crm_contracts.identity import ScopeRule
from crm_identity.desk import desk_of
from crm_identity.models import LongText, Name, Request, left_out
from crm_identity.organisation import store as organisation
from crm_identity.role import actions, store
from crm_identity.role.actions import Definition
from crm_identity.role.rules import (
    RightsNotYours,
    RoleHeld,
    RoleImmutable,
    RoleNameTaken,
    RoleNotFound,
    UnacceptableRole,
)
from crm_identity.user.actions import authority_of
from crm_kernel import FieldError, Stale
from crm_web import Json, ReadUnit, Router, WriteUnit

router = Router("identity", tag="Roles")

_EXAMPLE = {
    "id": "01900000-0000-7000-8000-000000000003",
    "version": 1,
    "name": "Key account manager",
    "description": "Works on their own customers.",
    "shipped": None,
    "permissions": ["customers.customer:read", "customers.customer:update"],
    "scopes": {"customers.customer": {"*": {"scope": "self", "set_id": None}}},
    "epoch": 1,
}
Code = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Permissions = Annotated[list[Code], Field(max_length=2000)]
Scopes = Annotated[dict[Code, dict[Code, ScopeRule]], Field(max_length=500)]


class Role(BaseModel):
    """shipped: key of a role that came with the product. permissions: `<service>.<record>:<action>`, parts may be `*`.

    scopes: `<service>.<record>`, `<service>.*` or `*` → action class (`read`, `write`, `delete`, `transfer`, `export`, or `*`) →
    rule. epoch: raised by every edit of permissions or scopes.
    """

    id: uuid.UUID
    version: int
    name: str
    description: str
    shipped: str | None
    permissions: list[str]
    scopes: dict[str, dict[str, ScopeRule]]
    epoch: int


class RoleList(BaseModel):
    """All roles, by name; they are few."""

    items: list[Role]
    next: None = None


class CreateRole(Request):
    """A new role."""

    name: Name
    description: LongText = ""
    permissions: Permissions = Field(default_factory=list)
    scopes: Scopes = Field(default_factory=dict)


class PatchRole(Request):
    """What is to change; permissions and scopes are replaced as a whole."""

    name: Name = left_out()
    description: LongText = left_out()
    permissions: Permissions = left_out()
    scopes: Scopes = left_out()


class Permission(BaseModel):
    """One operation. names: in English, Korean, Chinese and Russian."""

    code: str
    names: dict[str, str]


class Catalogue(BaseModel):
    """Every operation that a role can permit, by code."""

    items: list[Permission]
    next: None = None


@router.get(
    "/permissions",
    access="authenticated",
    example={"items": [{"code": "identity.role:read", "names": {"en": "Role: view"}}], "next": None},
)
async def list_permissions(unit: ReadUnit) -> Catalogue:
    """The permission catalogue, of all services."""
    entries = desk_of(unit).catalogue.entries
    return Catalogue(items=[Permission(code=entry.code, names=dict(entry.names)) for entry in entries])


@router.get("/roles", permission="identity.role:read", example={"items": [_EXAMPLE], "next": None})
async def list_roles(unit: ReadUnit) -> RoleList:
    """All roles."""
    return RoleList(items=[_view(row) for row in await store.all_of(unit.session)])


@router.get("/roles/{id}", permission="identity.role:read", response=Role, errors=[RoleNotFound], example=_EXAMPLE)
async def get_role(id: uuid.UUID, unit: ReadUnit) -> Json:
    """One role."""
    return _answer(await store.one(unit.session, id))


@router.post(
    "/roles",
    permission="identity.role:create",
    status=201,
    response=Role,
    errors=[UnacceptableRole, RoleNameTaken, RightsNotYours],
    example=_EXAMPLE,
)
async def create_role(body: CreateRole, unit: WriteUnit) -> Json:
    """Define a role; with rights that the caller has."""
    authority = await authority_of(unit.session, unit.caller.user_id)
    definition = Definition(body.name, body.description, body.permissions, _rules(body.scopes))
    role_id = await actions.create(unit.session, desk_of(unit).catalogue, definition, held=authority.held)
    return _answer(await store.one(unit.session, role_id), status=201)


@router.patch(
    "/roles/{id}",
    permission="identity.role:update",
    response=Role,
    errors=[RoleNotFound, Stale, RoleImmutable, UnacceptableRole, RoleNameTaken, RightsNotYours],
    example=_EXAMPLE,
)
async def change_role(id: uuid.UUID, body: PatchRole, unit: WriteUnit) -> Json:
    """Edit a role. Tokens of its holders are refused from then on; their clients refresh and go on."""
    fields = body.given()
    if "scopes" in fields:
        fields["scopes"] = _rules(body.scopes)
    authority = await authority_of(unit.session, unit.caller.user_id)
    await organisation.lock(unit.session)
    row = await store.locked(unit.session, id)
    unit.require_match(row["version"])
    await actions.change(unit.session, desk_of(unit).catalogue, row, fields, held=authority.held)
    return _answer(await store.one(unit.session, id))


@router.delete(
    "/roles/{id}",
    permission="identity.role:delete",
    status=204,
    errors=[RoleNotFound, RoleImmutable, RoleHeld],
)
async def delete_role(id: uuid.UUID, unit: WriteUnit) -> None:
    """Remove a role that nobody holds."""
    await actions.remove(unit.session, id)


def _rules(scopes: Mapping[str, Mapping[str, ScopeRule]]) -> dict[str, dict[str, Rule]]:
    """The scopes as rules. Raises UnacceptableRole when a set is missing, or named where there is none."""
    found: dict[str, dict[str, Rule]] = {}
    errors = []
    for record, classes in scopes.items():
        for action, given in classes.items():
            if (given.scope == "departments") != (given.set_id is not None):
                pointer = f"/scopes/{record}/{action}/set_id"
                errors.append(FieldError(pointer, "scope.set", "A set is named exactly for the scope `departments`."))
                continue
            found.setdefault(record, {})[action] = Rule(given.scope, given.set_id)
    if errors:
        raise UnacceptableRole(errors=errors)
    return found


def _view(row: Any) -> Role:
    return Role(**{name: row[name] for name in Role.model_fields})


def _answer(row: Any, *, status: int = 200) -> Json:
    location = f"{router.prefix}/roles/{row['id']}" if status == 201 else None
    return Json(_view(row), status=status, etag=row["version"], location=location)

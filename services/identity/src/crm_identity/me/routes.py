"""What the caller is and may do (`/me`), and why somebody may or may not (`/access/explain`, ID-16)."""

import uuid
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel

from crm_authz import Explanation, Grants, encode_claims, explain
from crm_identity.credential.rules import UnacceptablePassword, WrongPassword
from crm_identity.desk import context_of, desk_of
from crm_identity.me import actions
from crm_identity.models import Request, left_out
from crm_identity.session.rules import TooManyAttempts
from crm_identity.user import models, store
from crm_identity.user.models import EXAMPLE, Locale, Password, TimeZone
from crm_identity.user.rules import UserNotFound
from crm_kernel import Stale
from crm_web import Json, Limits, ReadUnit, Router, SessionlessUnit, WriteUnit

router = Router("identity", tag="Me")


class HeldRole(BaseModel):
    """A role of the caller."""

    id: uuid.UUID
    name: str
    shipped: str | None


class Standing(BaseModel):
    """Where the caller stands. department_path: names from the root down to the department."""

    department_id: uuid.UUID
    department_name: str | None
    department_path: list[str]
    business_area: str | None
    superior_id: uuid.UUID | None
    superior_name: str | None


class Me(BaseModel):
    """permissions: service → record or `*` → actions. scopes: service → record or `*` → action class or `*` → rules; a more exact
    key wins over `*`. Both as in the access token.
    """

    user: models.User
    roles: list[HeldRole]
    place: Standing
    permissions: dict[str, dict[str, list[str]]]
    scopes: dict[str, dict[str, dict[str, list[str]]]]
    modules: list[str]
    session_id: uuid.UUID
    client: str


class PatchMe(Request):
    """What everybody chooses for themself."""

    locale: Locale | None = left_out()
    time_zone: TimeZone | None = left_out()


class ChangePassword(Request):
    """current_password: guarded like a log-in."""

    current_password: Password
    new_password: Password


class ExplainedRule(BaseModel):
    """A rule of a role. role_id null: the super administrator's own right."""

    role_id: uuid.UUID | None
    role: str
    rule: str


class AccessExplanation(BaseModel):
    """decided_by: `status`, `permission`, `scope` or `membership`. missing: what is not there, null when allowed. granted_by: roles
    that give the permission. scopes: rules that reach the record; rules: all that the user has here.

    Identity knows no records: their owner is taken as given, and their team members are not known here.
    """

    allowed: bool
    decided_by: Literal["status", "permission", "scope", "membership"]
    permission: str
    missing: str | None
    granted_by: list[str]
    scopes: list[ExplainedRule]
    rules: list[ExplainedRule]


_ME = {
    "user": EXAMPLE,
    "roles": [{"id": EXAMPLE["id"], "name": "Sales representative", "shipped": "sales_representative"}],
    "place": {
        "department_id": EXAMPLE["department_id"],
        "department_name": "Central",
        "department_path": ["Example Ltd", "Central"],
        "business_area": "sales",
        "superior_id": None,
        "superior_name": None,
    },
    "permissions": {"customers": {"customer": ["read", "update"]}},
    "scopes": {"customers": {"*": {"*": ["self"]}}},
    "modules": ["customers"],
    "session_id": "01900000-0000-7000-8000-000000000007",
    "client": "first-party",
}


@router.get("/me", access="authenticated", response=Me, example=_ME)
async def get_me(unit: ReadUnit) -> Json:
    """The caller: profile, place, roles, permissions and data scopes."""
    row = await store.own(unit.session, unit.caller.user_id)
    return Json(_me(unit, row), etag=row["version"])


@router.patch("/me", access="authenticated", response=Me, errors=[Stale], example=_ME)
async def change_me(body: PatchMe, unit: WriteUnit) -> Json:
    """Change the caller's own language and time zone."""
    await actions.change_settings(unit.session, unit.caller.user_id, body.given(), admits=unit.require_match)
    row = await store.own(unit.session, unit.caller.user_id)
    return Json(_me(unit, row), etag=row["version"])


@router.post(
    "/me/password",
    access="authenticated",
    status=204,
    limits=Limits(body_bytes=16 * 1024, rate="login"),
    errors=[WrongPassword, UnacceptablePassword, TooManyAttempts],
)
async def change_my_password(body: ChangePassword, unit: SessionlessUnit) -> None:
    """Change the caller's password. All their other sessions end; this one refreshes and goes on."""
    await actions.change_password(
        desk_of(unit).login,
        unit.database,
        unit.caller,
        body.current_password.get_secret_value(),
        body.new_password.get_secret_value(),
        context_of(unit),
    )


@router.get(
    "/access/explain",
    permission="identity.user:explain",
    scoped=True,
    errors=[UserNotFound],
    example={
        "allowed": False,
        "decided_by": "permission",
        "permission": "customers.customer:export",
        "missing": "customers.customer:export",
        "granted_by": [],
        "scopes": [],
        "rules": [],
    },
)
async def explain_access(
    unit: ReadUnit,
    user: uuid.UUID,
    record_type: Annotated[str, Query(pattern=r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$", max_length=100)],
    action: Annotated[str, Query(pattern=r"^[a-z][a-z0-9_]*$", max_length=100)],
    owner_id: uuid.UUID | None = None,
) -> AccessExplanation:
    """Why a user may or may not do something to a record with this owner (none: a record that nobody owns)."""
    scope = unit.scope("identity.user", "read")
    await store.one(unit.session, scope, user, self_id=unit.caller.user_id)
    found = explain(unit.directory, user, record_type, action, owner_id=owner_id, now=unit.now)
    return _explanation(found)


def _explanation(found: Explanation) -> AccessExplanation:
    def rules(grounds: Any) -> list[ExplainedRule]:
        return [ExplainedRule(role_id=one.role_id, role=one.role, rule=one.rule) for one in grounds]

    return AccessExplanation(
        allowed=found.allowed,
        decided_by=found.decided_by,
        permission=found.permission,
        missing=found.missing,
        granted_by=list(found.granted_by),
        scopes=rules(found.scopes),
        rules=rules(found.rules),
    )


def _me(unit: ReadUnit | WriteUnit, row: Any) -> Me:
    directory, caller = unit.directory, unit.caller
    claims = encode_claims(Grants(caller.user_id, caller.permissions, caller.scopes))
    held = [directory.roles[role] for role in row["role_ids"] if role in directory.roles]
    department = directory.departments.get(row["department_id"])
    superior = row["superior_id"]
    return Me(
        user=models.view(row),
        roles=[HeldRole(id=role.id, name=role.name, shipped=role.shipped) for role in held],
        place=Standing(
            department_id=row["department_id"],
            department_name=directory.department_name(row["department_id"]),
            department_path=[
                directory.department_name(above) or "" for above in directory.department_path(row["department_id"])
            ],
            business_area=None if department is None else department.business_area,
            superior_id=superior,
            superior_name=None if superior is None else directory.user_name(superior),
        ),
        permissions=claims["perm"],
        scopes=claims["scp"],
        modules=sorted(caller.modules),
        session_id=caller.session_id,
        client=caller.client_id,
    )

"""Users over HTTP: their profiles and status."""

import uuid
from typing import Annotated, Any

from fastapi import Query

from crm_identity.credential.rules import UnacceptablePassword
from crm_identity.department.rules import UnknownDepartment
from crm_identity.desk import desk_of
from crm_identity.hand_over.rules import SuccessorNotActive
from crm_identity.models import RowAnswer, RowsAnswer, read_rows, refused, rows_answer
from crm_identity.user import actions, batch, leaving, list_store, models, password, reach, store
from crm_identity.user.batch import OutOfReach
from crm_identity.user.models import EXAMPLE
from crm_identity.user.rules import (
    EmailTaken,
    LastSuperAdmin,
    LoginMissing,
    MobileTaken,
    NotActivated,
    OnlySuperAdmin,
    RoleNotYours,
    StatusAction,
    StatusForbids,
    SuperiorCycle,
    UnknownRole,
    UnknownSuperior,
    UserNotFound,
    UserStatus,
)
from crm_kernel import Stale
from crm_web import Json, Limits, ReadUnit, Router, WriteUnit

router = Router("identity", tag="Users")

_RULES = [
    UnknownDepartment,
    UnknownSuperior,
    UnknownRole,
    LoginMissing,
    EmailTaken,
    MobileTaken,
    SuperiorCycle,
    OnlySuperAdmin,
    RoleNotYours,
    OutOfReach,
]
_CHANGE = [UserNotFound, Stale, LastSuperAdmin, *_RULES]
_STATUS = [UserNotFound, Stale, StatusForbids, OnlySuperAdmin, LastSuperAdmin, OutOfReach]


def reach_of(unit: WriteUnit) -> reach.Reach:
    """Whom the caller sees and may change."""
    return reach.Reach(unit.scope("identity.user", "read"), unit.scope("identity.user", "write"), unit.caller.user_id)


@router.get(
    "/users", permission="identity.user:read", scoped=True, example={"items": [EXAMPLE], "next": None, "count": 1}
)
async def list_users(
    unit: ReadUnit,
    q: Annotated[str | None, Query(max_length=200)] = None,
    status: UserStatus | None = None,
    department_id: uuid.UUID | None = None,
    superior_id: uuid.UUID | None = None,
    role_id: uuid.UUID | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=2048)] = None,
    count: Annotated[str, Query(pattern="^(none|exact)$")] = "none",
) -> models.UserList:
    """The users whom the caller may see, by name. `q` is looked for in name, e-mail and number."""
    wanted = list_store.Filter(status, department_id, superior_id, role_id, q)
    scope, own = unit.scope("identity.user", "read"), unit.caller.user_id
    after = _position(unit, cursor, wanted)
    rows = await list_store.page(unit.session, scope, wanted, self_id=own, after=after, limit=limit + 1)
    number = await list_store.count(unit.session, scope, wanted, self_id=own) if count == "exact" else None
    return models.UserList(
        items=[models.view(row) for row in rows[:limit]], next=_next(unit, rows, limit, wanted), count=number
    )


@router.get(
    "/users/{id}",
    permission="identity.user:read",
    scoped=True,
    response=models.User,
    errors=[UserNotFound],
    example=EXAMPLE,
)
async def get_user(id: uuid.UUID, unit: ReadUnit) -> Json:
    """One user's profile."""
    scope = unit.scope("identity.user", "read")
    return _answer(await store.one(unit.session, scope, id, self_id=unit.caller.user_id))


@router.post(
    "/users",
    permission="identity.user:create",
    scoped=True,
    status=201,
    response=models.User,
    errors=_RULES,
    example=EXAMPLE,
)
async def create_user(body: models.CreateUser, unit: WriteUnit) -> Json:
    """Add a user, who then waits for activation."""
    authority = await actions.authority_of(unit.session, unit.caller.user_id)
    reach_of(unit).require(body.superior_id)
    fields = body.model_dump()
    fields["external_ref"] = body.external_ref.pair if body.external_ref else None
    fields["role_ids"] = tuple(body.role_ids)
    user = await actions.create(unit.session, authority, fields)
    return _answer(await store.own(unit.session, user.id), status=201)


@router.patch(
    "/users/{id}",
    permission="identity.user:update",
    scoped=True,
    response=models.User,
    errors=_CHANGE,
    example=EXAMPLE,
)
async def change_user(id: uuid.UUID, body: models.PatchUser, unit: WriteUnit) -> Json:
    """Change a profile, a place or roles. Another place or role makes older tokens of that user worthless."""
    fields = body.given()
    if "role_ids" in fields:
        fields["role_ids"] = tuple(body.role_ids)
    authority = await actions.authority_of(unit.session, unit.caller.user_id)
    before = await reach.lock_changeable(unit.session, reach_of(unit), id, unit.require_match)
    await actions.change(unit.session, authority, before, fields)
    return _answer(await store.own(unit.session, id))


@router.post(
    "/users/batch",
    permission="identity.user:import",
    scoped=True,
    response=RowsAnswer,
    limits=Limits(body_bytes=4 * 1024 * 1024, timeout_seconds=60, rate="bulk"),
    example={"ok": 1, "failed": 0, "rows": [{"index": 0, "status": "ok", "done": "created", "id": EXAMPLE["id"]}]},
)
async def batch_users(body: models.BatchUsers, unit: WriteUnit) -> RowsAnswer:
    """Create or change many users by external reference. Passwords cost about 25 ms each."""
    good, bad = read_rows(models.UserRow, body.rows)
    rows = [_row(row) for row in good.values()]
    authority = await actions.authority_of(unit.session, unit.caller.user_id)
    hashes = await batch.hash_passwords(unit.session, desk_of(unit).hasher, rows)
    scope = unit.scope("identity.user", "write")
    reached = None if scope.everything else scope.owners
    results = await batch.upsert(unit.session, authority, rows, hashes, reached=reached)
    return rows_answer([*bad.values(), *map(_row_answer, good, results)])


@router.post(
    "/users/{id}/activate",
    permission="identity.user:activate",
    scoped=True,
    response=models.User,
    errors=[NotActivated, UnacceptablePassword, *_STATUS],
    example=EXAMPLE,
)
async def activate_user(id: uuid.UUID, body: models.ActivateUser, unit: WriteUnit) -> Json:
    """Make a user active: with a first password, or with the one they have."""
    await reach.require_changeable(unit.session, reach_of(unit), id)
    authority = await actions.authority_of(unit.session, unit.caller.user_id)
    chosen = body.password.get_secret_value() if body.password else None
    await password.activate(unit.session, desk_of(unit).hasher, authority, id, chosen)
    return _answer(await store.own(unit.session, id))


@router.post(
    "/users/{id}/activation-code",
    permission="identity.user:activate",
    scoped=True,
    errors=_STATUS,
    example={"code": "nUuO…", "expires_at": "2026-03-08T09:00:00Z"},
)
async def create_activation_code(id: uuid.UUID, unit: WriteUnit) -> models.ActivationCode:
    """A one-time code with which a new user chooses a password; told this once. An earlier code is void."""
    await reach.require_changeable(unit.session, reach_of(unit), id)
    authority = await actions.authority_of(unit.session, unit.caller.user_id)
    code = await password.issue_code(unit.session, authority, id)
    return models.ActivationCode(code=code.code, expires_at=code.expires_at)


@router.post(
    "/users/{id}/deactivate",
    permission="identity.user:deactivate",
    scoped=True,
    response=models.User,
    errors=_STATUS,
    example=EXAMPLE,
)
async def deactivate_user(id: uuid.UUID, unit: WriteUnit) -> Json:
    """Lock a user out until they are activated again."""
    return await _status(unit, id, "deactivate")


@router.post(
    "/users/{id}/dismiss",
    permission="identity.user:dismiss",
    scoped=True,
    response=models.User,
    errors=[*_STATUS, SuccessorNotActive],
    example=EXAMPLE,
)
async def dismiss_user(id: uuid.UUID, unit: WriteUnit, body: models.DismissUser | None = None) -> Json:
    """The user left the company: their open records go to the successor, in every service (`GET /users/{id}/hand-overs`). Only a super
    administrator can take a dismissal back.
    """
    authority = await actions.authority_of(unit.session, unit.caller.user_id)
    before = await reach.lock_changeable(unit.session, reach_of(unit), id, unit.require_match)
    await leaving.dismiss(
        unit.session,
        authority,
        before,
        successor_id=None if body is None else body.successor_id,
        dismissed_by=unit.caller.user_id,
        deployed=[name for name in unit.runtime.settings.services.split(",") if name],
    )
    return _answer(await store.own(unit.session, id))


@router.post(
    "/users/{id}/reinstate",
    permission="identity.user:dismiss",
    scoped=True,
    response=models.User,
    errors=_STATUS,
    example=EXAMPLE,
)
async def reinstate_user(id: uuid.UUID, unit: WriteUnit) -> Json:
    """Take a dismissal back; for super administrators. A hand-over under way is cancelled; what changed hands stays the successor's."""
    authority = await actions.authority_of(unit.session, unit.caller.user_id)
    before = await reach.lock_changeable(unit.session, reach_of(unit), id, unit.require_match)
    await leaving.reinstate(unit.session, authority, before)
    return _answer(await store.own(unit.session, id))


async def _status(unit: WriteUnit, user_id: uuid.UUID, action: StatusAction) -> Json:
    authority = await actions.authority_of(unit.session, unit.caller.user_id)
    before = await reach.lock_changeable(unit.session, reach_of(unit), user_id, unit.require_match)
    await actions.set_status(unit.session, authority, before, action)
    return _answer(await store.own(unit.session, user_id))


def _position(unit: ReadUnit, cursor: str | None, wanted: list_store.Filter) -> list_store.Position | None:
    if cursor is None:
        return None
    name, last = unit.open_cursor(cursor, query=_binding(wanted))
    return name, uuid.UUID(last)


def _next(unit: ReadUnit, rows: list[Any], limit: int, wanted: list_store.Filter) -> str | None:
    if len(rows) <= limit:
        return None
    last = rows[limit - 1]
    return unit.sign_cursor([last["name_key"], last["id"]], query=_binding(wanted))


def _binding(wanted: list_store.Filter) -> dict[str, Any]:
    return {name: None if value is None else str(value) for name, value in vars(wanted).items()}


def _row(row: models.UserRow) -> batch.Row:
    left = ("external_ref", "department_ref", "superior_ref", "password")
    fields = {name: value for name, value in row.given().items() if name not in left}
    if "role_ids" in fields:
        fields["role_ids"] = tuple(row.role_ids)
    return batch.Row(
        ref=row.external_ref.pair,
        fields=fields,
        department_ref=row.department_ref.pair if row.department_ref else None,
        superior_ref=row.superior_ref.pair if row.superior_ref else None,
        password=row.password.get_secret_value() if row.password else None,
    )


def _row_answer(index: int, result: batch.RowResult) -> RowAnswer:
    if result.refusal is not None:
        return refused(index, result.refusal)
    return RowAnswer.model_validate({"index": index, "status": "ok", "done": result.status, "id": result.id})


def _answer(row: Any, *, status: int = 200) -> Json:
    location = f"{router.prefix}/users/{row['id']}" if status == 201 else None
    return Json(models.view(row), status=status, etag=row["version"], location=location)

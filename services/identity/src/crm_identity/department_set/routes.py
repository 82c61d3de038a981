"""Named sets of departments over HTTP."""

import uuid
from typing import Annotated, Any

from pydantic import BaseModel, Field

from crm_identity.department_set import actions, store
from crm_identity.department_set.rules import DepartmentSetNotFound, DepartmentSetUsed, UnknownMember
from crm_identity.models import Name, Request, left_out
from crm_identity.organisation import store as organisation
from crm_kernel import Stale
from crm_web import Json, ReadUnit, Router, WriteUnit

router = Router("identity", tag="Department sets")

_EXAMPLE = {
    "id": "01900000-0000-7000-8000-000000000009",
    "version": 1,
    "name": "North",
    "departments": [],
    "subtrees": ["01900000-0000-7000-8000-000000000005"],
}
Ids = Annotated[list[uuid.UUID], Field(max_length=1000)]


class DepartmentSet(BaseModel):
    """departments: chosen alone. subtrees: chosen with all below them."""

    id: uuid.UUID
    version: int
    name: str
    departments: list[uuid.UUID]
    subtrees: list[uuid.UUID]


class DepartmentSetList(BaseModel):
    """All sets, by name; they are few."""

    items: list[DepartmentSet]
    next: None = None


class CreateDepartmentSet(Request):
    """A new set."""

    name: Name
    departments: Ids = Field(default_factory=list)
    subtrees: Ids = Field(default_factory=list)


class PatchDepartmentSet(Request):
    """What is to change."""

    name: Name = left_out()
    departments: Ids = left_out()
    subtrees: Ids = left_out()


@router.get("/department-sets", permission="identity.department_set:read", example={"items": [_EXAMPLE], "next": None})
async def list_department_sets(unit: ReadUnit) -> DepartmentSetList:
    """All named sets of departments."""
    return DepartmentSetList(items=[_view(row) for row in await store.all_of(unit.session)])


@router.get(
    "/department-sets/{id}",
    permission="identity.department_set:read",
    response=DepartmentSet,
    errors=[DepartmentSetNotFound],
    example=_EXAMPLE,
)
async def get_department_set(id: uuid.UUID, unit: ReadUnit) -> Json:
    """One set."""
    return _answer(await store.one(unit.session, id))


@router.post(
    "/department-sets",
    permission="identity.department_set:create",
    status=201,
    response=DepartmentSet,
    errors=[UnknownMember],
    example=_EXAMPLE,
)
async def create_department_set(body: CreateDepartmentSet, unit: WriteUnit) -> Json:
    """Define a set."""
    set_id = await actions.create(unit.session, body.model_dump())
    return _answer(await store.one(unit.session, set_id), status=201)


@router.patch(
    "/department-sets/{id}",
    permission="identity.department_set:update",
    response=DepartmentSet,
    errors=[DepartmentSetNotFound, Stale, UnknownMember],
    example=_EXAMPLE,
)
async def change_department_set(id: uuid.UUID, body: PatchDepartmentSet, unit: WriteUnit) -> Json:
    """Change a set; whoever has it in a scope reaches the new departments from then on."""
    await organisation.lock(unit.session)
    row = await store.locked(unit.session, id)
    unit.require_match(row["version"])
    await actions.change(unit.session, row, body.given())
    return _answer(await store.one(unit.session, id))


@router.delete(
    "/department-sets/{id}",
    permission="identity.department_set:delete",
    status=204,
    errors=[DepartmentSetNotFound, DepartmentSetUsed],
)
async def delete_department_set(id: uuid.UUID, unit: WriteUnit) -> None:
    """Remove a set that no role names."""
    await actions.remove(unit.session, id)


def _view(row: Any) -> DepartmentSet:
    return DepartmentSet(**{name: row[name] for name in DepartmentSet.model_fields})


def _answer(row: Any, *, status: int = 200) -> Json:
    location = f"{router.prefix}/department-sets/{row['id']}" if status == 201 else None
    return Json(_view(row), status=status, etag=row["version"], location=location)

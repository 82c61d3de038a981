"""Departments over HTTP."""

import uuid
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, Field, WithJsonSchema

from crm_identity.department import actions, store
from crm_identity.department.actions import ExternalRefTaken, Row, RowResult, UnknownManager
from crm_identity.department.rules import (
    BusinessArea,
    DepartmentCycle,
    DepartmentNotEmpty,
    DepartmentNotFound,
    RootStays,
    UnknownDepartment,
)
from crm_identity.models import (
    MAX_ROWS,
    ExternalRef,
    Name,
    Request,
    RowAnswer,
    RowsAnswer,
    left_out,
    read_rows,
    refused,
    rows_answer,
)
from crm_kernel import Stale
from crm_web import Json, Limits, ReadUnit, Router, WriteUnit

router = Router("identity", tag="Departments")

_EXAMPLE = {
    "id": "01900000-0000-7000-8000-000000000005",
    "version": 1,
    "name": "Central",
    "parent_id": "01900000-0000-7000-8000-000000000001",
    "manager_id": None,
    "business_area": "sales",
    "position": 1,
    "path": ["01900000-0000-7000-8000-000000000001", "01900000-0000-7000-8000-000000000005"],
    "external_ref": None,
}
Position = Annotated[int, Field(ge=0, le=1_000_000)]


class Department(BaseModel):
    """A node of the organisation tree. path: from the root to itself. position: order among its siblings."""

    id: uuid.UUID
    version: int
    name: str
    parent_id: uuid.UUID | None
    manager_id: uuid.UUID | None
    business_area: BusinessArea
    position: int
    path: list[uuid.UUID]
    external_ref: ExternalRef | None


class DepartmentList(BaseModel):
    """A page, parents before their children. next: the cursor of the next one, null on the last."""

    items: list[Department]
    next: str | None


class CreateDepartment(Request):
    """A new department below an existing one."""

    name: Name
    parent_id: uuid.UUID
    business_area: BusinessArea
    manager_id: uuid.UUID | None = None
    position: Position = 0
    external_ref: ExternalRef | None = None


class PatchDepartment(Request):
    """What is to change; another `parent_id` moves the department with all below it."""

    name: Name = left_out()
    parent_id: uuid.UUID | None = left_out()
    business_area: BusinessArea = left_out()
    manager_id: uuid.UUID | None = left_out()
    position: Position = left_out()


class DepartmentRow(Request):
    """external_ref decides whether it is new. The parent is named by id, or as the other system knows it (also one of the same
    batch); a new department without either stands below the root.
    """

    external_ref: ExternalRef
    name: Name
    business_area: BusinessArea
    parent_id: uuid.UUID | None = None
    parent_ref: ExternalRef | None = None
    manager_id: uuid.UUID | None = None
    position: Position = 0


class BatchDepartments(Request):
    """Up to 1000 rows; a row that is wrong is answered and does not stop the others."""

    rows: Annotated[
        list[
            Annotated[Any, WithJsonSchema(DepartmentRow.model_json_schema(ref_template="#/components/schemas/{model}"))]
        ],
        Field(min_length=1, max_length=MAX_ROWS),
    ]


@router.get(
    "/departments", access="authenticated", response=DepartmentList, example={"items": [_EXAMPLE], "next": None}
)
async def list_departments(
    unit: ReadUnit, limit: Annotated[int, Query(ge=1, le=200)] = 200, cursor: str | None = None
) -> DepartmentList:
    """The organisation tree, parents before their children."""
    after = uuid.UUID(unit.open_cursor(cursor, query={})[0]) if cursor else None
    rows = await store.page(unit.session, after=after, limit=limit + 1)
    following = unit.sign_cursor([rows[limit - 1]["id"]], query={}) if len(rows) > limit else None
    return DepartmentList(items=[_view(row) for row in rows[:limit]], next=following)


@router.get(
    "/departments/{id}", access="authenticated", response=Department, errors=[DepartmentNotFound], example=_EXAMPLE
)
async def get_department(id: uuid.UUID, unit: ReadUnit) -> Json:
    """One department."""
    return _answer(await store.one(unit.session, id))


@router.post(
    "/departments",
    permission="identity.department:create",
    status=201,
    response=Department,
    errors=[UnknownDepartment, UnknownManager, ExternalRefTaken],
    example=_EXAMPLE,
)
async def create_department(body: CreateDepartment, unit: WriteUnit) -> Json:
    """Add a department."""
    fields = {**body.model_dump(), "external_ref": body.external_ref.pair if body.external_ref else None}
    department_id = await actions.create(unit.session, fields)
    return _answer(await store.one(unit.session, department_id), status=201)


@router.patch(
    "/departments/{id}",
    permission="identity.department:update",
    response=Department,
    errors=[DepartmentNotFound, Stale, DepartmentCycle, RootStays, UnknownDepartment, UnknownManager],
    example=_EXAMPLE,
)
async def change_department(id: uuid.UUID, body: PatchDepartment, unit: WriteUnit) -> Json:
    """Rename, reorder, give a manager; or move a department with all below it."""
    await actions.change(unit.session, id, body.given(), admits=unit.require_match)
    return _answer(await store.one(unit.session, id))


@router.delete(
    "/departments/{id}",
    permission="identity.department:delete",
    status=204,
    errors=[DepartmentNotFound, Stale, DepartmentNotEmpty, RootStays],
)
async def delete_department(id: uuid.UUID, unit: WriteUnit) -> None:
    """Remove an empty department."""
    await actions.remove(unit.session, id, admits=unit.require_match)


@router.post(
    "/departments/batch",
    permission="identity.department:import",
    response=RowsAnswer,
    limits=Limits(body_bytes=4 * 1024 * 1024, timeout_seconds=60, rate="bulk"),
    example={"ok": 1, "failed": 0, "rows": [{"index": 0, "status": "ok", "done": "created", "id": _EXAMPLE["id"]}]},
)
async def batch_departments(body: BatchDepartments, unit: WriteUnit) -> RowsAnswer:
    """Create or change many departments by external reference."""
    good, bad = read_rows(DepartmentRow, body.rows)
    results = await actions.upsert(unit.session, [_row(row) for row in good.values()])
    return rows_answer([*bad.values(), *map(_row_answer, good, results)])


def _row(row: DepartmentRow) -> Row:
    fields = {n: v for n, v in row.given().items() if n not in ("external_ref", "parent_ref")}
    if fields.get("parent_id") is None:
        fields.pop("parent_id", None)
    return Row(ref=row.external_ref.pair, fields=fields, parent_ref=row.parent_ref.pair if row.parent_ref else None)


def _row_answer(index: int, result: RowResult) -> RowAnswer:
    if result.refusal is not None:
        return refused(index, result.refusal)
    return RowAnswer.model_validate({"index": index, "status": "ok", "done": result.status, "id": result.id})


def _view(row: Any) -> Department:
    ref = None
    if row["external_system"] is not None:
        ref = ExternalRef(system=row["external_system"], id=row["external_id"])
    fields = {name: row[name] for name in Department.model_fields if name != "external_ref"}
    return Department(**fields, external_ref=ref)


def _answer(row: Any, *, status: int = 200) -> Json:
    location = f"{router.prefix}/departments/{row['id']}" if status == 201 else None
    return Json(_view(row), status=status, etag=row["version"], location=location)

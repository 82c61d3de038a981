"""Routes: create, read, change, delete, restore one record."""

from typing import Any

from crm_authz import TargetOutOfScope
from crm_kernel import NotFound, Stale
from crm_records.actions.change import change_record
from crm_records.actions.create import create_record
from crm_records.actions.lifecycle import delete_record, restore_record
from crm_records.beside import add_beside
from crm_records.drafts import Record
from crm_records.inputs import given_of
from crm_records.models import Id
from crm_records.reading import read_json
from crm_records.record_type import RecordType
from crm_records.refusals import (
    ExternalRefTaken,
    NotDeleted,
    OccurredInFuture,
    OwnerNotActive,
    RecordOutOfScope,
    RestoreTooLate,
)
from crm_records.routes.names import example_view, singular, typed
from crm_records.rows import to_bytes, view_of
from crm_records.writing import read_parts
from crm_web import Json, ReadUnit, Router, WriteUnit

_SEEN = (NotFound, RecordOutOfScope, Stale)


def add_single(router: Router, record: RecordType, without: frozenset[str]) -> None:
    """Add the operations on one record, but for those in `without`."""
    named = singular(record)
    title = record.title.lower()
    path = f"{record.path}/{{id}}"
    view = {"response": record.models.view, "example": example_view(record)}

    async def create(body: Any, unit: WriteUnit) -> Any:
        made = await create_record(unit, record, given_of(record, body))
        location = f"{router.prefix}{record.path}/{made.id}"
        return Json(await whole(unit, record, made), status=201, etag=made.version, location=location)

    async def read(id: Id, unit: ReadUnit) -> Any:
        scope = unit.scope(record.key, "read") if record.scoped else None
        shown = await read_json(unit.session, record, scope, id)
        await add_beside(unit, record, [shown])
        return Json(to_bytes(shown), etag=shown["version"])

    async def change(id: Id, body: Any, unit: WriteUnit) -> Any:
        after = await change_record(unit, record, id, given_of(record, body))
        return Json(await whole(unit, record, after), etag=after.version)

    async def delete(id: Id, unit: WriteUnit) -> Any:
        after = await delete_record(unit, record, id)
        return Json(await whole(unit, record, after), etag=after.version)

    async def restore(id: Id, unit: WriteUnit) -> Any:
        after = await restore_record(unit, record, id)
        return Json(await whole(unit, record, after), etag=after.version)

    router.get(
        path,
        operation_id=f"read_{named}",
        summary=f"Read one {title}",
        permission=record.permission("read"),
        errors=(NotFound,),
        **view,
    )(read)
    if "create" not in without:
        router.post(
            record.path,
            operation_id=f"create_{named}",
            summary=f"Create a {title}",
            permission=record.permission("create"),
            status=201,
            errors=(ExternalRefTaken, TargetOutOfScope, OwnerNotActive, OccurredInFuture, *record.refusals("create")),
            **view,
        )(typed(create, body=record.models.create))
    if "update" not in without:
        router.patch(
            path,
            operation_id=f"change_{named}",
            summary=f"Change fields of a {title}",
            permission=record.permission("update"),
            errors=(*_SEEN, ExternalRefTaken, OccurredInFuture, *record.refusals("change")),
            **view,
        )(typed(change, body=record.models.patch))
    if "delete" not in without:
        router.delete(
            path,
            operation_id=f"delete_{named}",
            summary=f"Delete a {title}; it can be restored for 30 days",
            permission=record.permission("delete"),
            errors=(*_SEEN, *record.refusals("delete")),
            **view,
        )(delete)
        router.post(
            f"{path}/restore",
            operation_id=f"restore_{named}",
            summary=f"Restore a deleted {title}",
            permission=record.permission("restore"),
            errors=(*_SEEN, NotDeleted, RestoreTooLate, *record.refusals("restore")),
            **view,
        )(restore)


async def whole(unit: WriteUnit, record: RecordType, after: Record) -> bytes:
    """The JSON of a record that was just written (or left alone), parts included."""
    parts = (
        after.parts if after.parts is not None else (await read_parts(unit.session, record, [after.id])).get(after.id)
    )
    return to_bytes(view_of(record, after, parts))

"""Routes: history, and setting values back (PL-23)."""

import uuid
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import Path, Query

from crm_kernel import FieldError, Invalid, NotFound, Stale
from crm_records.actions.revert import revert_fields
from crm_records.history import MAX_ENTRIES, read_history
from crm_records.models import Id
from crm_records.reading import read_record
from crm_records.record_type import RecordType
from crm_records.refusals import NothingToRevert, RecordOutOfScope
from crm_records.routes.bodies import HistoryPage, RevertBody
from crm_records.routes.names import EXAMPLE_CURSOR, example_view, singular
from crm_records.routes.single import whole
from crm_records.rows import to_bytes
from crm_web import Json, ReadUnit, Router, WriteUnit

_USER = "01900000-0000-7000-8000-000000000002"
Reader = Callable[..., Awaitable[tuple[list[dict[str, Any]], int | None]]]


def add_history(router: Router, record: RecordType) -> None:
    """Add GET …/history and POST …/history/{version}/revert."""
    named = singular(record)
    title = record.title.lower()
    path = f"{record.path}/{{id}}/history"

    async def history(
        id: Id,
        unit: ReadUnit,
        limit: Annotated[int, Query(ge=1, le=MAX_ENTRIES)] = 50,
        cursor: Annotated[str | None, Query(max_length=4000)] = None,
    ) -> Any:
        return await page_of(unit, record, id, limit, cursor, read_history)

    async def revert(
        id: Id,
        version: Annotated[int, Path(ge=1, le=2**31 - 1)],
        body: RevertBody,
        unit: WriteUnit,
    ) -> Any:
        after = await revert_fields(unit, record, id, version, body.fields)
        return Json(await whole(unit, record, after), etag=after.version)

    router.get(
        path,
        operation_id=f"read_{named}_history",
        summary=f"What was done with a {title}: who, when, from where, which values",
        permission=record.permission("read"),
        response=HistoryPage,
        errors=(NotFound,),
        example={"items": [_entry(record)], "next": EXAMPLE_CURSOR},
    )(history)
    router.post(
        f"{path}/{{version}}/revert",
        operation_id=f"revert_{named}",
        summary=f"Set fields of a {title} back to what they were before an entry of its history",
        permission=record.permission("update"),
        response=record.models.view,
        errors=(NotFound, RecordOutOfScope, Stale, NothingToRevert, *record.refusals("change")),
        example=example_view(record),
    )(revert)


async def page_of(
    unit: ReadUnit, record: RecordType, record_id: uuid.UUID, limit: int, cursor: str | None, reader: Reader
) -> Json:
    """A page of a record's history. Raises NotFound for records that the caller doesn't see (deleted ones: may not restore)."""
    if not 1 <= limit <= MAX_ENTRIES:
        raise Invalid(errors=[FieldError("query:limit", "field.too_large", f"1 to {MAX_ENTRIES}")])
    scope = unit.scope(record.key, "read") if record.scoped else None
    deleted = unit.caller.allows(record.permission("restore"))
    await read_record(unit.session, record, scope, record_id, deleted="include" if deleted else "exclude")
    bound = [str(record_id)]
    before = None if cursor is None else unit.open_cursor(cursor, query=bound)[0]
    items, following = await reader(unit.session, record, record_id, before=before, limit=limit)
    answer = {"items": items, "next": None if following is None else unit.sign_cursor([following], query=bound)}
    return Json(to_bytes(answer))


def _entry(record: RecordType) -> dict[str, Any]:
    handed_over = record.events.transferred
    owner = {"owner_id": {"old": _USER, "new": "01900000-0000-7000-8000-000000000003"}}
    named = {"name": {"old": "Exmaple", "new": "Example"}}
    return {
        "event_id": "01900000-0000-7000-8000-000000000043",
        "version": 2,
        "type": (handed_over or record.events.changed).type,
        "fact": "transferred" if handed_over else "changed",
        "occurred_at": "2026-03-01T09:00:00Z",
        "recorded_at": "2026-03-01T09:00:00Z",
        "actor": {"kind": "user", "id": _USER},
        "origin": {"channel": "api", "address": "192.0.2.10"},
        "changes": owner if handed_over else named,
        **({"reason": "moved to another team"} if handed_over else {}),
    }

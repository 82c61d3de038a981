"""Routes: many records in one request (PL-9)."""

from typing import Any

from crm_kernel import Forbidden
from crm_records.actions.batch import write_batch
from crm_records.models import MAX_ROWS, RowsAnswer
from crm_records.record_type import RecordType
from crm_records.routes.names import example_view, plural, typed
from crm_records.row_answers import rows_answer
from crm_records.rows import to_bytes
from crm_web import Json, Limits, Router, WriteUnit

#: A thousand rows with long texts.
BULK = Limits(body_bytes=10 * 1024 * 1024, timeout_seconds=60, rate="bulk")


def add_bulk(router: Router, record: RecordType) -> None:
    """Add POST …/batch."""

    async def batch(body: Any, unit: WriteUnit) -> Any:
        outcomes = await write_batch(unit, record, body.mode, body.rows)
        return Json(to_bytes(rows_answer(outcomes, "rows")))

    router.post(
        f"{record.path}/batch",
        operation_id=f"batch_{plural(record)}",
        summary=(
            f"Create, change or upsert up to {MAX_ROWS} {record.title.lower()} records; "
            f"needs the permissions to create, to update, or both"
        ),
        # Which permission it takes is in the body; the action asks for it.
        access="authenticated",
        response=RowsAnswer,
        errors=(Forbidden,),
        limits=BULK,
        example={
            "ok": 1,
            "failed": 0,
            "rows": [{"index": 0, "status": "ok", "done": "created", "id": example_view(record)["id"], "version": 1}],
        },
    )(typed(batch, body=record.models.batch))

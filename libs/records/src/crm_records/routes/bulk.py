"""Routes: many records in one request, or as a job (PL-9)."""

from typing import Any

from crm_jobs import JOB_EXAMPLE, STEP_ROWS, JobView, TooManyOpenJobs, accepted, start_job
from crm_kernel import FieldError, Forbidden, Malformed
from crm_records.actions.batch import require_mode, write_batch
from crm_records.actions.change import change_many, read_values
from crm_records.jobs.batch import repeated_rows
from crm_records.jobs.kinds import batch_kind, change_kind
from crm_records.jobs.matching import named_ids, start_over
from crm_records.models import MAX_JOB_ROWS, MAX_ROWS, RowsAnswer
from crm_records.record_type import RecordType
from crm_records.refusals import TooManyMatches
from crm_records.routes.names import example_view, plural, typed
from crm_records.row_answers import rows_answer
from crm_records.rows import to_bytes
from crm_web import Json, Limits, Router, WriteUnit

#: A thousand rows with long texts.
BULK = Limits(body_bytes=10 * 1024 * 1024, timeout_seconds=60, rate="bulk")
#: Fifty thousand rows of an ordinary length.
LARGE = Limits(body_bytes=32 * 1024 * 1024, timeout_seconds=60, rate="bulk")


def add_bulk(router: Router, record: RecordType) -> None:
    """Add POST …/batch and …/batch-jobs."""

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

    async def batch_job(body: Any, unit: WriteUnit) -> Any:
        require_mode(unit, record, body.mode)
        rows = body.rows
        _require_keepable(rows)
        parts = [rows[start : start + STEP_ROWS] for start in range(0, len(rows), STEP_ROWS)]
        asked = {"mode": body.mode, "repeated": repeated_rows(body.mode, rows)}
        return accepted(record.service, await start_job(unit, batch_kind(record), asked, total=len(rows), parts=parts))

    router.post(
        f"{record.path}/batch-jobs",
        operation_id=f"batch_{plural(record)}_as_job",
        summary=f"Create, change or upsert up to {MAX_JOB_ROWS} {record.title.lower()} records, as a job",
        access="authenticated",
        status=202,
        response=JobView,
        errors=(Forbidden, TooManyOpenJobs),
        limits=LARGE,
        example={**JOB_EXAMPLE, "kind": batch_kind(record).name},
    )(typed(batch_job, body=record.models.batch_job))


def _require_keepable(rows: Any) -> None:
    """Raise Malformed for half a surrogate pair, which no JSON document can hold: rows are kept as they came until the job reads them.

    NUL was refused when the body was read.
    """
    try:
        to_bytes(rows)
    except (TypeError, ValueError) as error:
        raise Malformed(
            errors=[FieldError("/rows", "field.unreadable", "Contains half of a surrogate pair")]
        ) from error


def add_change_many(router: Router, record: RecordType) -> None:
    """Add POST …/change."""

    async def change(body: Any, unit: WriteUnit) -> Any:
        read_values(record, body.values)
        ids = await named_ids(unit, record, "write", ids=body.ids, filter=body.filter)
        if ids is None:
            asked = {"values": body.values}
            kind = change_kind(record)
            job = await start_over(unit, record, kind, "write", asked, ids=body.ids, filter=body.filter)
            return accepted(record.service, job)
        return Json(to_bytes(rows_answer(await change_many(unit, record, ids, body.values), "values", ids=ids)))

    router.post(
        f"{record.path}/change",
        operation_id=f"change_{plural(record)}",
        summary=f"Change {record.title.lower()} records, by ids or filter, all alike; more than {MAX_ROWS} as a job",
        permission=record.permission("update"),
        response=RowsAnswer,
        also={202: JobView},
        errors=(TooManyMatches, TooManyOpenJobs),
        limits=BULK,
        example={
            "ok": 1,
            "failed": 0,
            "rows": [{"index": 0, "status": "ok", "done": "changed", "id": example_view(record)["id"], "version": 2}],
        },
    )(typed(change, body=record.models.change_many))

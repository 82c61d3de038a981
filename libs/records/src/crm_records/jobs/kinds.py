"""The kinds of job that every record type has."""

import uuid
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from crm_jobs import Job, JobKind, JobRow, JobUnit, StepDone
from crm_records.actions.change import change_many
from crm_records.actions.transfer import transfer_records
from crm_records.jobs.batch import batch_step
from crm_records.jobs.matching import Chunk, next_chunk
from crm_records.record_type import RecordType
from crm_records.row_answers import Outcome


def record_jobs(record: RecordType) -> list[JobKind]:
    """What `Service(jobs=Jobs([…]))` names for a record type: `<key>.batch`, `.change`, and for records with owners `.transfer`."""
    return [batch_kind(record), change_kind(record), *([transfer_kind(record)] if record.scoped else [])]


@lru_cache(maxsize=200)
def transfer_kind(record: RecordType) -> JobKind:
    """Give many records to another owner. parameters: to_user_id, stay, reason, filter (None: ids in the parts)."""

    async def step(unit: JobUnit, job: Job) -> StepDone:
        chunk = await next_chunk(unit, record, "transfer", job)
        asked = job.parameters
        to = uuid.UUID(asked["to_user_id"])
        outcomes = await transfer_records(unit, record, chunk.ids, to, stay=asked["stay"], reason=asked["reason"])
        return _stepped(chunk, outcomes, "ids")

    return JobKind(f"{record.key}.transfer", record.permission("transfer"), step)


@lru_cache(maxsize=200)
def change_kind(record: RecordType) -> JobKind:
    """The same change of many records. parameters: values (as they were sent), filter (None: ids in the parts)."""

    async def step(unit: JobUnit, job: Job) -> StepDone:
        chunk = await next_chunk(unit, record, "write", job)
        outcomes = await change_many(unit, record, chunk.ids, job.parameters["values"])
        return _stepped(chunk, outcomes, "values")

    return JobKind(f"{record.key}.change", record.permission("update"), step)


def _stepped(chunk: Chunk, outcomes: Sequence[Outcome], member: str) -> StepDone:
    """member: of the body, which what is wrong with a row points into."""
    rows: list[JobRow] = []
    for outcome, record_id in zip(outcomes, chunk.ids, strict=True):
        outcome.record_id = record_id
        index = chunk.index + outcome.index
        rows.append(outcome.row(index, "/values" if member == "values" else f"/{member}/{index}"))
    return StepDone(rows, chunk.position, chunk.last)


@lru_cache(maxsize=200)
def batch_kind(record: RecordType) -> JobKind:
    """Create, change or upsert many rows. parameters: mode, repeated (rows left out). Which permission it takes is in the mode."""

    async def step(unit: JobUnit, job: Job) -> StepDone:
        return await batch_step(unit, record, job)

    return JobKind(f"{record.key}.batch", None, step)


def parameters_of(**given: Any) -> dict[str, Any]:
    """Parameters as they are kept: ids as text."""
    return {name: str(value) if isinstance(value, uuid.UUID) else value for name, value in given.items()}

"""The records that a job is about: ids that it was given, or all that match a filter, found step by step."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crm_authz.rules import ActionClass
from crm_jobs import STEP_ROWS, Job, JobUnit, start_job
from crm_jobs.kind import JobKind
from crm_kernel import FieldError, Invalid
from crm_records.asked import ask
from crm_records.inputs import CLOCK_TOLERANCE
from crm_records.listing import count_matching, following_ids, matching_ids
from crm_records.models import MAX_ROWS
from crm_records.reading import filter_context
from crm_records.record_type import RecordType
from crm_records.refusals import TooManyMatches
from crm_web import WriteUnit

#: More records than this are not changed by one job.
MAX_MATCHES = 1_000_000


@dataclass(frozen=True)
class Chunk:
    """The records of one step. index: of the first. position: where the next step begins. last: whether there is none."""

    ids: Sequence[uuid.UUID]
    index: int
    position: Any
    last: bool


async def named_ids(
    unit: WriteUnit, record: RecordType, action: ActionClass, *, ids: Sequence[uuid.UUID] | None, filter: Any
) -> list[uuid.UUID] | None:
    """The records that a request is about, by ids or filter; None when they are too many for it, and a job is needed.

    Raises Invalid unless exactly one of both is given, or when an id stands twice.
    """
    if (ids is None) == (filter is None):
        raise Invalid(errors=[FieldError("/ids", "field.required", "Either ids or a filter")])
    if ids is not None:
        if len(set(ids)) != len(ids):
            raise Invalid(errors=[FieldError("/ids", "field.repeated", "An id stands twice")])
        return list(ids) if len(ids) <= MAX_ROWS else None
    asked = ask(record, filter_context(unit), filter=filter, at="/")
    found = await matching_ids(unit.session, record, _scopes(unit, record, action), asked, limit=MAX_ROWS + 1)
    return found if len(found) <= MAX_ROWS else None


async def start_over(
    unit: WriteUnit,
    record: RecordType,
    kind: JobKind,
    action: ActionClass,
    parameters: Mapping[str, Any],
    *,
    ids: Sequence[uuid.UUID] | None,
    filter: Any,
) -> Job:
    """Ask for a job over records. Raises TooManyMatches beyond a million."""
    if ids is not None:
        parts = [list(ids[start : start + STEP_ROWS]) for start in range(0, len(ids), STEP_ROWS)]
        return await start_job(unit, kind, {**parameters, "filter": None}, total=len(ids), parts=parts)
    asked = ask(record, filter_context(unit), filter=filter, at="/")
    scopes = _scopes(unit, record, action)
    total = await count_matching(
        unit.session, record, scopes, asked, made_before=unit.now + CLOCK_TOLERANCE, limit=MAX_MATCHES + 1
    )
    if total > MAX_MATCHES:
        detail = f"More than {MAX_MATCHES} records match; narrow the filter"
        raise TooManyMatches(detail, errors=[FieldError("/filter", TooManyMatches.code, detail)])
    return await start_job(unit, kind, {**parameters, "filter": filter}, total=total)


async def next_chunk(unit: JobUnit, record: RecordType, action: ActionClass, job: Job) -> Chunk:
    """The records of this step.

    By filter, they are looked for behind the last one, in the order of their ids, with the rights of this moment: what was dealt with
    is not met again even if it still matches, and what the person reaches no more is not met at all.
    """
    if job.parameters["filter"] is None:
        part = 0 if job.position is None else int(job.position)
        given = await unit.given(part)
        ids = [uuid.UUID(one) for one in given or ()]
        last = job.total is None or job.processed + len(ids) >= job.total
        return Chunk(ids, job.processed, part + 1, last or not ids)
    # Days are those of the moment it was asked for: the set must not move at midnight.
    asked = ask(record, filter_context(unit, now=job.created_at), filter=job.parameters["filter"], at="/")
    found = await following_ids(
        unit.session,
        record,
        _scopes(unit, record, action),
        asked,
        after=None if job.position is None else uuid.UUID(job.position),
        # What another process made just before may bear a later time than ours.
        made_before=job.created_at + CLOCK_TOLERANCE,
        limit=min(STEP_ROWS, MAX_MATCHES - job.processed) or 1,
    )
    if job.processed >= MAX_MATCHES:
        found = []
    return Chunk(found, job.processed, str(found[-1]) if found else job.position, len(found) < STEP_ROWS)


def _scopes(unit: WriteUnit | JobUnit, record: RecordType, action: ActionClass) -> list[Any]:
    """Within both scopes: what may be changed but not seen must not show in the rows."""
    return [unit.scope(record.key, "read"), unit.scope(record.key, action)] if record.scoped else []

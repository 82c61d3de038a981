"""Rows of a batch that is too large for one request."""

from collections.abc import Sequence
from typing import Any

import asyncpg

from crm_jobs import Job, JobUnit, StepDone
from crm_kernel import Refusal
from crm_records.actions.batch import Mode, write_batch
from crm_records.record_type import RecordType
from crm_records.refusals import ExternalRefRepeated, RecordRepeated
from crm_records.row_answers import Outcome
from crm_web.problems import refusal_for


async def batch_step(unit: JobUnit, record: RecordType, job: Job) -> StepDone:
    """The next part of the rows. parameters: mode, repeated: {index: which refusal} of rows that an earlier row stands in the way of."""
    part = 0 if job.position is None else int(job.position)
    raw_rows = await unit.given(part) or []
    first = job.processed
    repeated = job.parameters["repeated"]
    outcomes: dict[int, Outcome] = {}
    kept: list[int] = []
    for place in range(len(raw_rows)):
        why = repeated.get(str(first + place))
        if why is None:
            kept.append(place)
        else:
            refusal = RecordRepeated() if why == "id" else ExternalRefRepeated()
            outcomes[place] = Outcome(place, refusal=refusal)
    written = await _write(unit, record, job.parameters["mode"], [raw_rows[place] for place in kept])
    outcomes.update(zip(kept, written, strict=True))
    rows = [outcomes[place].row(first + place, f"/rows/{first + place}") for place in range(len(raw_rows))]
    last = job.total is None or first + len(rows) >= job.total
    return StepDone(rows, part + 1, last or not rows)


async def _write(unit: JobUnit, record: RecordType, mode: Mode, rows: Sequence[Any]) -> list[Outcome]:
    """All rows at once; one by one when a value among them must be unique and is not, so that only that row is refused.

    Under savepoints, because a failed statement would end the transaction and with it the other rows.
    """
    if not rows:
        return []
    # Raw SQL: savepoints have no form in SQLAlchemy Core.
    await unit.session.connection.execute("SAVEPOINT rows")
    try:
        outcomes = await write_batch(unit, record, mode, rows)
    except asyncpg.UniqueViolationError as error:
        # Raw SQL: the same savepoint.
        await unit.session.connection.execute("ROLLBACK TO SAVEPOINT rows")
        if len(rows) == 1:
            refusal: Refusal = refusal_for(error)
            return [Outcome(0, refusal=refusal)]
        return [(await _write(unit, record, mode, [row]))[0] for row in rows]
    # Raw SQL: the same savepoint.
    await unit.session.connection.execute("RELEASE SAVEPOINT rows")
    return outcomes


def repeated_rows(mode: Mode, rows: Sequence[Any]) -> dict[str, str]:
    """The rows that are about what an earlier row is about: index → `id` or `external_ref`. Seen before they are taken apart."""
    seen: set[tuple[str, ...]] = set()
    found: dict[str, str] = {}
    for index, row in enumerate(rows):
        if not isinstance(row, dict):
            continue
        named = row.get("id") if mode == "change" else None
        reference = row.get("external_ref")
        keys: list[tuple[str, ...]] = []
        if isinstance(named, str):
            keys.append(("id", named.lower()))
        if isinstance(reference, dict):
            keys.append(("external_ref", str(reference.get("system")), str(reference.get("id"))))
        again = next((key for key in keys if key in seen), None)
        if again is not None:
            found[str(index)] = again[0]
        seen.update(keys)
    return found

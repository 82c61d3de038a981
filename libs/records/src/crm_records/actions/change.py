"""Change fields of records (PL-7, PL-20)."""

import uuid
from collections.abc import Sequence
from typing import Any

from crm_kernel import FieldError, Invalid, NotFound, Refusal
from crm_records.drafts import Change, Record
from crm_records.fields import Settings
from crm_records.hooks import Writing
from crm_records.inputs import Given, check_occurred_at, given_of, placed, read_body, settings_of, settle_values
from crm_records.locking import lock_one, lock_records, refuse_out_of_scope
from crm_records.record_type import RecordType
from crm_records.references import reference_refused
from crm_records.row_answers import Outcome
from crm_records.writing import write_changes


def change_of(
    unit: Writing, record: RecordType, found: Record, given: Given, *, index: int = 0, settings: Settings | None = None
) -> Change:
    """A change from what was sent: values settled. Refused rows carry their refusal."""
    change = Change(
        index=index,
        record=found,
        values=dict(given.values),
        external_ref=given.external_ref,
        external_ref_changes=given.external_ref_given,
        occurred_at=given.occurred_at,
        inputs=given.inputs,
    )
    try:
        check_occurred_at(unit, record, given.occurred_at)
        change.values = settle_values(record, given.values, settings or settings_of(unit))
    except Refusal as refusal:
        change.refuse(refusal)
    return change


async def change_records(unit: Writing, record: RecordType, changes: Sequence[Change]) -> list[Change]:
    """Change what is not refused and differs; answers the changes that were written.

    The records are locked already, and the caller's right to change them was checked.
    """
    kept = [change for change in changes if change.refusal is None]
    if kept:
        await record.hooks.prepare_change(unit, kept)
    kept = [change for change in kept if change.refusal is None]
    written = await write_changes(unit, record, kept, record.events.changed)
    if written:
        await record.hooks.after_write(unit, written)
    return written


async def change_record(unit: Writing, record: RecordType, record_id: uuid.UUID, given: Given) -> Record:
    """Change one record. Raises NotFound, RecordOutOfScope, Stale (after the lock), ExternalRefTaken, its refusal."""
    found = await lock_one(unit, record, record_id, "write")
    change = change_of(unit, record, found, given)
    with reference_refused(record):
        await change_records(unit, record, [change])
    if change.refusal is not None:
        raise change.refusal
    return change.after or found


async def change_many(unit: Writing, record: RecordType, ids: Sequence[uuid.UUID], values: Any) -> list[Outcome]:
    """The same change of many records (PL-9); answers per id, in the order given. Each id may stand once.

    values: as they were sent. Raises Invalid when they can't be read, Forbidden when the caller may change no record at all; what
    concerns single records is in their outcomes.
    """
    unit.require(record.permission("update"))
    given = read_values(record, values)
    found = await lock_records(unit, record, ids)
    settings = settings_of(unit)
    outcomes: list[Outcome] = []
    changes: list[Change] = []
    for index, record_id in enumerate(ids):
        one = found.get(record_id)
        refusal = NotFound() if one is None else refuse_out_of_scope(unit, record, one, "write")
        if one is None or refusal is not None:
            outcomes.append(Outcome(index, refusal=refusal))
            continue
        change = change_of(unit, record, one, given, index=index, settings=settings)
        changes.append(change)
        outcomes.append(Outcome(index, change=change))
    await change_records(unit, record, changes)
    return outcomes


def read_values(record: RecordType, values: Any) -> Given:
    """The values of a change of many records, checked in form. Raises Invalid, with pointers into the whole body."""
    if not isinstance(values, dict) or not values:
        raise Invalid(errors=[FieldError("/values", "field.required", "Name the fields that change")])
    if "external_ref" in values:
        raise Invalid(errors=[FieldError("/values/external_ref", "field.read_only", "It is unique per record")])
    try:
        return given_of(record, read_body(record.models.patch, values))
    except Invalid as invalid:
        raise Invalid(errors=placed(invalid, "/values")) from None

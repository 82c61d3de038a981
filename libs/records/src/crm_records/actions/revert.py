"""Set fields back to what they were before one entry of the history (PL-23)."""

import uuid
from collections.abc import Sequence

from crm_kernel import FieldError, Invalid, NotFound
from crm_records.actions.change import change_of, change_records
from crm_records.drafts import Record
from crm_records.history import read_entry
from crm_records.hooks import Writing
from crm_records.inputs import given_of, read_body
from crm_records.locking import lock_one
from crm_records.record_type import RecordType
from crm_records.refusals import NothingToRevert


async def revert_fields(
    unit: Writing, record: RecordType, record_id: uuid.UUID, version: int, names: Sequence[str] | None
) -> Record:
    """Give fields the values that they had before `version` was recorded.

    names: which; None: all that the entry changed and that can be set. It is a change like any other: checked, recorded, with its own
    entry. Raises NotFound (record or entry), RecordOutOfScope, Stale, NothingToRevert, Invalid.
    """
    found = await lock_one(unit, record, record_id, "write")
    entry = await read_entry(unit.session, record, record_id, version)
    if entry is None:
        raise NotFound
    changed = entry["changes"]
    possible = [field.name for field in record.writable if field.name in changed]
    if entry["fact"] == "created" or not possible:
        raise NothingToRevert
    unknown = sorted(set(names or ()) - set(possible))
    if unknown:
        detail = f"Not changed by that entry, or not to be set: {', '.join(unknown)}"
        raise Invalid(errors=[FieldError("/fields", "field.choice", detail)])
    chosen = possible if names is None else list(names)
    body = read_body(record.models.patch, {name: changed[name]["old"] for name in chosen})
    change = change_of(unit, record, found, given_of(record, body))
    await change_records(unit, record, [change])
    if change.refusal is not None:
        raise change.refusal
    return change.after or found

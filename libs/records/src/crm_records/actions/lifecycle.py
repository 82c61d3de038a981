"""Delete softly, and restore within 30 days (PL-20)."""

import datetime as dt
import uuid

from crm_kernel import NotFound
from crm_records.drafts import Change, Record
from crm_records.hooks import Writing
from crm_records.inputs import first_refusal
from crm_records.locking import lock_one
from crm_records.record_type import RecordType
from crm_records.refusals import NotDeleted, RestoreTooLate
from crm_records.writing import write_changes

#: How long a deleted record can be restored.
RESTORABLE = dt.timedelta(days=30)


async def delete_record(unit: Writing, record: RecordType, record_id: uuid.UUID) -> Record:
    """Delete one record softly. Raises NotFound, RecordOutOfScope, Stale, and what its hooks refuse."""
    found = await lock_one(unit, record, record_id, "delete")
    change = Change(index=0, record=found, deleted_at=unit.now, deletion_changes=True, always=True)
    await record.hooks.prepare_delete(unit, [change])
    return await _write(unit, record, change, record.events.deleted)


async def restore_record(unit: Writing, record: RecordType, record_id: uuid.UUID) -> Record:
    """Bring a deleted record back. Raises NotFound, RecordOutOfScope, NotDeleted, RestoreTooLate, Stale, and its hooks' refusals."""
    found = await lock_one(unit, record, record_id, "delete", deleted="include")
    if found.deleted_at is None:
        raise NotDeleted
    if unit.now - found.deleted_at > RESTORABLE:
        raise RestoreTooLate
    change = Change(index=0, record=found, deleted_at=None, deletion_changes=True, always=True)
    await record.hooks.prepare_restore(unit, [change])
    return await _write(unit, record, change, record.events.restored)


async def _write(unit: Writing, record: RecordType, change: Change, event: type) -> Record:
    refusal = first_refusal([change])
    if refusal is not None:
        raise refusal
    await write_changes(unit, record, [change], event)
    await record.hooks.after_write(unit, [change])
    if change.after is None:
        raise NotFound
    return change.after

"""Create records (PL-20)."""

import uuid
from collections.abc import Sequence

from crm_kernel import FieldError, Forbidden, Refusal
from crm_kernel.ids import new_id
from crm_records.drafts import Draft, Record
from crm_records.fields import Settings
from crm_records.hooks import Writing
from crm_records.inputs import Given, check_occurred_at, settings_of, settle_values
from crm_records.numbers import draw_numbers
from crm_records.record_type import RecordType
from crm_records.references import reference_refused
from crm_records.refusals import OwnerNotActive
from crm_records.writing import write_drafts


def draft_of(
    unit: Writing, record: RecordType, given: Given, *, index: int = 0, settings: Settings | None = None
) -> Draft:
    """A draft from what was sent: values settled, owner chosen and checked. Refused rows carry their refusal."""
    draft = Draft(
        index=index,
        id=new_id(),
        values=dict(given.values),
        owner_given=given.owner_id is not None,
        external_ref=given.external_ref,
        occurred_at=given.occurred_at,
        inputs=given.inputs,
    )
    try:
        check_occurred_at(unit, record, given.occurred_at)
        draft.values = settle_values(record, given.values, settings or settings_of(unit))
        draft.owner_id = _owner(unit, record, given.owner_id)
    except Refusal as refusal:
        draft.refuse(refusal)
    return draft


def _owner(unit: Writing, record: RecordType, asked: uuid.UUID | None) -> uuid.UUID | None:
    """The owner of a new record: the caller, or whom the caller may create for."""
    if not record.scoped:
        return None
    caller = unit.session.context.actor_id
    if asked is None or asked == caller:
        return caller
    require_assignable(unit, record, asked)
    return asked


def require_assignable(unit: Writing, record: RecordType, owner_id: uuid.UUID) -> None:
    """Raise unless the caller may make somebody else a record's owner.

    It needs the permission `assign` or `transfer`, and a transfer scope that reaches the new owner, who must be active (ID-5).
    Raises Forbidden, TargetOutOfScope, OwnerNotActive.
    """
    try:
        unit.require(record.permission("assign"))
    except Forbidden:
        unit.require(record.permission("transfer"))
    unit.scope(record.key, "transfer").require_target(owner_id)
    if not unit.directory.is_active(owner_id):
        raise OwnerNotActive(errors=[FieldError("/owner_id", OwnerNotActive.code, "No such active user")])


async def prepare_drafts(unit: Writing, record: RecordType, drafts: Sequence[Draft]) -> list[Draft]:
    """Run the record type's rules and draw numbers; answers the drafts that were not refused."""
    open_drafts = [draft for draft in drafts if draft.refusal is None]
    if not open_drafts:
        return []
    await record.hooks.prepare_create(unit, open_drafts)
    kept = [draft for draft in open_drafts if draft.refusal is None]
    if record.number:
        unnumbered = [draft for draft in kept if draft.number is None]
        day = unit.calendar.today(unit.now)
        numbers = await draw_numbers(unit.session, record, len(unnumbered), day)
        for draft, number in zip(unnumbered, numbers, strict=True):
            draft.number = number
    return kept


async def create_records(unit: Writing, record: RecordType, drafts: Sequence[Draft]) -> list[Record]:
    """Create what is not refused, in the drafts' order.

    For one draft from the API and for rows of a batch alike; raises asyncpg's UniqueViolationError when an external reference is
    taken by somebody who writes at the same time.
    """
    kept = await prepare_drafts(unit, record, drafts)
    if not kept:
        return []
    made = await write_drafts(unit, record, kept)
    await record.hooks.after_write(unit, kept)
    return made


async def create_record(unit: Writing, record: RecordType, given: Given) -> Record:
    """Create one record from what was sent. Raises its refusal, or ExternalRefTaken."""
    draft = draft_of(unit, record, given)
    with reference_refused(record):
        made = await create_records(unit, record, [draft])
    if draft.refusal is not None:
        raise draft.refusal
    return made[0]


__all__ = ["create_record", "create_records", "draft_of", "prepare_drafts", "require_assignable"]

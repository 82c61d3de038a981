"""Give records to another owner (PL-22): one, many, or all that match."""

import uuid
from collections.abc import Sequence
from typing import Any, Literal

from crm_contracts import Member
from crm_kernel import FieldError, NotFound
from crm_records.drafts import Change, Record
from crm_records.hooks import Writing
from crm_records.locking import lock_records, refuse_out_of_scope
from crm_records.record_type import DeclarationError, RecordType
from crm_records.refusals import OwnerNotActive
from crm_records.row_answers import Outcome
from crm_records.writing import write_changes

Staying = Literal["none", "read", "write"]


async def transfer_records(
    unit: Writing,
    record: RecordType,
    ids: Sequence[uuid.UUID],
    to_user_id: uuid.UUID,
    *,
    stay: Staying = "none",
    reason: str | None = None,
    match_version: bool = False,
) -> list[Outcome]:
    """Make a user the owner of records; answers per id, in the order given. Each id may stand once.

    stay: what access the old owner keeps. match_version: compare If-Match (one record). Raises TargetOutOfScope, OwnerNotActive;
    what concerns single records is in their outcomes.
    """
    require_target(unit, record, to_user_id)
    found = await lock_records(unit, record, ids)
    outcomes: list[Outcome] = []
    changes: list[Change] = []
    for index, record_id in enumerate(ids):
        one = found.get(record_id)
        refusal = NotFound() if one is None else refuse_out_of_scope(unit, record, one, "transfer")
        if one is None or refusal is not None:
            outcomes.append(Outcome(index, refusal=refusal))
            continue
        if match_version:
            unit.require_match(one.version)
        change = _change(index, one, to_user_id, stay, reason)
        changes.append(change)
        outcomes.append(Outcome(index, change=change, done="transferred"))
    open_changes = [change for change in changes if change.owner_id != change.record.owner_id]
    if open_changes:
        await record.hooks.prepare_transfer(unit, open_changes)
    event = record.events.transferred
    if event is None:
        raise DeclarationError(f"{record.key} has no owners")
    written = await write_changes(unit, record, [change for change in changes if change.refusal is None], event)
    if written:
        await _store_members(unit, record, written, to_user_id, stay)
        await record.hooks.after_write(unit, written)
    return outcomes


def require_target(unit: Writing, record: RecordType, to_user_id: uuid.UUID) -> None:
    """Raise TargetOutOfScope or OwnerNotActive unless records may go to this user."""
    unit.scope(record.key, "transfer").require_target(to_user_id)
    if not unit.directory.is_active(to_user_id):
        raise OwnerNotActive(errors=[FieldError("/to_user_id", OwnerNotActive.code, "No such active user")])


def _change(index: int, one: Record, to: uuid.UUID, stay: Staying, reason: str | None) -> Change:
    # The new owner needs no membership any more; the old one may get one.
    members = [member for member in one.members if member.user_id != to]
    if stay != "none" and one.owner_id is not None and one.owner_id != to:
        members = [member for member in members if member.user_id != one.owner_id]
        members.append(Member(user_id=one.owner_id, right=stay))
    return Change(
        index=index,
        record=one,
        owner_id=to,
        owner_changes=True,
        members=sorted(members, key=lambda member: member.user_id),
        extra={"from_user_id": one.owner_id, "to_user_id": to, "reason": reason},
    )


# Raw SQL: one statement for all records of a transfer.
_STORE_MEMBERS = """
WITH gone AS (
  DELETE FROM record_member WHERE record_type = $1 AND record_id = ANY($2::uuid[]) AND user_id = $3
)
INSERT INTO record_member (record_type, record_id, user_id, "right")
SELECT $1, given.record_id, given.user_id, $6 FROM unnest($4::uuid[], $5::uuid[]) AS given(record_id, user_id)
ON CONFLICT (record_type, record_id, user_id) DO UPDATE SET "right" = excluded."right", expires_at = NULL
"""


async def _store_members(
    unit: Writing, record: RecordType, written: Sequence[Change], to: uuid.UUID, stay: Staying
) -> None:
    ids = [change.id for change in written]
    staying: list[tuple[Any, Any]] = []
    if stay != "none":
        staying = [(c.id, c.record.owner_id) for c in written if c.record.owner_id is not None]
    had_member = any(member.user_id == to for change in written for member in change.record.members)
    if not staying and not had_member:
        return
    right = "read" if stay == "none" else stay
    # Raw SQL: one upsert of many rows from arrays.
    await unit.session.connection.execute(
        _STORE_MEMBERS, record.key, ids, to, [pair[0] for pair in staying], [pair[1] for pair in staying], right
    )


__all__ = ["Staying", "require_target", "transfer_records"]

"""Who shares in a record: read or write, perhaps until an instant (PL-21). Given by whom the record belongs to, not by members."""

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from crm_authz import record_member
from crm_contracts import Member
from crm_database import WriteSession, query
from crm_kernel import FieldError, NotFound
from crm_records.drafts import Change, Record
from crm_records.fields.times import instant_text
from crm_records.hooks import Writing
from crm_records.locking import lock_one
from crm_records.record_type import DeclarationError, RecordType
from crm_records.refusals import MemberIsOwner, OwnerNotActive, TooManyMembers
from crm_records.writing import write_changes

#: More would not fit into an event together with a large record.
MAX_MEMBERS = 200

Right = Literal["read", "write"]

_given = insert(record_member).values(
    record_type=sa.bindparam("record_type"),
    record_id=sa.bindparam("record_id"),
    user_id=sa.bindparam("user_id"),
    right=sa.bindparam("right"),
    expires_at=sa.bindparam("expires_at"),
)
_put = query(
    _given.on_conflict_do_update(
        index_elements=["record_type", "record_id", "user_id"],
        set_={"right": _given.excluded.right, "expires_at": _given.excluded.expires_at},
    )
)
_take = query(
    sa.delete(record_member).where(
        record_member.c.record_type == sa.bindparam("of_type", type_=sa.Text()),
        record_member.c.record_id == sa.bindparam("of_record", type_=sa.Uuid()),
        record_member.c.user_id == sa.bindparam("of_user", type_=sa.Uuid()),
    )
)


async def put_member(
    unit: Writing,
    record: RecordType,
    record_id: uuid.UUID,
    user_id: uuid.UUID,
    right: Right,
    expires_at: dt.datetime | None,
) -> Record:
    """Give a user access to one record, or change it. Raises NotFound, RecordOutOfScope, Stale, MemberIsOwner, OwnerNotActive."""
    found = await lock_one(unit, record, record_id, "write", by_ownership=True)
    if found.owner_id == user_id:
        raise MemberIsOwner
    if not unit.directory.is_active(user_id):
        raise OwnerNotActive(errors=[FieldError("path:user_id", OwnerNotActive.code, "No such active user")])
    others = [member for member in found.members if member.user_id != user_id]
    if len(others) >= MAX_MEMBERS:
        raise TooManyMembers
    members = [*others, Member(user_id=user_id, right=right, expires_at=expires_at)]
    after = await _write(unit, record, found, members)
    await store_member(unit.session, record, record_id, user_id, right, expires_at)
    return after


async def remove_member(unit: Writing, record: RecordType, record_id: uuid.UUID, user_id: uuid.UUID) -> Record:
    """Take a user's access to one record away. Raises NotFound (also when the user is no member), RecordOutOfScope, Stale."""
    found = await lock_one(unit, record, record_id, "write", by_ownership=True)
    if all(member.user_id != user_id for member in found.members):
        raise NotFound
    after = await _write(unit, record, found, [member for member in found.members if member.user_id != user_id])
    await unit.session.execute(_take, of_type=record.key, of_record=record_id, of_user=user_id)
    return after


async def store_member(
    session: WriteSession,
    record: RecordType,
    record_id: uuid.UUID,
    user_id: uuid.UUID,
    right: Right,
    expires_at: dt.datetime | None,
) -> None:
    """Write one membership. The caller records the event."""
    await session.execute(
        _put, record_type=record.key, record_id=record_id, user_id=user_id, right=right, expires_at=expires_at
    )


async def _write(unit: Writing, record: RecordType, found: Record, members: Sequence[Member]) -> Record:
    event = record.events.members_changed
    if event is None:
        raise DeclarationError(f"{record.key} has no members")
    ordered = sorted(members, key=lambda member: member.user_id)
    if ordered == list(found.members):
        return found
    change = Change(index=0, record=found, members=ordered, always=True)
    change.noted["members"] = (members_json(found.members), members_json(ordered))
    await write_changes(unit, record, [change], event)
    return change.after or found


def members_json(members: Sequence[Member]) -> list[dict[str, Any]]:
    """Memberships as the API and the history show them."""
    return [
        {
            "user_id": str(member.user_id),
            "right": member.right,
            "expires_at": None if member.expires_at is None else instant_text(member.expires_at),
        }
        for member in members
    ]

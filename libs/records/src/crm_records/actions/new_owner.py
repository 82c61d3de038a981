"""Memberships of records that change hands by another action than the standard transfer: a new owner needs none (PL-21, PL-22).

Before the write `without_new_owner(change)`, after it `forget_new_owners(session, record, written)`.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_authz import record_member
from crm_database import WriteSession, query
from crm_records.drafts import Change
from crm_records.record_type import RecordType

_IDS = ARRAY(sa.Uuid())
_pairs = sa.func.unnest(sa.bindparam("record_ids", type_=_IDS), sa.bindparam("user_ids", type_=_IDS))
_given: Any = _pairs.table_valued("record_id", "user_id", name="new_owner").render_derived()
_FORGET = query(
    sa.delete(record_member).where(
        record_member.c.record_type == sa.bindparam("record_type", type_=sa.Text()),
        record_member.c.record_id == _given.c.record_id,
        record_member.c.user_id == _given.c.user_id,
    )
)


def without_new_owner(change: Change) -> None:
    """Leave the new owner out of the members that the event will tell of: else they would keep access after giving it up."""
    if _was_member(change):
        change.members = [member for member in change.record.members if member.user_id != change.owner_id]


async def forget_new_owners(session: WriteSession, record: RecordType, changes: Sequence[Change]) -> None:
    """Remove the memberships that `without_new_owner` left out; the records are locked."""
    gone = [(change.id, change.owner_id) for change in changes if _was_member(change)]
    if gone:
        await session.execute(
            _FORGET,
            record_type=record.key,
            record_ids=[record_id for record_id, _ in gone],
            user_ids=[user_id for _, user_id in gone],
        )


def _was_member(change: Change) -> bool:
    return any(member.user_id == change.owner_id for member in change.record.members)

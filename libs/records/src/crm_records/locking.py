"""Records read under their row locks, and the decision whether the caller may change them.

Read in the order of their ids, so that two requests over the same records wait for each other instead of dead-locking. A row that
waited for its lock is judged again afterwards: its owner by the statement itself, its members by a statement of their own, because
what a locked statement reads of other tables is older than the lock.
"""

import uuid
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_authz import Scope, Shape, record_member
from crm_authz.rules import ActionClass
from crm_contracts import Member
from crm_database import Query, ReadSession, query
from crm_kernel import NotFound
from crm_records.asked import Deleted
from crm_records.drafts import Record
from crm_records.hooks import Writing
from crm_records.record_type import RecordType
from crm_records.refusals import RecordOutOfScope
from crm_records.rows import all_columns, record_of

_IDS = ARRAY(sa.Uuid())

_members = query(
    sa.select(record_member.c.record_id, record_member.c.user_id, record_member.c.right, record_member.c.expires_at)
    .where(
        record_member.c.record_type == sa.bindparam("record_type", type_=sa.Text()),
        record_member.c.record_id == sa.func.any(sa.bindparam("ids", type_=_IDS)),
    )
    .order_by(record_member.c.record_id, record_member.c.user_id)
)


async def members_of(
    session: ReadSession, record: RecordType, ids: Sequence[uuid.UUID]
) -> Mapping[uuid.UUID, list[Member]]:
    """All memberships of records, the expired ones too."""
    found: dict[uuid.UUID, list[Member]] = {}
    for row in await session.fetch(_members, record_type=record.key, ids=list(ids)):
        member = Member(user_id=uuid.UUID(int=row["user_id"].int), right=row["right"], expires_at=row["expires_at"])
        found.setdefault(uuid.UUID(int=row["record_id"].int), []).append(member)
    return found


async def lock_records(
    unit: Writing, record: RecordType, ids: Sequence[uuid.UUID], *, deleted: Deleted = "exclude"
) -> dict[uuid.UUID, Record]:
    """The records that the caller sees, locked until the transaction ends; those it doesn't see are missing.

    deleted: whether deleted ones are among them. Their members are read too.
    """
    session = unit.session
    scope = unit.scope(record.key, "read") if record.scoped else None
    statement = _lock_statement(record, None if scope is None else scope.shape, deleted, ScopeHolder(scope))
    parameters: dict[str, Any] = {} if scope is None else scope.parameters(record.table)
    rows = await session.locked(record.table, statement, lock_ids=list(dict.fromkeys(ids)), **parameters)
    found = {(one := record_of(record, row)).id: one for row in rows}
    if scope is None or not found:
        return found
    members = await members_of(session, record, list(found))
    for one in found.values():
        one.members = members.get(one.id, ())
    return {id_: one for id_, one in found.items() if scope.reaches(one.owner_id, one.members)}


def refuse_out_of_scope(
    unit: Writing, record: RecordType, found: Record, action: ActionClass, *, by_ownership: bool = False
) -> RecordOutOfScope | None:
    """Why the caller may not do this with a record that it sees; None when it may.

    by_ownership: memberships don't count (sharing).
    """
    if not record.scoped:
        return None
    scope = unit.scope(record.key, action)
    if scope.reaches(found.owner_id, () if by_ownership else found.members):
        return None
    detail = f"Your data scope for {action} does not reach this {record.title.lower()}"
    return RecordOutOfScope(detail, extra={"scope": f"{record.key}:{action}"})


async def lock_one(
    unit: Writing,
    record: RecordType,
    record_id: uuid.UUID,
    action: ActionClass,
    *,
    deleted: Deleted = "exclude",
    by_ownership: bool = False,
) -> Record:
    """One record, locked, which the caller may change. Raises NotFound, RecordOutOfScope; Stale when If-Match doesn't match."""
    found = (await lock_records(unit, record, [record_id], deleted=deleted)).get(record_id)
    if found is None:
        raise NotFound
    refusal = refuse_out_of_scope(unit, record, found, action, by_ownership=by_ownership)
    if refusal is not None:
        raise refusal
    unit.require_match(found.version)
    return found


class ScopeHolder:
    """Carries a scope past the statement cache: the cache goes by its shape, and any scope of the shape gives the same text."""

    def __init__(self, scope: Scope | None) -> None:
        self.scope = scope

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ScopeHolder)


@lru_cache(maxsize=500)
def _lock_statement(record: RecordType, shape: Shape | None, deleted: Deleted, held: ScopeHolder) -> Query:
    del shape
    table = record.table
    select = sa.select(*all_columns(record)).where(
        table.c.id == sa.func.any(sa.bindparam("lock_ids", type_=_IDS, required=True))
    )
    if deleted == "exclude":
        select = select.where(table.c.deleted_at.is_(None))
    elif deleted == "only":
        select = select.where(table.c.deleted_at.is_not(None))
    if held.scope is not None:
        select = select.where(held.scope.open_predicate(table))
    # NO KEY: child rows that refer to the record may be added meanwhile; nobody changes its id.
    return query(select.order_by(table.c.id).with_for_update(key_share=True))

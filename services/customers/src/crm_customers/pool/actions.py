"""What happens in a pool (CU-43): claim, assign, release; and its settings (CU-40). Each move is one event of the customer."""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from crm_contracts.customers import (
    CustomerAssigned,
    CustomerClaimed,
    CustomerReleased,
    PoolChanged,
    PoolCreated,
    PoolMove,
)
from crm_customers.contact.actions import follow_owner
from crm_customers.customer.actions import CUSTOMER
from crm_customers.pool import store
from crm_customers.pool.rules import (
    AlreadyClaimed,
    NotInPool,
    NotPoolAdministrator,
    NotPoolMember,
    Pool,
    Pooled,
    check_assign,
    check_claim,
    check_release,
)
from crm_customers.pool.tables import pool as pool_table
from crm_events.record import Step, changes_between, record
from crm_kernel import FieldError, Invalid, NotFound, Refusal, new_id
from crm_records import (
    Change,
    Record,
    SystemUnit,
    forget_new_owners,
    lock_one,
    lock_records,
    require_assignable,
    without_new_owner,
    write_changes,
)
from crm_records.rows import all_columns, record_of
from crm_web import ReadUnit, WriteUnit

_HOUR, _DAY = dt.timedelta(hours=1), dt.timedelta(days=1)


class PoolUnknown(Invalid):
    """422: there is no such pool."""

    code = "pool.unknown"
    title = "There is no such pool"


def pool_of(row: asyncpg.Record) -> Pool:
    """A pool's row as the rules know it."""
    return Pool(
        id=uuid.UUID(int=row["id"].int),
        administrator_ids=_ids(row["administrator_ids"]),
        member_user_ids=_ids(row["member_user_ids"]),
        member_department_ids=_ids(row["member_department_ids"]),
        open_to_all=row["open_to_all"],
        daily_claim_cap=row["daily_claim_cap"],
        cooldown=row["cooldown_days"] * _DAY,
        hold=row["hold_hours"] * _HOUR,
    )


def _ids(found: Sequence[uuid.UUID]) -> frozenset[uuid.UUID]:
    return frozenset(uuid.UUID(int=one.int) for one in found)


async def member_pool(unit: ReadUnit | WriteUnit, pool_id: uuid.UUID) -> Pool:
    """The pool, of which the caller is a member. Raises NotFound, NotPoolMember."""
    row = await store.read_pool(unit.session, pool_id)
    if row is None:
        raise NotFound
    found = pool_of(row)
    if not is_member(unit, found) and not is_administrator(unit, found):
        raise NotPoolMember
    return found


def is_member(unit: ReadUnit | WriteUnit, pool: Pool) -> bool:
    """Whether the caller may claim from the pool."""
    user_id = unit.caller.user_id
    credit = unit.directory.credit_of(user_id)
    return pool.has_member(user_id, tuple(credit.department_path))


def is_administrator(unit: ReadUnit | WriteUnit, pool: Pool) -> bool:
    """Whether the caller administers the pool: named in it, or entitled to configure pools."""
    return unit.caller.user_id in pool.administrator_ids or unit.caller.allows("customers.pool:configure")


async def waiting(
    unit: ReadUnit, pool_id: uuid.UUID, after: tuple[dt.datetime, uuid.UUID] | None, limit: int
) -> list[Record]:
    """The customers in a pool, the longest waiting first, behind a position."""
    rows = await store.waiting(unit.session, all_columns(CUSTOMER), pool_id, after, limit)
    return [record_of(CUSTOMER, row) for row in rows]


async def claim(unit: WriteUnit, customer_id: uuid.UUID) -> Record:
    """The caller takes a customer out of its pool; exactly one of many who try at once gets it.

    Raises NotFound, NotInPool, AlreadyClaimed, OnHold, CoolingDown, ClaimCapReached.
    """
    found = await _lock_any(unit, customer_id)
    if found is None:
        raise NotFound
    ways = await store.ways_out(unit.session, [customer_id])
    way = ways[customer_id]
    if found["pool_id"] is None:
        raise await _why_not_pooled(unit, found, way.last_pool_id)
    row = await store.read_pool(unit.session, found["pool_id"])
    if row is None:
        raise NotFound
    pool = pool_of(row)
    if not is_member(unit, pool):
        raise NotFound
    me = unit.caller.user_id
    await store.one_claim_at_a_time(unit.session, pool.id, me)
    today = unit.calendar.today(unit.now)
    check_claim(
        pool,
        _pooled(found, way.previous_owner_id),
        user_id=me,
        claimed_today=await store.claims_since(unit.session, pool.id, me, unit.calendar.start_of(today)),
        next_day=unit.calendar.start_of(today + _DAY),
        now=unit.now,
    )
    taken = await _leave_pool(unit, [found], me, CustomerClaimed, ways, None)
    return taken[customer_id]


async def _why_not_pooled(unit: WriteUnit, found: Record, last_pool_id: uuid.UUID | None) -> Refusal:
    """Who could see the customer in its last pool learns that somebody was faster; who sees it anyway, that it is in none."""
    if last_pool_id is not None:
        row = await store.read_pool(unit.session, last_pool_id)
        if row is not None and is_member(unit, pool_of(row)):
            return AlreadyClaimed()
    if unit.scope(CUSTOMER.key, "read").reaches(found.owner_id, found.members):
        return NotInPool()
    return NotFound()


async def assign(
    unit: WriteUnit, pool_id: uuid.UUID, customer_ids: Sequence[uuid.UUID], user_id: uuid.UUID, reason: str | None
) -> list[tuple[uuid.UUID, Refusal | None]]:
    """An administrator gives customers of the pool to a user; answers per customer what refused it, in the order given.

    Raises NotFound, NotPoolAdministrator, and what require_assignable raises.
    """
    row = await store.read_pool(unit.session, pool_id)
    if row is None:
        raise NotFound
    pool = pool_of(row)
    if not is_administrator(unit, pool):
        raise NotPoolAdministrator
    require_assignable(unit, CUSTOMER, user_id)
    asked = list(dict.fromkeys(customer_ids))
    system = _system(unit, "an administrator assigns what is in the pool")
    found = await lock_records(system, CUSTOMER, asked)
    refusals: dict[uuid.UUID, Refusal] = {}
    leaving: list[Record] = []
    for customer_id in asked:
        one = found.get(customer_id)
        try:
            # An unknown customer is answered as one that has left: what is not in the pool is nobody's business here.
            if one is None:
                raise AlreadyClaimed
            check_assign(pool, _pooled(one, None))
            leaving.append(one)
        except AlreadyClaimed as refusal:
            refusals[customer_id] = refusal
    ways = await store.ways_out(unit.session, [one.id for one in leaving])
    await _leave_pool(unit, leaving, user_id, CustomerAssigned, ways, reason)
    return [(customer_id, refusals.get(customer_id)) for customer_id in asked]


async def release(unit: WriteUnit, customer_id: uuid.UUID, reason: str, pool_id: uuid.UUID | None) -> Record:
    """The owner gives a customer to a pool, the default one unless named (CU-45).

    Raises NotFound, RecordOutOfScope, AlreadyInPool, CustomerLocked, PoolUnknown.
    """
    found = await lock_one(unit, CUSTOMER, customer_id, "transfer", by_ownership=True)
    check_release(_pooled(found, None))
    row = await (store.default_pool(unit.session) if pool_id is None else store.read_pool(unit.session, pool_id))
    if row is None:
        raise PoolUnknown(errors=[FieldError("/pool_id", PoolUnknown.code, PoolUnknown.title)])
    target = uuid.UUID(int=row["id"].int)
    change = Change(
        index=0,
        record=found,
        values={"pool_id": target, "pooled_at": unit.now},
        owner_id=None,
        owner_changes=True,
        extra={"pool_id": target, "previous_owner_id": found.owner_id, "reason": reason},
        credit=None if found.owner_id is None else unit.directory.credit_of(found.owner_id),
    )
    await write_changes(unit, CUSTOMER, [change], CustomerReleased)
    await store.note_way(unit.session, customer_id, previous_owner_id=found.owner_id, pool_id=target)
    await follow_owner(unit, {customer_id: None})
    return change.after or found


async def _leave_pool(
    unit: WriteUnit,
    leaving: Sequence[Record],
    to: uuid.UUID,
    event: type[PoolMove],
    ways: Mapping[uuid.UUID, store.Way],
    reason: str | None,
) -> Mapping[uuid.UUID, Record]:
    """Give customers of a pool, locked, to a user, with their contacts; answers them as they are then."""
    changes = []
    for index, one in enumerate(leaving):
        change = Change(
            index=index,
            record=one,
            values={"pool_id": None, "pooled_at": None},
            owner_id=to,
            owner_changes=True,
            extra={"pool_id": one["pool_id"], "previous_owner_id": ways[one.id].previous_owner_id, "reason": reason},
        )
        without_new_owner(change)
        changes.append(change)
    written = await write_changes(unit, CUSTOMER, changes, event)
    await forget_new_owners(unit.session, CUSTOMER, written)
    await follow_owner(unit, {change.id: to for change in written})
    return {change.id: change.after or change.record for change in written}


async def _lock_any(unit: WriteUnit, customer_id: uuid.UUID) -> Record | None:
    system = _system(unit, "who may claim is decided by the pool, not by the scope")
    return (await lock_records(system, CUSTOMER, [customer_id])).get(customer_id)


def _system(unit: WriteUnit, reason: str) -> SystemUnit:
    return SystemUnit(session=unit.session, directory=unit.directory, calendar=unit.calendar, reason=reason)


def _pooled(found: Record, previous: uuid.UUID | None) -> Pooled:
    return Pooled(
        pool_id=found["pool_id"],
        pooled_at=found["pooled_at"],
        previous_owner_id=previous,
        locked=bool(found["locked"]),
    )


async def create_pool(unit: WriteUnit, values: Mapping[str, Any]) -> uuid.UUID:
    """Set up a further pool (CU-40)."""
    pool_id = new_id()
    step = Step(
        table=pool_table,
        id=pool_id,
        event=PoolCreated,
        state=values,
        values={**values, "is_default": False, "created_at": unit.now},
        new=True,
    )
    await record(unit.session, [step])
    return pool_id


async def change_pool(unit: WriteUnit, pool_id: uuid.UUID, values: Mapping[str, Any]) -> None:
    """Change a pool's members or limits. Raises NotFound, Stale."""
    row = await store.lock_pool(unit.session, pool_id)
    if row is None:
        raise NotFound
    unit.require_match(row["version"])
    before = store.plain(row)
    changes = changes_between(before, values)
    if not changes:
        return
    step = Step(
        table=pool_table,
        id=pool_id,
        event=PoolChanged,
        state={**before, **values},
        values={name: values[name] for name in changes},
        changes=changes,
    )
    await record(unit.session, [step])

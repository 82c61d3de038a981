"""The customer as a record type, and what can be done with one besides the standard actions."""

import datetime as dt
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from crm_contracts.customers import CUSTOMER_EVENTS, CustomerDealt, CustomerState
from crm_customers.contact.actions import follow_owner
from crm_customers.customer import store
from crm_customers.customer.rules import ParentCycle, ParentUnknown, check_no_cycle, parent_unknown
from crm_customers.customer.tables import CUSTOMER_FIELDS, customer
from crm_customers.pool.rules import AlreadyInPool
from crm_records import (
    Change,
    Draft,
    Record,
    RecordHooks,
    RecordType,
    Writing,
    always_open,
    lock_one,
    lock_records,
    write_changes,
)


class CustomerHooks(RecordHooks):
    """A parent must be visible to who names it, no customer belongs to itself, and one in a pool changes hands only through it."""

    refusals: ClassVar = {
        "create": (ParentUnknown,),
        "change": (ParentUnknown, ParentCycle),
        "transfer": (AlreadyInPool,),
    }

    async def prepare_create(self, unit: Writing, drafts: Sequence[Draft]) -> None:
        await _check_parents(unit, [draft for draft in drafts if draft["parent_id"]])

    async def prepare_change(self, unit: Writing, changes: Sequence[Change]) -> None:
        # The parent that it has already may be out of the caller's sight by now: leaving it is no question.
        moved = [change for change in changes if change["parent_id"] != change.record["parent_id"]]
        named = [change for change in moved if change["parent_id"]]
        await _check_parents(unit, named)
        if named:
            await _check_cycles(unit, moved)

    async def prepare_transfer(
        self,
        unit: Writing,  # noqa: ARG002  (for those who need more than the rows)
        changes: Sequence[Change],
    ) -> None:
        for change in changes:
            if change.record["pool_id"] is not None:
                change.refuse(
                    AlreadyInPool("The customer waits in a public pool: it is claimed or assigned from there")
                )

    async def after_write(self, unit: Writing, rows: Sequence[Draft | Change]) -> None:
        moved = {row.id: row.owner_id for row in rows if isinstance(row, Change) and row.owner_changes}
        if moved:
            await follow_owner(unit, moved)


async def _check_parents(unit: Writing, rows: Sequence[Draft | Change]) -> None:
    if not rows:
        return
    found = await store.visible(unit.session, unit.scope("customers.customer", "read"), [r["parent_id"] for r in rows])
    for row in rows:
        if row["parent_id"] not in found:
            row.refuse(parent_unknown())


async def _check_cycles(unit: Writing, moved: Sequence[Change]) -> None:
    """moved: all rows of the request that get another parent, or none; each is judged after those before it."""
    await store.lock_tree(unit.session)
    parents: dict[uuid.UUID, uuid.UUID | None] = {}
    parents.update(await store.parents_above(unit.session, [row["parent_id"] for row in moved if row["parent_id"]]))
    for row in moved:
        if row.refusal is not None:
            continue
        try:
            if row["parent_id"]:
                check_no_cycle(row.id, row["parent_id"], parents)
        except ParentCycle as refusal:
            row.refuse(refusal)
        else:
            parents[row.id] = row["parent_id"]


CUSTOMER = RecordType(
    service="customers",
    name="customer",
    plural="customers",
    title="Customer",
    titles={"ko": "고객", "zh": "客户", "ru": "Клиент"},
    table=customer,
    events=CUSTOMER_EVENTS,
    state=CustomerState,
    fields=CUSTOMER_FIELDS,
    number="AACC-{yy}{mm}-{n:04}",
    hooks=CustomerHooks(),
    open=always_open,
)


async def set_locked(unit: Writing, customer_id: uuid.UUID, locked: bool) -> Record:
    """Lock or unlock a customer (CU-13). Raises NotFound, RecordOutOfScope, Stale."""
    found = await lock_one(unit, CUSTOMER, customer_id, "write")
    change = Change(index=0, record=found, values={"locked": locked})
    await write_changes(unit, CUSTOMER, [change], CUSTOMER_EVENTS.changed)
    return change.after or found


@dataclass(frozen=True)
class Deal:
    """What makes a prospect a customer: a won opportunity (SA-8), or an approved contract (BI-4). made_at: when it was won or approved."""

    customer_id: uuid.UUID
    source: Literal["opportunity", "contract"]
    source_id: uuid.UUID
    made_at: dt.datetime


async def note_deals(unit: Writing, deals: Iterable[Deal]) -> None:
    """Customers whose first deal was made are customers from now on (SA-8, BI-4), since the earliest of their deals.

    Opportunities and contracts come on topics of their own, so a deal may be heard after one that was made later: it moves `dealt_at`
    back, and is told as the first deal again. A later one changes nothing, nor does the same again. A deleted customer becomes one
    too: what was won was won. An unknown one is left alone: its id is all that the opportunity or contract has.
    """
    first: dict[uuid.UUID, Deal] = {}
    for deal in sorted(deals, key=lambda deal: deal.made_at):
        first.setdefault(deal.customer_id, deal)
    # All in one statement, in the order of their ids: others do the same for other partitions at the same time.
    found = await lock_records(unit, CUSTOMER, list(first), deleted="include")
    changes = [
        Change(
            index=index,
            record=one,
            values={"lifecycle": "customer", "dealt_at": first[one.id].made_at},
            occurred_at=first[one.id].made_at,
            extra={f"{first[one.id].source}_id": first[one.id].source_id},
        )
        for index, one in enumerate(one for one in found.values() if _is_first(first[one.id], one))
    ]
    await write_changes(unit, CUSTOMER, changes, CustomerDealt)


def _is_first(deal: Deal, found: Record) -> bool:
    """Whether it was made before every deal that is known of."""
    known: dt.datetime | None = found["dealt_at"]
    return known is None or deal.made_at < known

"""The customer as a record type, and what can be done with one besides the standard actions."""

import datetime as dt
import uuid
from collections.abc import Sequence

from crm_contracts.customers import CUSTOMER_EVENTS, CustomerDealt, CustomerState
from crm_customers.contact.actions import follow_owner
from crm_customers.customer import store
from crm_customers.customer.rules import check_no_cycle, parent_unknown
from crm_customers.customer.tables import CUSTOMER_FIELDS, customer
from crm_kernel.errors import Refusal
from crm_records import Change, Draft, Record, RecordHooks, RecordType, Writing, lock_one, lock_records, write_changes


class CustomerHooks(RecordHooks):
    """A parent must be visible to who names it, and no customer belongs to itself."""

    async def prepare_create(self, unit: Writing, drafts: Sequence[Draft]) -> None:
        await _check_parents(unit, [draft for draft in drafts if draft["parent_id"]])

    async def prepare_change(self, unit: Writing, changes: Sequence[Change]) -> None:
        await _check_parents(unit, [change for change in changes if change.values.get("parent_id")])

    async def after_write(self, unit: Writing, rows: Sequence[Draft | Change]) -> None:
        moved = {row.id: row.owner_id for row in rows if isinstance(row, Change) and row.owner_changes}
        if moved:
            await follow_owner(unit, moved)


async def _check_parents(unit: Writing, rows: Sequence[Draft | Change]) -> None:
    if not rows:
        return
    found = await store.visible(unit.session, unit.scope("customers.customer", "read"), [r["parent_id"] for r in rows])
    moves = [row for row in rows if isinstance(row, Change)]
    if moves:
        await store.lock_tree(unit.session)
    for row in rows:
        if row["parent_id"] not in found:
            row.refuse(parent_unknown())
    for row in moves:
        try:
            check_no_cycle(row.id, await store.ancestors(unit.session, row["parent_id"]))
        except Refusal as refusal:
            row.refuse(refusal)


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
)


async def set_locked(unit: Writing, customer_id: uuid.UUID, locked: bool) -> Record:
    """Lock or unlock a customer (CU-13). Raises NotFound, RecordOutOfScope, Stale."""
    found = await lock_one(unit, CUSTOMER, customer_id, "write")
    change = Change(index=0, record=found, values={"locked": locked})
    await write_changes(unit, CUSTOMER, [change], CUSTOMER_EVENTS.changed)
    return change.after or found


async def note_deal(unit: Writing, customer_id: uuid.UUID, opportunity_id: uuid.UUID, won_at: dt.datetime) -> None:
    """The customer's first deal was won: from now on it is a customer (SA-8). Nothing happens the second time.

    A deleted customer becomes one too: what was won was won. An unknown one is left alone: its id is all that the opportunity has.
    """
    found = (await lock_records(unit, CUSTOMER, [customer_id], deleted="include")).get(customer_id)
    if found is None or found["lifecycle"] == "customer":
        return
    change = Change(
        index=0,
        record=found,
        values={"lifecycle": "customer", "dealt_at": won_at},
        occurred_at=won_at,
        extra={"opportunity_id": opportunity_id},
    )
    await write_changes(unit, CUSTOMER, [change], CustomerDealt)

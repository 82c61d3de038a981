"""The contact as a record type: it hangs on a visible customer, and follows the customer's owner unless given its own (CU-30)."""

import uuid
from collections.abc import Sequence

from crm_contracts.customers import CONTACT_EVENTS, ContactState
from crm_customers.contact import store
from crm_customers.contact.rules import customer_unknown
from crm_customers.contact.tables import CONTACT_FIELDS, contact
from crm_customers.customer.store import visible
from crm_records import (
    Change,
    Draft,
    RecordHooks,
    RecordType,
    SystemUnit,
    Writing,
    lock_records,
    write_changes,
)


class ContactHooks(RecordHooks):
    """The customer must be visible; a new contact gets the customer's owner unless it names one."""

    async def prepare_create(self, unit: Writing, drafts: Sequence[Draft]) -> None:
        found = await _customers(unit, drafts)
        for draft in drafts:
            if draft["customer_id"] not in found:
                draft.refuse(customer_unknown())
            elif not draft.owner_given:
                draft.owner_id = found[draft["customer_id"]] or draft.owner_id

    async def prepare_change(self, unit: Writing, changes: Sequence[Change]) -> None:
        moved = [change for change in changes if "customer_id" in change.values]
        found = await _customers(unit, moved)
        for change in moved:
            if change["customer_id"] not in found:
                change.refuse(customer_unknown())

    async def prepare_transfer(self, unit: Writing, changes: Sequence[Change]) -> None:
        await store.stop_following(unit.session, [change.id for change in changes])

    async def after_write(self, unit: Writing, rows: Sequence[Draft | Change]) -> None:
        own = [row.id for row in rows if isinstance(row, Draft) and row.owner_given]
        if own:
            await store.stop_following(unit.session, own)


async def _customers(unit: Writing, rows: Sequence[Draft | Change]) -> dict[uuid.UUID, uuid.UUID | None]:
    if not rows:
        return {}
    scope = unit.scope("customers.customer", "read")
    return await visible(unit.session, scope, [row["customer_id"] for row in rows])


CONTACT = RecordType(
    service="customers",
    name="contact",
    plural="contacts",
    title="Contact",
    titles={"ko": "연락처", "zh": "联系人", "ru": "Контакт"},
    table=contact,
    events=CONTACT_EVENTS,
    state=ContactState,
    fields=CONTACT_FIELDS,
    hooks=ContactHooks(),
)


async def follow_owner(unit: Writing, owners: dict[uuid.UUID, uuid.UUID | None]) -> None:
    """Customers changed hands: their following contacts go with them, in the same transaction.

    owners: customer → its new owner; None when it went to a pool: its contacts then have no owner either, and no one's scope
    reaches them until somebody takes the customer.
    """
    ids = await store.followers(unit.session, list(owners))
    if not ids:
        return
    system = SystemUnit(
        session=unit.session, directory=unit.directory, calendar=unit.calendar, reason="contacts follow their customer"
    )
    found = await lock_records(system, CONTACT, ids)
    changes = [
        Change(
            index=index,
            record=one,
            owner_id=owners[one["customer_id"]],
            owner_changes=True,
            extra={
                "from_user_id": one.owner_id,
                "to_user_id": owners[one["customer_id"]],
                "reason": "The customer changed hands",
            },
        )
        for index, one in enumerate(found.values())
        if one.owner_id != owners[one["customer_id"]]
    ]
    event = CONTACT_EVENTS.transferred
    if event is None:
        raise TypeError("contacts have owners")
    await write_changes(system, CONTACT, changes, event)

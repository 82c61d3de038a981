"""The contact as a record type: it hangs on a visible customer, and follows the customer's owner unless given its own (CU-30)."""

import uuid
from collections.abc import Mapping, Sequence
from typing import ClassVar

from crm_contracts.customers import CONTACT_EVENTS, ContactState
from crm_customers.contact import store
from crm_customers.contact.rules import CustomerUnknown, customer_unknown
from crm_customers.contact.tables import CONTACT_FIELDS, contact
from crm_customers.customer.store import owners_held, visible_held
from crm_records import (
    Change,
    Draft,
    RecordHooks,
    RecordType,
    SystemUnit,
    Writing,
    always_open,
    forget_new_owners,
    lock_records,
    refuse_out_of_scope,
    without_new_owner,
    write_changes,
)


class ContactHooks(RecordHooks):
    """The customer must be visible. A contact has the customer's owner until it is given one of its own: by naming one when it is
    created, or by a transfer.

    The customers are held against changing hands until the contact is written; else it would keep the owner of before.
    """

    refusals: ClassVar = {
        "create": (CustomerUnknown,),
        "change": (CustomerUnknown,),
    }

    async def prepare_create(self, unit: Writing, drafts: Sequence[Draft]) -> None:
        found = await _customers(unit, drafts)
        for draft in drafts:
            if draft["customer_id"] not in found:
                draft.refuse(customer_unknown())
            elif not draft.owner_given:
                draft.owner_id = found[draft["customer_id"]]

    async def prepare_change(self, unit: Writing, changes: Sequence[Change]) -> None:
        moved = [change for change in changes if change["customer_id"] != change.record["customer_id"]]
        if not moved:
            return
        found = await _customers(unit, moved)
        following = await store.following(unit.session, [change.id for change in moved])
        for change in moved:
            if change["customer_id"] not in found:
                change.refuse(customer_unknown())
            elif change.id in following:
                _take_owner(unit, change, found[change["customer_id"]])

    async def prepare_restore(self, unit: Writing, changes: Sequence[Change]) -> None:
        """The customer may have changed hands while the contact was deleted."""
        owners = await owners_held(unit.session, [change["customer_id"] for change in changes])
        following = await store.following(unit.session, [change.id for change in changes])
        for change in changes:
            if change.id in following and change["customer_id"] in owners:
                _set_owner(change, owners[change["customer_id"]])

    async def prepare_transfer(self, unit: Writing, changes: Sequence[Change]) -> None:
        await store.stop_following(unit.session, [change.id for change in changes])

    async def after_write(self, unit: Writing, rows: Sequence[Draft | Change]) -> None:
        own = [row.id for row in rows if isinstance(row, Draft) and row.owner_given]
        if own:
            await store.stop_following(unit.session, own)
        followed = [row for row in rows if isinstance(row, Change) and row.owner_changes]
        await forget_new_owners(unit.session, CONTACT, followed)


def _take_owner(unit: Writing, change: Change, owner_id: uuid.UUID | None) -> None:
    """Give a moved contact its new customer's owner, unless the caller only shares in it: members change no owner (PL-21)."""
    if owner_id == change.record.owner_id:
        return
    refusal = refuse_out_of_scope(unit, CONTACT, change.record, "write", by_ownership=True)
    if refusal is not None:
        change.refuse(refusal)
        return
    _set_owner(change, owner_id)


def _set_owner(change: Change, owner_id: uuid.UUID | None) -> None:
    if owner_id != change.record.owner_id:
        change.owner_id = owner_id
        change.owner_changes = True
        without_new_owner(change)


async def _customers(unit: Writing, rows: Sequence[Draft | Change]) -> dict[uuid.UUID, uuid.UUID | None]:
    scope = unit.scope("customers.customer", "read")
    return await visible_held(unit.session, scope, [row["customer_id"] for row in rows])


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
    open=always_open,
)


async def follow_owner(unit: Writing, owners: Mapping[uuid.UUID, uuid.UUID | None]) -> None:
    """Customers changed hands: their following contacts go with them, in the same transaction.

    owners: customer, locked → its new owner; None when it went to a pool: its contacts then have no owner either, and no one's
    scope reaches them until somebody takes the customer.
    """
    ids = await store.followers(unit.session, list(owners))
    if not ids:
        return
    system = SystemUnit(
        session=unit.session, directory=unit.directory, calendar=unit.calendar, reason="contacts follow their customer"
    )
    found = await lock_records(system, CONTACT, ids)
    # Until the lock was had, one may have gone to another customer, or got an owner of its own.
    following = await store.following(unit.session, list(found))
    changes: list[Change] = []
    for one in found.values():
        if one.id not in following or one["customer_id"] not in owners:
            continue
        to = owners[one["customer_id"]]
        change = Change(
            index=len(changes),
            record=one,
            owner_id=to,
            owner_changes=True,
            extra={"from_user_id": one.owner_id, "to_user_id": to, "reason": "The customer changed hands"},
        )
        without_new_owner(change)
        changes.append(change)
    event = CONTACT_EVENTS.transferred
    if event is None:
        raise TypeError("contacts have owners")
    written = await write_changes(system, CONTACT, changes, event)
    await forget_new_owners(unit.session, CONTACT, written)

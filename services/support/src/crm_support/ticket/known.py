"""What tickets refer to, read for all rows of a request at once: customers, contacts, queues."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from crm_kernel.errors import Forbidden
from crm_records import Change, Draft, Writing
from crm_records.replica import Copy, Replica
from crm_support.contact.tables import CONTACTS
from crm_support.customer.tables import CUSTOMERS
from crm_support.queue.rules import GENERAL
from crm_support.queue.store import queues_of


@dataclass(frozen=True)
class Known:
    """customers, contacts: those asked for that the caller sees. gone: of the contacts' customers, those known to be deleted.
    queues: keys of those that exist."""

    customers: Collection[uuid.UUID]
    contacts: Mapping[uuid.UUID, Copy]
    gone: Collection[uuid.UUID]
    queues: Collection[str]


async def known_for(unit: Writing, rows: Sequence[Draft | Change]) -> Known:
    """What new tickets refer to, and what changed ones newly refer to."""
    customers = [row["customer_id"] for row in rows if differs(row, "customer_id") and row["customer_id"] is not None]
    contacts = [row["contact_id"] for row in rows if differs(row, "contact_id") and row["contact_id"] is not None]
    queues = [row["queue"] or GENERAL for row in rows if isinstance(row, Draft)]
    seen = await _seen(unit, CONTACTS, contacts)
    return Known(
        customers=await _seen(unit, CUSTOMERS, customers),
        contacts=seen,
        gone=await _gone(unit, [contact["customer_id"] for contact in seen.values()]),
        queues=await queues_of(unit.session, queues),
    )


def differs(row: Draft | Change, name: str) -> bool:
    """Whether the row has another value than before; a new one has in all."""
    return isinstance(row, Draft) or (name in row.values and row.values[name] != row.record[name])


async def _gone(unit: Writing, customers: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    """Those of the customers that are deleted, as far as is known: one not heard of yet is not among them."""
    why = "the caller sees the contact; only whether its customer is still there is asked"
    return {key for key, copy in (await CUSTOMERS.find(unit.session, customers, unscoped=why)).items() if copy.deleted}


async def _seen(unit: Writing, replica: Replica, ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, Copy]:
    """Those of the records that the caller sees: by permission and by scope."""
    if not ids:
        return {}
    try:
        unit.require(f"{replica.record}:read")
    except Forbidden:
        return {}
    return await replica.seen(unit.session, unit.scope(replica.record, "read"), ids)

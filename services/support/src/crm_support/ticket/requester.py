"""Who asks, as far as the caller may see them."""

import uuid
from collections.abc import Mapping, Sequence

from crm_records.replica import Copy, Replica
from crm_support.contact.tables import CONTACTS
from crm_support.customer.tables import CUSTOMERS
from crm_web import ReadUnit


async def customers_seen(unit: ReadUnit, ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, Copy]:
    """Those of the customers that the caller sees; deleted ones are not among them."""
    return await _seen(unit, CUSTOMERS, ids)


async def contacts_seen(unit: ReadUnit, ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, Copy]:
    """Those of the contacts that the caller sees; deleted ones are not among them."""
    return await _seen(unit, CONTACTS, ids)


async def _seen(unit: ReadUnit, replica: Replica, ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, Copy]:
    if not ids or not unit.caller.allows(f"{replica.record}:read"):
        return {}
    return await replica.seen(unit.session, unit.scope(replica.record, "read"), ids)

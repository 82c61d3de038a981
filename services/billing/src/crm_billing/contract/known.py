"""What contracts refer to, read for all rows of a request at once: customers, products, their own lines."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from crm_billing.contract.tables import contract_line
from crm_billing.customer.tables import CUSTOMERS
from crm_billing.product.tables import PRODUCTS
from crm_kernel.errors import Forbidden
from crm_records import Change, Draft, Writing
from crm_records.lines import Line, Offer, lines_of
from crm_records.replica import Replica


@dataclass(frozen=True)
class Known:
    """customers: those asked for that the caller sees. offers: products asked for. lines: of the contracts that need them."""

    customers: Collection[uuid.UUID] = frozenset()
    offers: Mapping[uuid.UUID, Offer] = field(default_factory=dict)
    lines: Mapping[uuid.UUID, tuple[Line, ...]] = field(default_factory=dict)


async def known_for_drafts(unit: Writing, drafts: Sequence[Draft]) -> Known:
    """What new contracts refer to."""
    customers = [draft["customer_id"] for draft in drafts if draft["customer_id"] is not None]
    return Known(customers=await visible(unit, CUSTOMERS, customers), offers=await _offers(unit, drafts))


async def known_for_changes(unit: Writing, changes: Sequence[Change]) -> Known:
    """What changed contracts newly refer to."""
    customers = [
        change["customer_id"]
        for change in changes
        if change["customer_id"] is not None and change["customer_id"] != change.record["customer_id"]
    ]
    counting = [change.id for change in changes if "lines" in change.inputs or "value" in change.values]
    return Known(
        customers=await visible(unit, CUSTOMERS, customers),
        offers=await _offers(unit, changes),
        lines=await lines_of(unit.session, contract_line, counting),
    )


async def visible(unit: Writing, replica: Replica, ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    """Those of another service's records that the caller sees: by permission and by scope."""
    if not ids:
        return set()
    try:
        unit.require(f"{replica.record}:read")
    except Forbidden:
        return set()
    return await replica.visible(unit.session, unit.scope(replica.record, "read"), ids)


async def _offers(unit: Writing, rows: Sequence[Draft | Change]) -> dict[uuid.UUID, Offer]:
    ids = [line.product_id for row in rows for line in row.inputs.get("lines") or ()]
    found = await PRODUCTS.find(unit.session, ids)
    return {
        key: Offer(key, one["name"], one["on_sale"], one["list_price"]) for key, one in found.items() if not one.deleted
    }

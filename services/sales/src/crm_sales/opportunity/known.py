"""What opportunities refer to, read for all rows of a request at once: pipelines, customers, products, their own lines."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from crm_kernel.errors import Forbidden
from crm_records import Change, Draft, Writing
from crm_records.lines import Line, Offer, lines_of
from crm_sales.customer.tables import CUSTOMERS
from crm_sales.opportunity.tables import opportunity_line
from crm_sales.pipeline import store as pipelines
from crm_sales.pipeline.rules import Pipeline
from crm_sales.product.store import offers


@dataclass(frozen=True)
class Known:
    """customers: those asked for that the caller sees. offers: products asked for. lines: of the opportunities that need them."""

    pipelines: Mapping[uuid.UUID, Pipeline]
    customers: Collection[uuid.UUID] = frozenset()
    offers: Mapping[uuid.UUID, Offer] = field(default_factory=dict)
    lines: Mapping[uuid.UUID, tuple[Line, ...]] = field(default_factory=dict)


async def read_pipelines(unit: Writing, *, entering: bool) -> dict[uuid.UUID, Pipeline]:
    """All pipelines. entering: opportunities go into stages, which must then stay until the transaction ends."""
    if entering:
        await pipelines.hold(unit.session)
    return {key: stored.pipeline for key, stored in (await pipelines.read_all(unit.session)).items()}


async def known_for_drafts(unit: Writing, drafts: Sequence[Draft]) -> Known:
    """What new opportunities refer to."""
    customers = [draft["customer_id"] for draft in drafts if draft["customer_id"] is not None]
    products = [product_id for draft in drafts for product_id in draft["product_ids"] or ()]
    products += _line_products(drafts)
    return Known(
        pipelines=await read_pipelines(unit, entering=True),
        customers=await _customers(unit, customers),
        offers=await offers(unit.session, products),
    )


async def known_for_changes(unit: Writing, changes: Sequence[Change]) -> Known:
    """What changed opportunities newly refer to."""
    customers = [
        change["customer_id"]
        for change in changes
        if change["customer_id"] is not None and change["customer_id"] != change.record["customer_id"]
    ]
    products = [
        product_id
        for change in changes
        for product_id in change.values.get("product_ids") or ()
        if product_id not in change.record["product_ids"]
    ]
    products += _line_products(changes)
    counting = [change.id for change in changes if "lines" in change.inputs or "value" in change.values]
    return Known(
        pipelines=await read_pipelines(unit, entering=False),
        customers=await _customers(unit, customers),
        offers=await offers(unit.session, products),
        lines=await lines_of(unit.session, opportunity_line, counting),
    )


def _line_products(rows: Sequence[Draft | Change]) -> list[uuid.UUID]:
    return [line.product_id for row in rows for line in row.inputs.get("lines") or ()]


async def _customers(unit: Writing, ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    """Those of the customers that the caller sees: by permission and by scope."""
    if not ids:
        return set()
    try:
        unit.require(f"{CUSTOMERS.record}:read")
    except Forbidden:
        return set()
    return await CUSTOMERS.visible(unit.session, unit.scope(CUSTOMERS.record, "read"), ids)

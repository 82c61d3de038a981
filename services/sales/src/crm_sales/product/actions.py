"""The product as a record type: everybody with the permission reaches all; no two that are not deleted have one code."""

import uuid
from collections.abc import Sequence
from typing import ClassVar

from crm_contracts.sales import PRODUCT_EVENTS, ProductState
from crm_kernel.errors import Refusal
from crm_records import Change, Draft, RecordHooks, RecordType, Writing
from crm_sales.product import store
from crm_sales.product.rules import CategoryInvalid, CodeTaken, category_path, code_taken
from crm_sales.product.tables import PRODUCT_FIELDS, product


class ProductHooks(RecordHooks):
    """Codes are unique, also between requests at the same time; categories have one form."""

    refusals: ClassVar = {
        "create": (CodeTaken, CategoryInvalid),
        "change": (CodeTaken, CategoryInvalid),
        "restore": (CodeTaken,),
    }

    async def prepare_create(self, unit: Writing, drafts: Sequence[Draft]) -> None:
        _set_categories(drafts)
        await _refuse_taken(unit, [(draft, draft["code"]) for draft in drafts])

    async def prepare_change(self, unit: Writing, changes: Sequence[Change]) -> None:
        _set_categories(changes)
        renamed = [c for c in changes if "code" in c.values and c.values["code"] != c.record["code"]]
        await _refuse_taken(unit, [(change, change["code"]) for change in renamed])

    async def prepare_restore(self, unit: Writing, changes: Sequence[Change]) -> None:
        await _refuse_taken(unit, [(change, change["code"]) for change in changes])


def _set_categories(rows: Sequence[Draft | Change]) -> None:
    for row in rows:
        if "category" in row.values:
            try:
                row.values["category"] = category_path(row.values["category"])
            except Refusal as refusal:
                row.refuse(refusal)


async def _refuse_taken(unit: Writing, rows: Sequence[tuple[Draft | Change, str]]) -> None:
    """Refuse the rows whose code another product has, or an earlier row of the request takes."""
    asked = [(row, code) for row, code in rows if row.refusal is None]
    if not asked:
        return
    await store.lock_codes(unit.session)
    found = await store.holders(unit.session, [code for _, code in asked])
    given: dict[str, uuid.UUID] = {}
    for row, code in asked:
        holder = found[code]
        if holder.holder_id not in (None, row.id) or given.setdefault(holder.folded, row.id) != row.id:
            row.refuse(code_taken())


PRODUCT = RecordType(
    service="sales",
    name="product",
    plural="products",
    title="Product",
    titles={"ko": "제품", "zh": "产品", "ru": "Продукт"},
    table=product,
    events=PRODUCT_EVENTS,
    state=ProductState,
    fields=PRODUCT_FIELDS,
    hooks=ProductHooks(),
    default_sort="-updated_at",
)

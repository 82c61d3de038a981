"""What activities are about, read for all rows of a request at once."""

import uuid
from collections.abc import Collection

from crm_kernel.errors import Forbidden
from crm_records import Writing
from crm_sales.activity.linkable import LINKABLE
from crm_sales.activity.links import Link
from crm_sales.customer.tables import CUSTOMERS
from crm_web import ReadUnit


async def visible_links(unit: Writing | ReadUnit, links: Collection[Link]) -> set[Link]:
    """Those of the records that the caller sees: by permission and by scope."""
    found: set[Link] = set()
    for kind, ids in _by_type(links).items():
        try:
            unit.require(f"{kind}:read")
        except Forbidden:
            continue
        seen = await LINKABLE[kind].visible(unit.session, unit.scope(kind, "read"), ids)
        found |= {Link(kind, one) for one in seen}
    return found


async def customers_of(unit: Writing, links: Collection[Link]) -> dict[Link, uuid.UUID]:
    """Whose the records are, whoever may see them: those that have a customer."""
    found: dict[Link, uuid.UUID] = {}
    for kind, ids in _by_type(links).items():
        customers = await LINKABLE[kind].customers(unit.session, ids)
        found |= {Link(kind, one): customer for one, customer in customers.items()}
    return found


async def deleted_customers(unit: Writing, ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Those of the customers that are deleted, as far as is known: one not heard of yet is not among them."""
    why = "the caller sees what is the customer's; only whether the customer is still there is asked"
    found = await CUSTOMERS.find(unit.session, list(ids), unscoped=why)
    return {key for key, copy in found.items() if copy.deleted}


def _by_type(links: Collection[Link]) -> dict[str, list[uuid.UUID]]:
    found: dict[str, list[uuid.UUID]] = {}
    for link in dict.fromkeys(links):
        found.setdefault(link.type, []).append(link.id)
    return found

"""What of the sample company is there already: an interrupted load is completed, a complete one adds nothing."""

from typing import Any, Final

from crm_stack.demo.company.load.staff import SYSTEM, Staff

#: Record type → its list. Deleted ones count: what somebody deleted stays deleted.
LISTS: Final = {
    "product": "/api/sales/v1/products",
    "customer": "/api/customers/v1/customers",
    "contact": "/api/customers/v1/contacts",
    "opportunity": "/api/sales/v1/opportunities",
    "activity": "/api/sales/v1/activities",
    "contract": "/api/billing/v1/contracts",
    "payment": "/api/billing/v1/payments",
    "ticket": "/api/support/v1/tickets",
}


def look_around(staff: Staff) -> None:
    """Fill `known` and `ids` with the records that carry our references, and `known["drafted"]` with contracts by opportunity."""
    staff.known = {kind: {} for kind in LISTS}
    staff.known["drafted"] = {}
    staff.spread(list(LISTS), lambda kind: _look(staff, kind))
    for key, one in staff.plan.contracts.items():
        # A contract that was drafted, but has no reference yet, is known by its opportunity.
        item = staff.known["drafted"].get(staff.ids.get(one.opportunity, ""))
        if item is not None:
            staff.ids[key] = item["id"]


def _look(staff: Staff, kind: str) -> None:
    for item in staff.operator.pages(LISTS[kind], deleted="include"):
        key = _key(item)
        if key is not None:
            staff.known[kind][key] = item
            staff.ids[key] = item["id"]
        if kind == "contract" and item["opportunity_id"]:
            staff.known["drafted"][item["opportunity_id"]] = item


def _key(item: Any) -> str | None:
    """The key of one of ours."""
    reference = item["external_ref"]
    return reference["id"] if reference and reference["system"] == SYSTEM else None

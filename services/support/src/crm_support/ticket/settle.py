"""A new or changed ticket's values, from what was given and what it refers to. No queries: `known` has been read before."""

from crm_records import Change, Draft
from crm_support.queue.rules import GENERAL, queue_unknown
from crm_support.ticket.known import Known, differs
from crm_support.ticket.rules import (
    ContactElsewhere,
    ContactUnknown,
    CustomerUnknown,
    QueueByAssign,
    check_requester,
    pointed,
)


def settle_draft(known: Known, draft: Draft) -> None:
    """Fill what a new ticket has. Raises its refusal.

    Unless somebody was named to see to it, nobody does: it waits in its queue.
    """
    queue = draft["queue"] or GENERAL
    if queue not in known.queues:
        raise queue_unknown()
    _settle_requester(known, draft)
    if not draft.owner_given:
        draft.owner_id = None
    draft.values |= {"queue": queue, "status": "new" if draft.owner_id is None else "open"}


def settle_change(known: Known, change: Change) -> None:
    """Fill what follows from a change of fields. Raises its refusal."""
    if differs(change, "queue"):
        raise pointed(QueueByAssign, "/queue")
    _settle_requester(known, change)


def _settle_requester(known: Known, row: Draft | Change) -> None:
    """Who asks is there, seen by the caller, and the contact is the customer's; without a customer it is the contact's."""
    customer_id, contact_id = row["customer_id"], row["contact_id"]
    if differs(row, "contact_id") and contact_id is not None:
        if contact_id not in known.contacts:
            raise pointed(ContactUnknown, "/contact_id")
        theirs = known.contacts[contact_id]["customer_id"]
        if customer_id is None:
            customer_id = row.values["customer_id"] = theirs
        elif customer_id != theirs:
            raise pointed(ContactElsewhere, "/contact_id")
        elif differs(row, "customer_id") and customer_id not in known.customers:
            raise pointed(CustomerUnknown, "/customer_id")
        if theirs in known.gone:
            # Contacts outlive their customer, tickets of theirs don't begin.
            raise pointed(CustomerUnknown, "/contact_id")
    elif differs(row, "customer_id"):
        if customer_id is not None and customer_id not in known.customers:
            raise pointed(CustomerUnknown, "/customer_id")
        if contact_id is not None:
            # The contact was the former customer's.
            raise pointed(ContactElsewhere, "/customer_id")
    check_requester(customer_id, contact_id, row["stranger_name"], row["stranger_email"], row["stranger_phone"])

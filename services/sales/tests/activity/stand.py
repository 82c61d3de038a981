"""Contacts, contracts, tickets and activities, as these tests need them."""

import uuid
from typing import Any

from crm_contracts import registry
from crm_contracts.billing import CONTRACT_EVENTS
from crm_contracts.customers import CONTACT_EVENTS
from crm_contracts.records import StandardEvents
from crm_contracts.support import TICKET_EVENTS
from crm_kernel import new_id
from crm_testing.service import Caller, Person, Running, envelope


def contact_event(
    kind: str = "created",
    *,
    customer_id: str,
    id: uuid.UUID | None = None,
    owner: Person | None = None,
    version: int = 1,
    **state: Any,
) -> Any:
    """One of the customers service's events about a contact."""
    owner_id = None if owner is None else owner.id
    data = {
        "version": version,
        "occurred_at": "2026-11-20T09:00:00Z",
        "actor": {"kind": "user", "id": owner_id},
        "origin": {"channel": "api", "address": None},
        "state": {
            "customer_id": customer_id,
            "name": "Анна Иванова",
            "owner_id": owner_id,
            "created_at": "2026-11-20T09:00:00Z",
            "updated_at": "2026-11-20T09:00:00Z",
            **state,
        },
        "access": {"owner_id": owner_id, "members": []},
    }
    return envelope(getattr(CONTACT_EVENTS, kind), id or new_id(), data)


async def make_contact(sales: Running, owner: Person, customer_id: str) -> str:
    """A contact that the customers service told of."""
    event = contact_event(owner=owner, customer_id=customer_id)
    await sales.hear(event)
    return str(event.subject)


FOREIGN: dict[str, StandardEvents[Any]] = {"contract": CONTRACT_EVENTS, "ticket": TICKET_EVENTS}
_SERVICES = {"opportunity": "sales", "contract": "billing", "ticket": "support"}


def foreign_event(
    record: str,
    kind: str = "created",
    *,
    customer_id: str | None,
    id: uuid.UUID | None = None,
    owner: Person | None = None,
    version: int = 1,
    **state: Any,
) -> Any:
    """An event about a contract or a ticket: its contract's example, with these differences. record: of FOREIGN."""
    event = getattr(FOREIGN[record], kind)
    example, owner_id = registry.examples[event.type], None if owner is None else str(owner.id)
    data = {
        **example,
        "version": version,
        "state": {**example["state"], "customer_id": customer_id, "owner_id": owner_id, **state},
        "access": {"owner_id": owner_id, "members": []},
    }
    return envelope(event, id or new_id(), data)


async def make_foreign(sales: Running, record: str, owner: Person, customer_id: str | None) -> str:
    """A contract or ticket that its service told of."""
    event = foreign_event(record, owner=owner, customer_id=customer_id)
    await sales.hear(event)
    return str(event.subject)


def link(kind: str, id: str) -> dict[str, str]:
    """A link as bodies give it. kind: `customer`, `contact`, `opportunity`, `contract`, `ticket`."""
    return {"type": f"{_SERVICES.get(kind, 'customers')}.{kind}", "id": id}


def body(*links: dict[str, str], **fields: Any) -> dict[str, Any]:
    """A new activity's body."""
    return {"kind": "call", "subject": "Asked about the offer", "links": list(links), **fields}


async def note(caller: Caller, *links: dict[str, str], **fields: Any) -> Any:
    """A new activity."""
    return await caller.done("POST", "/activities", json=body(*links, **fields))

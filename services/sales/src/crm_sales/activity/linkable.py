"""What activities can be about. Another service's records are one line in `LINKABLE`, over a replica of them."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from crm_authz import Scope
from crm_database import ReadSession
from crm_records.replica import Replica
from crm_sales.activity.store import customers_of_opportunities, visible_opportunities
from crm_sales.contact.tables import CONTACTS
from crm_sales.contract.tables import CONTRACTS
from crm_sales.customer.tables import CUSTOMERS
from crm_sales.ticket.tables import TICKETS


class Linkable(Protocol):
    """A type of record that activities can be about."""

    async def visible(self, session: ReadSession, scope: Scope, ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
        """Those of the records that are there, not deleted, and within the scope."""
        ...

    async def customers(self, session: ReadSession, ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, uuid.UUID]:
        """Whose they are: record → customer. Those without a customer are not in it; deleted ones are."""
        ...


@dataclass(frozen=True)
class Replicated:
    """Records of another service. customer: the replica's column that names the customer; `id` when they are customers themselves."""

    replica: Replica
    customer: str

    async def visible(self, session: ReadSession, scope: Scope, ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
        return await self.replica.visible(session, scope, ids)

    async def customers(self, session: ReadSession, ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, uuid.UUID]:
        if self.customer == "id":
            return {one: one for one in ids}
        why = "activities name them already, and each was checked when it was named; only whose they are is used"
        found = await self.replica.find(session, ids, unscoped=why)
        return {key: copy[self.customer] for key, copy in found.items() if copy[self.customer] is not None}


class Opportunities:
    """The opportunities of this service."""

    async def visible(self, session: ReadSession, scope: Scope, ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
        return await visible_opportunities(session, scope, ids)

    async def customers(self, session: ReadSession, ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, uuid.UUID]:
        return await customers_of_opportunities(session, ids)


#: By the key under which scopes and permissions know them.
LINKABLE: Final[Mapping[str, Linkable]] = {
    "customers.customer": Replicated(CUSTOMERS, "id"),
    "customers.contact": Replicated(CONTACTS, "customer_id"),
    "sales.opportunity": Opportunities(),
    "billing.contract": Replicated(CONTRACTS, "customer_id"),
    "support.ticket": Replicated(TICKETS, "customer_id"),
}

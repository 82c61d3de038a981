"""Events of the customers service: customers, contacts, the public pool."""

import datetime as dt
import uuid
from typing import Literal

from pydantic import Field

from crm_contracts.events import Event, Part
from crm_contracts.examples import CONTACT, CUSTOMER, POOL, USER, owned, sample
from crm_contracts.hand_overs import hand_over_events
from crm_contracts.operations import operation_events
from crm_contracts.records import MoneyState, RecordState, standard_events
from crm_contracts.registry import Topic, registry

CUSTOMER_TOPIC = registry.topic(
    Topic(
        name="crm.customers.customer",
        producer="customers",
        consumers=("customers", "sales", "billing", "support", "analytics"),
        description="Companies and persons we deal with: fields, owner, members, pool.",
        partitions=3,
    )
)
CONTACT_TOPIC = registry.topic(
    Topic(
        name="crm.customers.contact",
        producer="customers",
        consumers=("customers", "sales", "support", "analytics"),
        description="People at customers.",
        partitions=3,
    )
)
POOL_TOPIC = registry.topic(
    Topic(
        name="crm.customers.pool",
        producer="customers",
        consumers=("analytics",),
        description="Public pools: their rules and members.",
        partitions=1,
    )
)
CUSTOMERS_OPERATIONS = operation_events("customers")
CUSTOMERS_HAND_OVERS = hand_over_events("customers")


class CustomerState(RecordState):
    """A customer. lifecycle: `prospect` until the first won deal, then `customer`. pool_id: set while it waits in a public pool."""

    number: str
    name: str
    lifecycle: Literal["prospect", "customer"]
    kind: Literal["company", "person"] = "company"
    grade: str | None = None
    group: str | None = None
    phone: str | None = None
    fax: str | None = None
    email: str | None = None
    website: str | None = None
    address: str | None = None
    country: str | None = None
    industry: str | None = None
    source: str | None = None
    parent_id: uuid.UUID | None = None
    tax_id: str | None = None
    employees: int | None = None
    founded_year: int | None = None
    annual_revenue: MoneyState | None = None
    description: str | None = None
    locked: bool = False
    dealt_at: dt.datetime | None = None
    pool_id: uuid.UUID | None = None
    pooled_at: dt.datetime | None = None


class ContactState(RecordState):
    """A person at a customer."""

    customer_id: uuid.UUID
    name: str
    job_title: str | None = None
    decision_role: str | None = None
    phone: str | None = None
    mobile: str | None = None
    email: str | None = None
    messenger: str | None = None
    birthday: dt.date | None = None
    is_primary: bool = False
    do_not_call: bool = False
    do_not_email: bool = False
    description: str | None = None


class PoolState(Part):
    """A public pool: who administers it, who may claim from it, and its limits."""

    name: str
    administrator_ids: list[uuid.UUID] = Field(default_factory=list)
    member_user_ids: list[uuid.UUID] = Field(default_factory=list)
    member_department_ids: list[uuid.UUID] = Field(default_factory=list)
    open_to_all: bool = True
    daily_claim_cap: int | None = None
    cooldown_days: int = 0
    hold_hours: int = 0
    deleted: bool = False


_customer = {
    "number": "AACC-2603-0001",
    "name": "주식회사 예시",
    "lifecycle": "prospect",
    "phone": "+8221234567",
    "owner_id": USER,
    "created_at": "2026-03-01T09:00:00Z",
    "updated_at": "2026-03-01T09:00:00Z",
}
_contact = {
    "customer_id": CUSTOMER,
    "name": "Анна Иванова",
    "email": "anna@example.com",
    "owner_id": USER,
    "created_at": "2026-03-01T09:00:00Z",
    "updated_at": "2026-03-01T09:00:00Z",
}
_pooled = {**_customer, "owner_id": None, "pool_id": POOL, "pooled_at": "2026-03-02T09:00:00Z"}
_pool = {"name": "Public pool", "administrator_ids": [USER]}

CUSTOMER_EVENTS = standard_events(CUSTOMER_TOPIC, CustomerState, _customer)
CONTACT_EVENTS = standard_events(CONTACT_TOPIC, ContactState, _contact)


class PoolMove(Event[CustomerState]):
    """A customer entered or left a public pool (CU-43); the pool's history (CU-44) is these events."""

    pool_id: uuid.UUID
    previous_owner_id: uuid.UUID | None = None
    reason: str | None = None


@registry.event("crm.customers.customer.claimed.v1", CUSTOMER_TOPIC, example=owned(_customer, version=3, pool_id=POOL))
class CustomerClaimed(PoolMove):
    """A pool member took the customer and is its owner now."""


@registry.event("crm.customers.customer.assigned.v1", CUSTOMER_TOPIC, example=owned(_customer, version=3, pool_id=POOL))
class CustomerAssigned(PoolMove):
    """A pool administrator gave the customer to a user. It doesn't count as claimed."""


@registry.event(
    "crm.customers.customer.released.v1",
    CUSTOMER_TOPIC,
    example=owned(_pooled, owner=None, version=2, pool_id=POOL, previous_owner_id=USER, reason="No need this year"),
)
class CustomerReleased(PoolMove):
    """The owner gave the customer back to the pool."""


@registry.event(
    "crm.customers.customer.dealt.v1",
    CUSTOMER_TOPIC,
    example=owned(
        {**_customer, "lifecycle": "customer", "dealt_at": "2026-03-05T00:00:00Z"}, version=4, opportunity_id=CONTACT
    ),
)
class CustomerDealt(Event[CustomerState]):
    """The first deal was made: the prospect is a customer from now on. opportunity_id: it was won (SA-8); contract_id: the contract was
    approved (BI-4). Told again, with an earlier `dealt_at`, when a deal is heard of that was made before: the last word counts."""

    opportunity_id: uuid.UUID | None = None
    contract_id: uuid.UUID | None = None


@registry.event("crm.customers.pool.created.v1", POOL_TOPIC, example=sample(_pool))
class PoolCreated(Event[PoolState]):
    """A public pool was set up (CU-40)."""


@registry.event("crm.customers.pool.changed.v1", POOL_TOPIC, example=sample({**_pool, "daily_claim_cap": 5}, version=2))
class PoolChanged(Event[PoolState]):
    """A pool's members or limits changed."""

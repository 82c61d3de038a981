"""From events to rows: what each event says about its record's fact. Pure; the store decides by versions what still counts.

Events are read as plain JSON, and values that the database reads itself (ids, days, instants) go to it as they came: building the
contract's models costs ten times as much, and this is the hot path of all figures. What can't be read so is Unfit, or the database
refuses it. Members that the contract gives a default may be missing: events of earlier versions are read too.
"""

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from crm_analytics.facts.billing_rows import contract_row, contract_shares, payment_row, payment_shares
from crm_analytics.facts.parts import Data, Row
from crm_analytics.facts.rows import (
    activity_row,
    contact_row,
    customer_row,
    opportunity_row,
    shares,
    stage_entry_row,
)
from crm_contracts import Envelope, NotAnEnvelope, billing, customers, registry, sales
from crm_kernel import MoneyError

#: Record types with an owner, by topic: the name under which scopes and memberships know them.
OWNED: Final[Mapping[str, str]] = {
    sales.OPPORTUNITY_TOPIC.name: "sales.opportunity",
    customers.CUSTOMER_TOPIC.name: "customers.customer",
    customers.CONTACT_TOPIC.name: "customers.contact",
    billing.CONTRACT_TOPIC.name: "billing.contract",
    billing.PAYMENT_TOPIC.name: "billing.payment",
    sales.ACTIVITY_TOPIC.name: "sales.activity",
}


class Unfit(ValueError):
    """An event whose data doesn't fit its contract; says which event and why."""


def is_of_moment(column: str, moment: str) -> bool:
    """Whether a column tells a moment (`closed_at`). opened_on and closed_on are state: days that may be corrected later."""
    return column.startswith(f"{moment}_") and not column.endswith("_on")


@dataclass(slots=True)
class Newest:
    """The rows of one table, one per record: the newest state, and each moment as its newest event told it."""

    moments: tuple[str, ...] = ()
    rows: dict[uuid.UUID, Row] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        """Take the row that one event made; moments that the event doesn't tell have `<moment>_version` None."""
        known = self.rows.get(row["id"])
        if known is None:
            self.rows[row["id"]] = row
            return
        newer, older = (row, known) if row["version"] > known["version"] else (known, row)
        for moment in self.moments:
            if (older[f"{moment}_version"] or 0) > (newer[f"{moment}_version"] or 0):
                newer |= {name: value for name, value in older.items() if is_of_moment(name, moment)}
        self.rows[row["id"]] = newer


@dataclass(slots=True)
class Batch:
    """What a number of events say together.

    members: record type → record → version, and user, right and expiry, as the newest event of the batch says. shares: opportunity →
    version, and product → part of the value in minor units (None: it has no value); contract_shares: the same of contracts.
    payment_shares: what approvals of payments say; kept by version, so that nothing has to be replaced.
    """

    opportunities: Newest = field(default_factory=lambda: Newest(("opened", "closed")))
    entries: list[Row] = field(default_factory=list)
    customers: Newest = field(default_factory=lambda: Newest(("created", "dealt")))
    contacts: Newest = field(default_factory=lambda: Newest(("created",)))
    products: Newest = field(default_factory=Newest)
    pipelines: Newest = field(default_factory=Newest)
    stages: Newest = field(default_factory=Newest)
    members: dict[str, dict[uuid.UUID, tuple[int, list[Row]]]] = field(default_factory=dict)
    shares: dict[uuid.UUID, tuple[int, list[Row]]] = field(default_factory=dict)
    contracts: Newest = field(default_factory=lambda: Newest(("approved",)))
    contract_shares: dict[uuid.UUID, tuple[int, list[Row]]] = field(default_factory=dict)
    payments: Newest = field(default_factory=lambda: Newest(("approved",)))
    payment_shares: list[Row] = field(default_factory=list)
    activities: Newest = field(default_factory=lambda: Newest(("created",)))


def collect(envelopes: Iterable[Envelope]) -> Batch:
    """What the events say. Types that this version doesn't know are left alone: the log keeps them. Raises Unfit."""
    batch = Batch()
    for envelope in envelopes:
        model = registry.events.get(envelope.type)
        take = None if model is None else _TAKES.get(model.topic)
        if take is None:
            continue
        try:
            take(batch, envelope.subject, envelope.type, envelope.payload)
        except (KeyError, TypeError, AttributeError, ValueError, NotAnEnvelope, MoneyError) as error:
            raise Unfit(f"{envelope.type} {envelope.id}: {type(error).__name__} {error}") from error
    return batch


def _take_opportunity(batch: Batch, subject: uuid.UUID, type_name: str, data: Data) -> None:
    state, version = data["state"], int(data["version"])
    batch.opportunities.add(opportunity_row(subject, type_name, data))
    _newer(batch.shares, subject, version, shares(subject, state))
    entry = stage_entry_row(subject, type_name, data)
    if entry is not None:
        batch.entries.append(entry)
    _take_members(batch, "sales.opportunity", subject, data)


def _take_customer(batch: Batch, subject: uuid.UUID, type_name: str, data: Data) -> None:
    batch.customers.add(customer_row(subject, type_name, data))
    _take_members(batch, "customers.customer", subject, data)


def _take_contact(batch: Batch, subject: uuid.UUID, type_name: str, data: Data) -> None:
    batch.contacts.add(contact_row(subject, type_name, data))
    _take_members(batch, "customers.contact", subject, data)


def _take_contract(batch: Batch, subject: uuid.UUID, type_name: str, data: Data) -> None:
    batch.contracts.add(contract_row(subject, type_name, data))
    _newer(batch.contract_shares, subject, int(data["version"]), contract_shares(subject, data["state"]))
    _take_members(batch, "billing.contract", subject, data)


def _take_payment(batch: Batch, subject: uuid.UUID, type_name: str, data: Data) -> None:
    batch.payments.add(payment_row(subject, type_name, data))
    batch.payment_shares.extend(payment_shares(subject, type_name, data))
    _take_members(batch, "billing.payment", subject, data)


def _take_activity(batch: Batch, subject: uuid.UUID, type_name: str, data: Data) -> None:
    batch.activities.add(activity_row(subject, type_name, data))
    _take_members(batch, "sales.activity", subject, data)


def _take_product(batch: Batch, subject: uuid.UUID, _: str, data: Data) -> None:
    state = data["state"]
    batch.products.add(
        {
            "id": subject,
            "version": data["version"],
            "code": state["code"],
            "name": state["name"],
            "category": state.get("category"),
            "deleted": state.get("deleted", False),
        }
    )


def _take_pipeline(batch: Batch, subject: uuid.UUID, _: str, data: Data) -> None:
    state, version = data["state"], data["version"]
    batch.pipelines.add(
        {
            "id": subject,
            "version": version,
            "name": state["name"],
            "is_default": state.get("is_default", False),
            "deleted": state.get("deleted", False),
        }
    )
    for stage in state["stages"]:
        batch.stages.add(
            {
                "id": uuid.UUID(stage["id"]),
                "version": version,
                "pipeline_id": subject,
                "name": stage["name"],
                "position": stage["position"],
                "probability": stage["probability"],
                "retired": stage.get("retired", False),
            }
        )


_TAKES: Final[Mapping[str, Callable[[Batch, uuid.UUID, str, Data], None]]] = {
    sales.OPPORTUNITY_TOPIC.name: _take_opportunity,
    sales.PRODUCT_TOPIC.name: _take_product,
    sales.PIPELINE_TOPIC.name: _take_pipeline,
    customers.CUSTOMER_TOPIC.name: _take_customer,
    customers.CONTACT_TOPIC.name: _take_contact,
    billing.CONTRACT_TOPIC.name: _take_contract,
    billing.PAYMENT_TOPIC.name: _take_payment,
    sales.ACTIVITY_TOPIC.name: _take_activity,
}

#: Topics whose events become facts.
TOPICS: Final = tuple(_TAKES)


def _take_members(batch: Batch, record_type: str, subject: uuid.UUID, data: Data) -> None:
    access = data.get("access")
    if access is not None:
        members = [
            {
                "record_id": subject,
                "user_id": member["user_id"],
                "right": member["right"],
                "expires_at": member.get("expires_at"),
            }
            for member in access.get("members", ())
        ]
        _newer(batch.members.setdefault(record_type, {}), subject, data["version"], members)


def _newer(kept: dict[uuid.UUID, tuple[int, list[Row]]], key: uuid.UUID, version: int, rows: list[Row]) -> None:
    known = kept.get(key)
    if known is None or version > known[0]:
        kept[key] = (version, rows)

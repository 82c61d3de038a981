"""Events of the billing service: contracts with their instalments, payments, and what was approved."""

import datetime as dt
import uuid
from typing import Literal

from pydantic import Field

from crm_contracts.approvals import approval_events
from crm_contracts.events import Event, Part
from crm_contracts.examples import CUSTOMER, PRODUCT, ROOT, USER, owned
from crm_contracts.hand_overs import hand_over_events
from crm_contracts.operations import operation_events
from crm_contracts.records import LineState, MoneyState, RecordState, TotalsState, standard_events
from crm_contracts.registry import Topic, registry

CONTRACT_TOPIC = registry.topic(
    Topic(
        name="crm.billing.contract",
        producer="billing",
        consumers=("customers", "sales", "analytics"),
        description="Contracts (orders) with their lines and instalments, from the draft to the end.",
        partitions=3,
    )
)
PAYMENT_TOPIC = registry.topic(
    Topic(
        name="crm.billing.payment",
        producer="billing",
        consumers=("customers", "analytics"),
        description="Payments for the instalments of contracts; only approved ones count.",
        partitions=3,
    )
)
BILLING_APPROVALS = approval_events("billing", consumers=("analytics",))
BILLING_OPERATIONS = operation_events("billing")
BILLING_HAND_OVERS = hand_over_events("billing")

ContractStatus = Literal["draft", "in_approval", "active", "terminated", "void"]
PaymentMethod = Literal["bank_transfer", "card", "cash", "cheque", "direct_debit", "other"]


class InstalmentState(Part):
    """A part of what a contract comes to (BI-20). due_on: a day in the company's time zone. remind_days: days before, to remind of it.

    What of it is paid, and so its status, is told by payments and reckoned by day; it is no part of the contract's state.
    """

    id: uuid.UUID
    number: int
    amount: MoneyState
    due_on: dt.date
    method: PaymentMethod
    remind_days: int


class ContractState(RecordState):
    """A contract (BI-1). value: what is to be paid; of a contract with lines the sum of their totals, or what the opportunity was won
    at. totals: of the lines, None without lines. last_decision: how its latest approval ended. end_reason: why it was terminated."""

    number: str
    name: str
    customer_id: uuid.UUID
    opportunity_id: uuid.UUID | None = None
    status: ContractStatus = "draft"
    value: MoneyState | None = None
    lines: list[LineState] = Field(default_factory=list)
    totals: TotalsState | None = None
    instalments: list[InstalmentState] = Field(default_factory=list)
    signed_on: dt.date | None = None
    starts_on: dt.date | None = None
    ends_on: dt.date | None = None
    our_signatory: str | None = None
    their_signatory: str | None = None
    payment_terms: str | None = None
    description: str | None = None
    last_decision: Literal["approved", "rejected", "withdrawn"] | None = None
    end_reason: str | None = None


class AllocationState(Part):
    """How much of a payment is for which instalment."""

    instalment_id: uuid.UUID
    amount: MoneyState


class PaymentState(RecordState):
    """A payment (BI-21). paid_on: when it came in, a day in the company's time zone. allocations: together exactly the amount."""

    number: str
    contract_id: uuid.UUID
    amount: MoneyState
    paid_on: dt.date
    method: PaymentMethod | None = None
    reference: str | None = None
    status: Literal["pending", "approved", "rejected", "withdrawn"] = "pending"
    allocations: list[AllocationState] = Field(default_factory=list)


class PaidProductState(Part):
    """What the lines of a contract with one product come to together, taxes included."""

    product_id: uuid.UUID
    total: MoneyState


class PaidForState(Part):
    """What a payment's contract was when the payment was approved: whose, and for what. products: one each; empty without lines."""

    customer_id: uuid.UUID
    products: list[PaidProductState] = Field(default_factory=list)


_money = {"amount": "4821.00", "currency": "USD"}
_nothing = {"amount": "0.00", "currency": "USD"}
_contract = {
    "number": "CTR-2603-0001",
    "name": "GTX Pro for Example",
    "customer_id": CUSTOMER,
    "status": "draft",
    "value": _money,
    "lines": [
        {
            "id": "01900000-0000-7000-8000-000000000012",
            "product_id": PRODUCT,
            "quantity": "1",
            "list_price": _money,
            "unit_price": _money,
            "net": _money,
            "tax": _nothing,
            "total": _money,
        }
    ],
    "totals": {"net": _money, "tax": _nothing, "total": _money},
    "instalments": [
        {
            "id": "01900000-0000-7000-8000-000000000011",
            "number": 1,
            "amount": _money,
            "due_on": "2026-03-31",
            "method": "bank_transfer",
            "remind_days": 7,
        }
    ],
    "owner_id": USER,
    "created_at": "2026-03-01T09:00:00Z",
    "updated_at": "2026-03-01T09:00:00Z",
}

_payment = {
    "number": "PAY-2603-0001",
    "contract_id": "01900000-0000-7000-8000-000000000010",
    "amount": _money,
    "paid_on": "2026-03-01",
    "method": "bank_transfer",
    "allocations": [{"instalment_id": "01900000-0000-7000-8000-000000000011", "amount": _money}],
    "owner_id": USER,
    "created_at": "2026-03-01T09:00:00Z",
    "updated_at": "2026-03-01T09:00:00Z",
}

CONTRACT_EVENTS = standard_events(CONTRACT_TOPIC, ContractState, _contract)
PAYMENT_EVENTS = standard_events(PAYMENT_TOPIC, PaymentState, _payment)


@registry.event(
    "crm.billing.contract.approved.v1",
    CONTRACT_TOPIC,
    example=owned(
        {**_contract, "status": "active", "last_decision": "approved"},
        version=3,
        approval_id=ROOT,
        approved_on="2026-03-01",
    ),
)
class ContractApproved(Event[ContractState]):
    """The contract was approved and is active from now on (BI-2, BI-4): its instalments count. approval_id: which approval it was.
    approved_on: the day, in the company's time zone. `credit`: its owner then (AN-6)."""

    approval_id: uuid.UUID
    approved_on: dt.date | None = None


@registry.event(
    "crm.billing.contract.terminated.v1",
    CONTRACT_TOPIC,
    example=owned({**_contract, "status": "terminated", "end_reason": "The customer moved away"}, version=4),
)
class ContractTerminated(Event[ContractState]):
    """An active contract was ended before its time; what was open of it is not asked for any more. `state.end_reason` says why."""


@registry.event(
    "crm.billing.payment.approved.v1",
    PAYMENT_TOPIC,
    example=owned(
        {**_payment, "status": "approved"},
        version=2,
        approval_id=ROOT,
        paid_for={"customer_id": CUSTOMER, "products": [{"product_id": PRODUCT, "total": _money}]},
    ),
)
class PaymentApproved(Event[PaymentState]):
    """The payment was approved: from now on it counts for the instalments that `state.allocations` names (BI-21). paid_for: what of its
    contract it counts for. `credit`: the contract's owner then (AN-6), not who recorded the payment; nobody when it had none."""

    approval_id: uuid.UUID
    paid_for: PaidForState | None = None

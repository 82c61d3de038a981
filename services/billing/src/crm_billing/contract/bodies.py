"""Bodies and answers of the contract's own operations."""

import datetime as dt
import uuid
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from crm_billing.contract.plan import MAX_INSTALMENTS, REMIND_DAYS, InstalmentGiven, InstalmentStatus, Method
from crm_billing.ledger.rules import Account, Kind
from crm_contracts.records import MoneyState
from crm_records import Id, OptionalId
from crm_records.annotations import RequiredDay, RequiredMoney, RequiredReason

_STRICT = ConfigDict(extra="forbid")


class FromOpportunityBody(BaseModel):
    """Which won opportunity."""

    model_config = _STRICT

    opportunity_id: Id


class SubmitBody(BaseModel):
    """What the approvers are told."""

    model_config = _STRICT

    comment: Annotated[str | None, Field(max_length=2000)] = None


class TerminateBody(BaseModel):
    """Why it is ended."""

    model_config = _STRICT

    reason: RequiredReason


class InstalmentBody(BaseModel):
    """One instalment. id: of the present one that it is; left out: a new one. remind_days: days before it is due."""

    model_config = _STRICT

    id: OptionalId = None
    amount: RequiredMoney
    due_on: RequiredDay
    method: Method = "bank_transfer"
    remind_days: Annotated[int, Field(ge=0, le=365)] = REMIND_DAYS

    def given(self) -> InstalmentGiven:
        """As the rules take it."""
        return InstalmentGiven(self.amount, self.due_on, self.method, self.remind_days, self.id)


class InstalmentsBody(BaseModel):
    """All instalments, in order."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"instalments": [{"amount": {"amount": "4821.00", "currency": "USD"}, "due_on": "2026-12-31"}]}
            ]
        },
    )

    instalments: Annotated[list[InstalmentBody], Field(max_length=MAX_INSTALMENTS)]


class InstalmentView(BaseModel):
    """An instalment, what came in for it, what is open, and its status today in the company's time zone.

    pending: what payments that wait for approval are for; it is open still.
    """

    id: uuid.UUID
    number: int
    amount: MoneyState
    due_on: dt.date
    method: Method
    remind_days: int
    received: MoneyState
    open: MoneyState
    pending: MoneyState
    status: InstalmentStatus


class InstalmentList(BaseModel):
    """The plan, in order."""

    items: list[InstalmentView]


class BalanceView(BaseModel):
    """What the ledger's entries come to: contract = planned = received + open (BI-24). Nothing counts before the approval.

    contract: agreed, and not taken back by a termination. planned: the same, of the instalments. pending: of the open amount, what payments
    are for that wait for approval. All are null while the contract has
    no value.
    """

    contract: MoneyState | None
    planned: MoneyState | None
    received: MoneyState | None
    open: MoneyState | None
    pending: MoneyState | None
    instalments: list[InstalmentView]


class EntryView(BaseModel):
    """One double entry: from the credited account to the debited one. actor_id: who made it; null for the product itself."""

    id: uuid.UUID
    position: int
    at: dt.datetime
    kind: Kind
    debit_account: Account
    credit_account: Account
    instalment_id: uuid.UUID
    payment_id: uuid.UUID | None
    amount: MoneyState
    actor_id: uuid.UUID | None


class EntryList(BaseModel):
    """The ledger of one contract, in the order in which it was made."""

    items: list[EntryView]

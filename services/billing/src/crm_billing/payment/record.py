"""The payment as a record type, and as what is approved (BI-21): recording one submits it in the same moment, and it never changes.

Both stand in one file because they need each other: the hooks submit what the subject describes.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from crm_approvals import Approval, NoApprover, Subject, submit_all
from crm_billing.contract.record import CONTRACT
from crm_billing.contract.rules import NotActive
from crm_billing.ledger.rules import Entry, standings
from crm_billing.ledger.store import add_entries, entries_of
from crm_billing.payment.bodies import Allocations
from crm_billing.payment.paid_for import paid_for
from crm_billing.payment.rules import (
    Allocation,
    AllocationInvalid,
    AmountInvalid,
    ContractUnknown,
    ExceedsOpen,
    PaymentFixed,
    Status,
    check_move,
    check_open,
    check_removable,
)
from crm_billing.payment.settle import settle_change, settle_drafts
from crm_billing.payment.store import add_allocations, allocations_of
from crm_billing.payment.tables import PAYMENT_FIELDS, payment
from crm_contracts.billing import BILLING_APPROVALS, PAYMENT_EVENTS, AllocationState, PaymentApproved, PaymentState
from crm_database import ReadSession
from crm_kernel.errors import Refusal
from crm_kernel.money import Money
from crm_records import (
    Change,
    Draft,
    OccurredInFuture,
    Record,
    RecordHooks,
    RecordType,
    SystemUnit,
    Writing,
    lock_one,
    lock_records,
    open_while,
    view_of,
    write_changes,
)
from crm_records.writing import read_parts


class PaymentHooks(RecordHooks):
    """Contract, amount and allocations of new payments; their submission; that nothing of them changes."""

    refusals: ClassVar = {
        "create": (
            ContractUnknown,
            NotActive,
            AmountInvalid,
            AllocationInvalid,
            OccurredInFuture,
            ExceedsOpen,
            NoApprover,
        ),
        "change": (PaymentFixed,),
        "delete": (PaymentFixed,),
    }

    async def prepare_create(self, unit: Writing, drafts: Sequence[Draft]) -> None:
        await settle_drafts(unit, drafts)

    async def prepare_change(self, unit: Writing, changes: Sequence[Change]) -> None:
        """The same again is no change, so that a repeated import is none; anything else is refused."""
        stored = await allocations_of(unit.session, [change.id for change in changes if "allocations" in change.inputs])
        for change in changes:
            try:
                settle_change(change, stored.get(change.id, ()))
            except Refusal as refusal:
                change.refuse(refusal)

    async def prepare_delete(
        self,
        unit: Writing,  # noqa: ARG002  (the hook's signature)
        changes: Sequence[Change],
    ) -> None:
        for change in changes:
            try:
                check_removable(change.record["status"])
            except Refusal as refusal:
                change.refuse(refusal)

    async def after_write(self, unit: Writing, rows: Sequence[Draft | Change]) -> None:
        made = [row for row in rows if isinstance(row, Draft)]
        allocations = {row.id: [_allocation(state) for state in row.parts["allocations"]] for row in made}
        await add_allocations(unit.session, allocations)
        if not made:
            return
        found = await lock_records(_system(unit, "BI-21: recorded is submitted"), PAYMENT, list(allocations))
        await submit_all(unit, PAYMENT_SUBJECT, list(found.values()))

    async def read_parts(self, session: ReadSession, ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, dict[str, Any]]:
        found = await allocations_of(session, ids)
        return {key: {"allocations": [one.json() for one in some]} for key, some in found.items()}


PAYMENT = RecordType(
    service="billing",
    name="payment",
    plural="payments",
    title="Payment",
    titles={"ko": "입금", "zh": "收款", "ru": "Платёж"},
    table=payment,
    events=PAYMENT_EVENTS,
    state=PaymentState,
    fields=PAYMENT_FIELDS,
    number="PAY-{yy}{mm}-{n:04}",
    hooks=PaymentHooks(),
    open=open_while("status", "pending"),
    parts={"allocations": list[AllocationState]},
    inputs={"allocations": Allocations},
)


#: What of a payment is the money that came in, and so must be at its approval what it was when it was recorded.
COUNTING = ("contract_id", "amount", "paid_on", "method", "reference", "allocations", "external_ref")


async def freeze(unit: Writing, records: Sequence[Record]) -> Mapping[uuid.UUID, Mapping[str, Any]]:
    """The payments as the API shows them, and which contracts they are for."""
    parts = await read_parts(unit.session, PAYMENT, [one.id for one in records])
    system = _system(unit, "the payment's maker sees the contract; approvers are told its number and name")
    contracts = await lock_records(system, CONTRACT, [one["contract_id"] for one in records])
    return {
        one.id: {
            **view_of(PAYMENT, one, parts[one.id]),
            "contract": {"number": contract.number, "name": contract["name"]},
        }
        for one in records
        for contract in [contracts[one["contract_id"]]]
    }


async def approved(unit: Writing, approval: Approval, found: Record) -> None:
    """The payment counts from now on. Raises NotPending, NotActive (the contract was terminated meanwhile), ExceedsOpen."""
    system = _system(unit, "BI-21: its approval makes a payment count")
    check_move(found["status"], "approved")
    contract = await lock_one(system, CONTRACT, found["contract_id"], "write")
    if contract["status"] != "active":
        raise NotActive(extra={"status": contract["status"]})
    allocations = (await allocations_of(unit.session, [found.id]))[found.id]
    standing = standings((await entries_of(unit.session, [contract.id]))[contract.id])
    # No plan falls below what pending payments are for, so this holds; money is not counted on the word of another rule.
    check_open(allocations, {key: one.open for key, one in standing.items()})
    owner = contract.owner_id
    change = Change(
        index=0,
        record=found,
        values={"status": "approved"},
        extra={"approval_id": approval.id, "paid_for": await paid_for(unit.session, contract)},
        # AN-6: money counts for whose contract it is, whoever typed it in.
        credit=None if owner is None else unit.directory.credit_of(owner),
    )
    await write_changes(system, PAYMENT, [change], PaymentApproved)
    entries = [Entry("paid", one.instalment_id, one.amount.minor, found.id) for one in allocations]
    await add_entries(unit.session, contract.id, found["amount"].currency, entries)


async def rejected(unit: Writing, _approval: Approval, found: Record) -> None:
    """It never counted, and never will."""
    await _end(unit, found, "rejected")


async def withdrawn(unit: Writing, _approval: Approval, found: Record) -> None:
    """The same."""
    await _end(unit, found, "withdrawn")


async def _end(unit: Writing, found: Record, status: Status) -> None:
    system = _system(unit, "BI-21: what is not approved doesn't count")
    check_move(found["status"], status)
    change = Change(index=0, record=found, values={"status": status})
    await write_changes(system, PAYMENT, [change], PAYMENT.events.changed)


def _system(unit: Writing, reason: str) -> SystemUnit:
    return SystemUnit(unit.session, unit.directory, unit.calendar, reason)


def _allocation(state: Mapping[str, Any]) -> Allocation:
    amount = Money.parse(state["amount"]["amount"], state["amount"]["currency"])
    return Allocation(uuid.UUID(state["instalment_id"]), amount)


PAYMENT_SUBJECT = Subject(
    record=PAYMENT,
    events=BILLING_APPROVALS,
    title=lambda record: f"{record.number} {record['amount']}",
    snapshot=freeze,
    counting=COUNTING,
    approved=approved,
    rejected=rejected,
    withdrawn=withdrawn,
    refusals=(NotActive, ExceedsOpen),
)

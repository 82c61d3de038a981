"""New payments' allocations, for all rows of a request at once: contracts are locked, so that what is open stays so. And that a
recorded payment stays what it is."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

from crm_billing.contract.record import CONTRACT
from crm_billing.contract.rules import NotActive
from crm_billing.contract.store import instalments_of
from crm_billing.ledger.rules import Standing, standings
from crm_billing.ledger.store import entries_of
from crm_billing.payment.rules import (
    Allocation,
    AmountInvalid,
    ContractUnknown,
    Open,
    allocate,
    check_same,
    same_allocations,
)
from crm_billing.payment.store import waiting_of
from crm_kernel.errors import FieldError, Forbidden, Invalid, Refusal
from crm_kernel.money import Money
from crm_records import Change, Draft, OccurredInFuture, Record, Writing, lock_records


@dataclass
class Payable:
    """A locked contract, and what of each instalment can still be paid; the rows of a request use it up."""

    contract: Record
    opens: list[Open]


async def settle_drafts(unit: Writing, drafts: Sequence[Draft]) -> None:
    """Give new payments their allocations, or refuse them."""
    payables = await _payables(unit, drafts)
    for draft in drafts:
        try:
            payable = payables.get(draft["contract_id"])
            if payable is None:
                raise _pointed(ContractUnknown, "/contract_id")
            _settle(unit, payable, draft)
        except Refusal as refusal:
            draft.refuse(refusal)


def settle_change(change: Change, stored: Sequence[Allocation]) -> None:
    """Whether what was sent is what is there. stored: the payment's allocations. Raises PaymentFixed."""
    same = all(value == change.record[name] for name, value in change.values.items())
    if "allocations" in change.inputs:
        same = same and same_allocations(_asked(change) or (), stored)
    gives_up = change.external_ref_changes and change.external_ref != change.record.external_ref
    if gives_up and change.external_ref is not None:
        same = False
    check_same(change.record["status"], same=same, gives_up_reference=gives_up)


async def _payables(unit: Writing, drafts: Sequence[Draft]) -> dict[uuid.UUID, Payable]:
    """The contracts that the caller sees, by permission and by scope."""
    try:
        unit.require(CONTRACT.permission("read"))
    except Forbidden:
        return {}
    found = await lock_records(unit, CONTRACT, [draft["contract_id"] for draft in drafts])
    opens = await _opens(unit, list(found))
    return {key: Payable(one, opens[key]) for key, one in found.items()}


async def _opens(unit: Writing, contract_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[Open]]:
    """What can be paid of each locked contract."""
    plans = await instalments_of(unit.session, contract_ids)
    entries = await entries_of(unit.session, contract_ids)
    waiting = await waiting_of(unit.session, contract_ids)
    opens: dict[uuid.UUID, list[Open]] = {}
    for key in contract_ids:
        standing = standings(entries[key])
        opens[key] = [
            Open(one.id, one.due_on, one.number, standing.get(one.id, Standing()).open - waiting.get(one.id, 0))
            for one in plans[key]
        ]
    return opens


def _settle(unit: Writing, payable: Payable, draft: Draft) -> None:
    status = payable.contract["status"]
    if status != "active":
        raise NotActive(f"It is {status.replace('_', ' ')}", extra={"status": status})
    amount: Money = draft["amount"]
    currency = payable.contract["value"].currency
    if amount.minor <= 0 or amount.currency != currency:
        raise _pointed(AmountInvalid, "/amount")
    if draft["paid_on"] > unit.calendar.today(unit.now):
        raise _pointed(OccurredInFuture, "/paid_on")
    asked = _asked(draft)
    for index, one in enumerate(asked or ()):
        if one.amount.currency != currency:
            raise _pointed(AmountInvalid, f"/allocations/{index}/amount")
    allocations = allocate(amount, payable.opens, asked)
    used = {one.instalment_id: one.amount.minor for one in allocations}
    payable.opens = [replace(one, amount=one.amount - used.get(one.instalment_id, 0)) for one in payable.opens]
    draft.parts["allocations"] = [one.json() for one in allocations]


def _asked(row: Draft | Change) -> list[Allocation] | None:
    given = row.inputs.get("allocations")
    return None if given is None else [Allocation(one.instalment_id, one.amount) for one in given]


def _pointed(refusal: type[Invalid], pointer: str) -> Invalid:
    return refusal(errors=[FieldError(pointer, refusal.code, refusal.title)])

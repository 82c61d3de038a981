"""Contracts as a subject of approvals (BI-2, BI-4): what is frozen, and what follows from the decision."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from crm_approvals import Approval, Subject
from crm_billing.contract.record import CONTRACT
from crm_billing.contract.rules import check_move
from crm_billing.contract.store import instalments_of
from crm_billing.customer.tables import CUSTOMERS
from crm_billing.ledger.rules import replanned
from crm_billing.ledger.store import add_entries
from crm_contracts.billing import BILLING_APPROVALS, ContractApproved
from crm_records import Change, Record, SystemUnit, Writing, view_of, write_changes
from crm_records.writing import read_parts

#: What of a contract was agreed, and so must be at its approval what it was when it was submitted.
COUNTING = (
    *("name", "customer_id", "opportunity_id", "value", "lines", "instalments", "signed_on", "starts_on", "ends_on"),
    *("our_signatory", "their_signatory", "payment_terms", "description", "external_ref"),
)


async def freeze(unit: Writing, records: Sequence[Record]) -> Mapping[uuid.UUID, Mapping[str, Any]]:
    """The contracts as the API shows them, and what their customers are called."""
    parts = await read_parts(unit.session, CONTRACT, [one.id for one in records])
    customers = await CUSTOMERS.find(
        unit.session,
        list(dict.fromkeys(one["customer_id"] for one in records)),
        unscoped="the contract names it; approvers are told its number and name",
    )
    frozen: dict[uuid.UUID, Mapping[str, Any]] = {}
    for one in records:
        known = customers.get(one["customer_id"])
        customer = None if known is None else {"number": known["number"], "name": known["name"]}
        frozen[one.id] = {**view_of(CONTRACT, one, parts[one.id]), "customer": customer}
    return frozen


async def approved(unit: Writing, approval: Approval, found: Record) -> None:
    """The contract is in force at once, and the ledger says what it comes to. Raises NotInApproval."""
    system = _system(unit, "BI-2: its approval puts a contract in force")
    check_move(found["status"], "active")
    change = Change(
        index=0,
        record=found,
        values={"status": "active", "last_decision": "approved"},
        extra={"approval_id": approval.id, "approved_on": unit.calendar.today(unit.now)},
    )
    await write_changes(system, CONTRACT, [change], ContractApproved)
    plan = (await instalments_of(unit.session, [found.id]))[found.id]
    entries = replanned({}, {one.id: one.amount.minor for one in plan})
    await add_entries(unit.session, found.id, found["value"].currency, entries)


async def rejected(unit: Writing, _approval: Approval, found: Record) -> None:
    """It is a draft again."""
    await _back_to_draft(unit, found, "rejected")


async def withdrawn(unit: Writing, _approval: Approval, found: Record) -> None:
    """It is a draft again."""
    await _back_to_draft(unit, found, "withdrawn")


async def _back_to_draft(unit: Writing, found: Record, decision: Literal["rejected", "withdrawn"]) -> None:
    system = _system(unit, "BI-2: what is not approved is a draft again")
    check_move(found["status"], "draft")
    change = Change(index=0, record=found, values={"status": "draft", "last_decision": decision})
    await write_changes(system, CONTRACT, [change], CONTRACT.events.changed)


def _system(unit: Writing, reason: str) -> SystemUnit:
    """Who decides need not reach the contract by scope."""
    return SystemUnit(unit.session, unit.directory, unit.calendar, reason)


CONTRACT_SUBJECT = Subject(
    record=CONTRACT,
    events=BILLING_APPROVALS,
    title=lambda record: f"{record.number} {record['name']}",
    snapshot=freeze,
    counting=COUNTING,
    approved=approved,
    rejected=rejected,
    withdrawn=withdrawn,
)

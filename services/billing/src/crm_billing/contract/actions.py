"""What is done with contracts besides changing their fields: instalments, submission, end (BI-2, BI-20)."""

import uuid
from collections.abc import Sequence

from crm_approvals import submit, withdraw_subject
from crm_billing.contract.approval import CONTRACT_SUBJECT
from crm_billing.contract.plan import Instalment, InstalmentGiven, check_kept, check_sum, settle_plan, whole_plan
from crm_billing.contract.record import CONTRACT
from crm_billing.contract.rules import Status, check_draft, check_move, check_value
from crm_billing.contract.store import instalments_of, replace_instalments
from crm_billing.ledger.rules import ended, replanned, standings
from crm_billing.ledger.store import add_entries, entries_of
from crm_billing.payment.store import waiting_of
from crm_contracts.billing import ContractTerminated
from crm_kernel import new_id
from crm_records import Change, Record, Writing, lock_one, read_record, write_changes

#: What the permission to change drafts doesn't cover.
_PLAN = "billing.contract:plan"


async def put_instalments(unit: Writing, contract_id: uuid.UUID, given: Sequence[InstalmentGiven]) -> Record:
    """Replace a draft's plan; or an active contract's, which needs a permission of its own and must come to the contract's value.

    Raises NotFound, RecordOutOfScope, Stale, NotDraft, Forbidden, PlanInvalid, SumDiffers, InstalmentPaid.
    """
    found = await lock_one(unit, CONTRACT, contract_id, "write")
    active = found["status"] == "active"
    if active:
        unit.require(_PLAN)
    else:
        check_draft(found["status"])
    present = (await instalments_of(unit.session, [found.id]))[found.id]
    plan = settle_plan(given, present, [new_id() for _ in given])
    if plan == present:
        return found
    if active:
        check_sum(plan, found["value"])
        standing = standings((await entries_of(unit.session, [found.id]))[found.id])
        received = {key: one.received for key, one in standing.items()}
        check_kept(plan, present, received, await waiting_of(unit.session, [found.id]))
        entries = replanned(_amounts(present), _amounts(plan))
        await add_entries(unit.session, found.id, found["value"].currency, entries)
    await replace_instalments(unit.session, found.id, plan)
    return await _write(unit, _planned(found, present, plan))


async def submit_contract(unit: Writing, contract_id: uuid.UUID, comment: str | None) -> Record:
    """Ask for a draft's approval; until the decision it is not changed.

    Without a plan it gets one instalment. Raises NotFound, RecordOutOfScope, Stale, NotDraft, ValueMissing, SumDiffers, NoApprover.
    """
    found = await lock_one(unit, CONTRACT, contract_id, "write")
    check_move(found["status"], "in_approval")
    value = check_value(found["value"])
    present = (await instalments_of(unit.session, [found.id]))[found.id]
    plan = present or whole_plan(
        value, new_id(), ends_on=found["ends_on"], starts_on=found["starts_on"], today=unit.calendar.today(unit.now)
    )
    check_sum(plan, value)
    change = Change(index=0, record=found)
    if plan != present:
        await replace_instalments(unit.session, found.id, plan)
        change = _planned(found, present, plan)
    change.values |= {"status": "in_approval", "last_decision": None}
    after = await _write(unit, change)
    await submit(unit, CONTRACT_SUBJECT, after, comment)
    return after


async def withdraw_contract(unit: Writing, contract_id: uuid.UUID) -> Record:
    """Take back what was submitted; it is a draft again. Raises NotFound, NotPending, NotSubmitter, AlreadyDecided, Stale."""
    scope = unit.scope(CONTRACT.key, "read")
    await read_record(unit.session, CONTRACT, scope, contract_id)
    await withdraw_subject(unit, CONTRACT_SUBJECT, contract_id)
    after = await read_record(unit.session, CONTRACT, scope, contract_id)
    # Approvals are locked before records, so the condition is judged by the version that the withdrawal changed.
    unit.require_match(after.version - 1)
    return after


async def terminate_contract(unit: Writing, contract_id: uuid.UUID, reason: str) -> Record:
    """End an active contract: what is open is not asked for any more.

    Raises NotFound, RecordOutOfScope, Stale, NotActive.
    """
    found = await lock_one(unit, CONTRACT, contract_id, "write")
    check_move(found["status"], "terminated")
    change = Change(index=0, record=found, values={"status": "terminated", "end_reason": reason})
    await write_changes(unit, CONTRACT, [change], ContractTerminated)
    entries = ended(standings((await entries_of(unit.session, [found.id]))[found.id]))
    await add_entries(unit.session, found.id, found["value"].currency, entries)
    return change.after or found


async def void_contract(unit: Writing, contract_id: uuid.UUID) -> Record:
    """Give a draft up for good; its opportunity may get another contract. Raises NotFound, RecordOutOfScope, Stale, NotDraft."""
    found = await lock_one(unit, CONTRACT, contract_id, "write")
    target: Status = "void"
    check_move(found["status"], target)
    return await _write(unit, Change(index=0, record=found, values={"status": target}))


def _planned(found: Record, present: Sequence[Instalment], plan: Sequence[Instalment]) -> Change:
    """The change that another plan is."""
    told = [one.json() for one in plan]
    return Change(
        index=0,
        record=found,
        parts={"instalments": told},
        noted={"instalments": ([one.json() for one in present], told)},
    )


async def _write(unit: Writing, change: Change) -> Record:
    await write_changes(unit, CONTRACT, [change], CONTRACT.events.changed)
    return change.after or change.record


def _amounts(plan: Sequence[Instalment]) -> dict[uuid.UUID, int]:
    return {one.id: one.amount.minor for one in plan}

"""Contracts by who won them, approved by their superiors; payments by collections, approved by theirs."""

from collections.abc import Mapping, Sequence
from typing import Any

from crm_stack.demo.company.facts import Contract, Payment
from crm_stack.demo.company.load.market import grouped
from crm_stack.demo.company.load.organisation import money
from crm_stack.demo.company.load.staff import Staff, ref

_PATH = "/api/billing/v1/contracts"
#: Each row submits an approval of its own, so that a thousand would take longer than a request may.
_PAYMENTS_AT_ONCE = 50
#: What is to wait, and what was never submitted.
_UNDECIDED = frozenset({"in_approval", "pending", "draft", "void"})


def load_contracts(staff: Staff, currency: str) -> None:
    """Everything about contracts, up to where each is planned to be."""
    contracts = staff.plan.contracts
    seen = {key: _seen(staff, one) for key, one in contracts.items()}
    bare = [one for key, one in contracts.items() if not _is_dated(seen[key])]
    staff.each("contracts", bare, lambda one: _draft(staff, one, currency))
    # Last, because it tells a later load that the draft is whole.
    dates = grouped(bare, lambda one: one.owner, lambda one: _dates(staff, one))
    staff.rows("contract dates", f"{_PATH}/batch", dates, mode="change")
    drafts = [one for key, one in contracts.items() if one.ending != "draft" and _is_draft(seen[key])]
    staff.each("submitted", drafts, lambda one: _submit(staff, one))
    _decide(staff, "approvals", {staff.ids[key]: one for key, one in contracts.items()})


def load_payments(staff: Staff, currency: str) -> None:
    """Payments and their approval; then the contracts that were ended early."""
    new = [one for one in staff.plan.payments if one.key not in staff.known["payment"]]
    rows = grouped(new, lambda one: one.recorder, lambda one: _payment(staff, one, currency))
    staff.rows("payments", "/api/billing/v1/payments/batch", rows, at_once=_PAYMENTS_AT_ONCE, mode="upsert")
    _decide(staff, "received", {staff.ids[one.key]: one for one in staff.plan.payments})
    ending = [
        one
        for key, one in staff.plan.contracts.items()
        if one.ending == "terminated" and (_seen(staff, one) or {}).get("status") != "terminated"
    ]
    staff.each("terminated", ending, lambda one: _terminate(staff, one))


def _seen(staff: Staff, one: Contract) -> Any:
    """What was there of it before this load."""
    return staff.known["drafted"].get(staff.ids[one.opportunity])


def _is_dated(item: Mapping[str, Any] | None) -> bool:
    return item is not None and (item["signed_on"] is not None or item["status"] != "draft")


def _is_draft(item: Mapping[str, Any] | None) -> bool:
    """Whether it is a draft that nobody has decided on."""
    return item is None or (item["status"] == "draft" and item["last_decision"] is None)


def _draft(staff: Staff, one: Contract, currency: str) -> None:
    """Draft it, unless that was done before an interruption, and plan its instalments, instead of those that may be there."""
    owner = staff.person(one.owner)
    if one.key not in staff.ids:
        body = {"opportunity_id": staff.ids[one.opportunity]}
        staff.ids[one.key] = owner.once("POST", f"{_PATH}/from-opportunity", body)["id"]
    plan = [{"amount": money(amount, currency), "due_on": due.isoformat()} for amount, due in one.instalments]
    owner.once("PUT", f"{_PATH}/{staff.ids[one.key]}/instalments", {"instalments": plan})


def _dates(staff: Staff, one: Contract) -> dict[str, Any]:
    return {
        "id": staff.ids[one.key],
        "external_ref": ref(one.key),
        "signed_on": one.signed.isoformat(),
        "starts_on": one.starts.isoformat(),
        "ends_on": one.ends.isoformat(),
        "our_signatory": one.our_signatory,
        "their_signatory": one.their_signatory,
        "payment_terms": one.terms,
    }


def _submit(staff: Staff, one: Contract) -> None:
    """Ask for its approval, or give it up."""
    action = "void" if one.ending == "void" else "submit"
    staff.person(one.owner).once("POST", f"{_PATH}/{staff.ids[one.key]}/{action}", {})


def _payment(staff: Staff, one: Payment, currency: str) -> dict[str, Any]:
    return {
        "external_ref": ref(one.key),
        "contract_id": staff.ids[one.contract],
        "amount": money(one.amount, currency),
        "paid_on": one.paid.isoformat(),
        "method": one.method,
        "reference": one.reference,
    }


def _decide(staff: Staff, what: str, subjects: Mapping[str, Contract | Payment]) -> None:
    """Everybody who is to decide decides what waits for them."""
    deciding: list[tuple[str, str, Contract | Payment]] = []
    for approver in _approvers(staff):
        waiting = staff.person(approver).pages("/api/billing/v1/approvals", role="to_decide")
        found = (
            (approver, item["id"], subjects[item["subject_id"]]) for item in waiting if item["subject_id"] in subjects
        )
        deciding += [one for one in found if one[2].ending not in _UNDECIDED]
    staff.each(what, deciding, lambda one: _say(staff, *one))


def _approvers(staff: Staff) -> Sequence[str]:
    """The superiors of whoever submits something."""
    submitting = {one.owner for one in staff.plan.contracts.values()} | {one.recorder for one in staff.plan.payments}
    return sorted({above for key in submitting if (above := staff.plan.people[key].superior) is not None})


def _say(staff: Staff, approver: str, approval: str, one: Contract | Payment) -> None:
    verdict, body = ("reject", {"comment": one.comment}) if one.ending == "rejected" else ("approve", {})
    staff.person(approver).once("POST", f"/api/billing/v1/approvals/{approval}/{verdict}", body)


def _terminate(staff: Staff, one: Contract) -> None:
    who = staff.person(staff.leader(one.owner))
    who.once("POST", f"{_PATH}/{staff.ids[one.key]}/terminate", {"reason": one.comment})

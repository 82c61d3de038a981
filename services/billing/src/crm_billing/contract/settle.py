"""A new or changed contract's values, from what was given and what it refers to. No queries: `known` has been read before."""

from collections.abc import Sequence

from crm_billing.contract.known import Known
from crm_billing.contract.rules import CustomerUnknown, check_days, check_draft, pointed, value_of
from crm_kernel import new_id
from crm_records import Change, Draft
from crm_records.lines import Line, LineGiven, LinesInvalid, lines_json, parts_of, settle_lines


def settle_draft(known: Known, draft: Draft) -> None:
    """Fill what a new contract has. Raises its refusal."""
    if draft["customer_id"] not in known.customers:
        raise pointed(CustomerUnknown, "/customer_id")
    check_days(draft["starts_on"], draft["ends_on"])
    draft.parts.setdefault("instalments", [])
    if "lines" in draft.parts:
        # Drafted from an opportunity: lines and value as they were agreed there, whatever they would come to here.
        return
    lines = _lines(draft, (), known)
    draft.values["value"] = value_of(lines, draft["value"])
    draft.parts |= parts_of(lines)


def settle_change(known: Known, change: Change) -> None:
    """Fill what follows from a change of fields. Raises its refusal.

    What is no draft any more stays as it is: the same again is no change, so that a repeated import is none.
    """
    if change.record["status"] != "draft":
        if not _same(known, change):
            check_draft(change.record["status"])
        # "The value from the lines" is said by an empty value, too.
        change.values.clear()
        return
    if _differs(change, "customer_id") and change["customer_id"] not in known.customers:
        raise pointed(CustomerUnknown, "/customer_id")
    check_days(change["starts_on"], change["ends_on"])
    present = known.lines.get(change.id, ())
    if "lines" in change.inputs:
        after = _lines(change, present, known)
        if after != present:
            given = change.values.get("value")
            if after or "value" in change.values:
                change.values["value"] = value_of(after, given)
            change.parts |= parts_of(after)
            change.noted["lines"] = (lines_json(present), lines_json(after))
            return
    if present and "value" in change.values:
        if change.values["value"] in (None, change.record["value"]):
            # "From the lines", which it is already (or what the opportunity was won at).
            del change.values["value"]
        else:
            change.values["value"] = value_of(present, change.values["value"])


def _same(known: Known, change: Change) -> bool:
    """Whether what was sent is what is there already."""
    present = known.lines.get(change.id, ())
    if change.external_ref_changes and change.external_ref != change.record.external_ref:
        return False
    from_lines = present and change.values.get("value") is None
    if any(_differs(change, name) for name in change.values if not (name == "value" and from_lines)):
        return False
    if "lines" not in change.inputs:
        return True
    try:
        return _lines(change, present, known) == present
    except LinesInvalid:
        return False


def _differs(change: Change, name: str) -> bool:
    return name in change.values and change.values[name] != change.record[name]


def _lines(row: Draft | Change, present: Sequence[Line], known: Known) -> tuple[Line, ...]:
    given: list[LineGiven] = [line.given() for line in row.inputs.get("lines") or ()]
    return settle_lines(given, present, known.offers, [new_id() for _ in given])

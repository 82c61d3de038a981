"""A new or changed opportunity's values, from what was given and what it refers to. No queries: `known` has been read before."""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from crm_kernel import new_id
from crm_kernel.money import Money
from crm_records import Change, Draft, Writing
from crm_records.lines import Line, LineGiven, Offer, lines_json, parts_of, settle_lines
from crm_records.refusals import OccurredInFuture
from crm_sales.opportunity.known import Known
from crm_sales.opportunity.rules import (
    CLOSED,
    CustomerUnknown,
    NotOpen,
    ProductUnknown,
    StageByAdvance,
    check_closing,
    pointed,
    probability_of,
    value_of,
    weighted,
)
from crm_sales.pipeline.rules import Stage, beginning, check_required, is_empty

_BACKDATE = "sales.opportunity:backdate"
#: Fields that every opportunity has, although a new one need not be given them.
_NEVER_EMPTY = ("pipeline_id", "stage_id", "opened_on")


def settle_draft(unit: Writing, known: Known, draft: Draft) -> None:
    """Fill what a new opportunity has. Raises its refusal."""
    pipeline, stage = beginning(known.pipelines, draft["pipeline_id"], draft["stage_id"])
    entered_at = draft.occurred_at or unit.now
    opened_on = unit.calendar.day_of(entered_at)
    if draft["opened_on"] is not None and draft["opened_on"] != opened_on:
        opened_on = draft["opened_on"]
        check_day(unit, "/opened_on", opened_on)
    if draft["customer_id"] is not None and draft["customer_id"] not in known.customers:
        raise pointed(CustomerUnknown, "/customer_id")
    _check_products(draft["product_ids"] or (), known.offers)
    lines = _lines(draft, (), known)
    value = value_of(lines, draft["value"])
    probability = probability_of("open", stage.probability, draft["probability_override"])
    draft.values |= {
        "pipeline_id": pipeline.id,
        "stage_id": stage.id,
        "stage_entered_at": entered_at,
        "outcome": "open",
        "opened_on": opened_on,
        "probability": probability,
        "value": value,
        "weighted_value": weighted(value, probability),
    }
    draft.parts |= parts_of(lines)
    check_required(stage, {**draft.values, "lines": lines})


def settle_change(unit: Writing, known: Known, change: Change) -> None:
    """Fill what follows from a change of fields. Raises its refusal."""
    for name in _NEVER_EMPTY:
        if name in change.values and change.values[name] is None:
            change.refuse_field(name, "field.required", "This field can't be empty")
            return
    if _differs(change, "stage_id") or _differs(change, "pipeline_id"):
        raise pointed(StageByAdvance, "/stage_id" if _differs(change, "stage_id") else "/pipeline_id")
    if _differs(change, "customer_id") and change["customer_id"] not in (None, *known.customers):
        raise pointed(CustomerUnknown, "/customer_id")
    if _differs(change, "product_ids"):
        added = [one for one in change["product_ids"] if one not in change.record["product_ids"]]
        _check_products(added, known.offers)
    if _differs(change, "opened_on"):
        check_day(unit, "/opened_on", change["opened_on"])
        if change.record["closed_on"] is not None:
            check_closing(change["opened_on"], change.record["closed_on"], "/opened_on")
    lines = _settle_value(change, known)
    _settle_probability(change, known)
    if change.record["outcome"] not in CLOSED:
        _check_still_there(_stage(change, known), change, lines)


def _settle_value(change: Change, known: Known) -> tuple[Line, ...] | None:
    """Lines and value; answers the lines when they change."""
    present = known.lines.get(change.id, ())
    closed = change.record["outcome"] in CLOSED
    if "lines" in change.inputs:
        after = _lines(change, present, known)
        if after != present:
            if closed:
                raise NotOpen
            given: Money | None = change.values.get("value")
            if after:
                change.values["value"] = value_of(after, given)
            change.parts |= parts_of(after)
            change.noted["lines"] = (lines_json(present), lines_json(after))
            return after
    if present and "value" in change.values and change.values["value"] is None:
        # "From the lines", which it is already (or what it was closed at).
        del change.values["value"]
    if _differs(change, "value"):
        if closed:
            raise NotOpen
        # With lines it is their sum already, and can't be anything else.
        change.values["value"] = value_of(present, change.values["value"])
    return None


def _settle_probability(change: Change, known: Known) -> None:
    if _differs(change, "probability_override"):
        if change.record["outcome"] in CLOSED:
            raise NotOpen
        stage = _stage(change, known)
        change.values["probability"] = probability_of(
            change.record["outcome"], stage.probability, change["probability_override"]
        )
    if _differs(change, "value") or _differs(change, "probability"):
        change.values["weighted_value"] = weighted(change["value"], change["probability"])


def _check_still_there(stage: Stage, change: Change, lines: tuple[Line, ...] | None) -> None:
    """What the stage requires may not be emptied; what was empty before it was required may stay so."""
    after: dict[str, Any] = {name: change[name] for name in stage.required if name in change.values}
    if lines is not None:
        after["lines"] = lines
    emptied = [
        name
        for name in stage.required
        if name in after and is_empty(after[name]) and (name == "lines" or not is_empty(change.record.values.get(name)))
    ]
    if emptied:
        check_required(stage, {**dict.fromkeys(stage.required, True), **dict.fromkeys(emptied)})


def _stage(change: Change, known: Known) -> Stage:
    return known.pipelines[change.record["pipeline_id"]].stage(change.record["stage_id"])


def _differs(change: Change, name: str) -> bool:
    return name in change.values and change.values[name] != change.record[name]


def _lines(row: Draft | Change, present: Sequence[Line], known: Known) -> tuple[Line, ...]:
    given: list[LineGiven] = [line.given() for line in row.inputs.get("lines") or ()]
    return settle_lines(given, present, known.offers, [new_id() for _ in given])


def _check_products(ids: Sequence[uuid.UUID], offers: Mapping[uuid.UUID, Offer]) -> None:
    unknown = [str(one) for one in ids if one not in offers]
    if unknown:
        raise pointed(ProductUnknown, "/product_ids", f"There is no product {', '.join(unknown)}")


def check_day(unit: Writing, pointer: str, day: dt.date) -> None:
    """Whether the caller may say that something happened on this day. Raises OccurredInFuture, Forbidden."""
    if day > unit.calendar.today(unit.now):
        raise pointed(OccurredInFuture, pointer, "What has happened did not happen in the future")
    unit.require(_BACKDATE)

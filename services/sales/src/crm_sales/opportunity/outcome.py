"""Won, lost, on hold, and open again (SA-4): one event each."""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from crm_contracts import Event
from crm_contracts.sales import OpportunityHeld, OpportunityLost, OpportunityReopened, OpportunityWon
from crm_kernel.errors import Refusal
from crm_kernel.money import Money
from crm_records import Change, Record, Writing, lock_one, write_changes
from crm_records.inputs import check_occurred_at
from crm_records.lines import Line, lines_of
from crm_records.row_answers import Outcome as RowOutcome
from crm_sales.opportunity.bodies import OutcomeRow
from crm_sales.opportunity.known import read_pipelines
from crm_sales.opportunity.named import locked_rows
from crm_sales.opportunity.record import OPPORTUNITY
from crm_sales.opportunity.rules import (
    CLOSED,
    Outcome,
    check_closed_value,
    check_closing,
    check_outcome,
    probability_of,
    value_of,
    weighted,
)
from crm_sales.opportunity.settle import check_day
from crm_sales.opportunity.tables import opportunity_line
from crm_sales.pipeline.rules import Pipeline

EVENTS: Final[Mapping[Outcome, type[Event[Any]]]] = {
    "won": OpportunityWon,
    "lost": OpportunityLost,
    "on_hold": OpportunityHeld,
    "open": OpportunityReopened,
}


@dataclass(frozen=True)
class Decision:
    """An outcome. value: what it was closed at; None: as it is. closed_on: None: the day of occurred_at, which is now unless given."""

    outcome: Outcome
    reason: str | None = None
    value: Money | None = None
    closed_on: dt.date | None = None
    occurred_at: dt.datetime | None = None


async def decide(unit: Writing, opportunity_id: uuid.UUID, decision: Decision) -> Record:
    """Give one opportunity its outcome.

    Raises NotFound, RecordOutOfScope, Stale, OutcomeNotAllowed, ReasonMissing, ClosedBeforeOpened, CurrencyMixed, OccurredInFuture,
    Forbidden (backdating).
    """
    found = await lock_one(unit, OPPORTUNITY, opportunity_id, "write")
    check_occurred_at(unit, OPPORTUNITY, decision.occurred_at)
    pipelines = await read_pipelines(unit, entering=False)
    lines = await lines_of(unit.session, opportunity_line, [found.id])
    change = _decided(unit, pipelines, lines[found.id], found, decision, 0)
    await write_changes(unit, OPPORTUNITY, [change], EVENTS[decision.outcome])
    return change.after or found


async def decide_rows(unit: Writing, raw_rows: Sequence[Any]) -> list[RowOutcome]:
    """Outcomes of many; a row that is refused stops no other.

    A row whose opportunity has that outcome already, with the same value, day and reason as far as the row says, is unchanged.
    """
    rows = await locked_rows(unit, OutcomeRow, raw_rows)
    pipelines = await read_pipelines(unit, entering=False)
    lines = await lines_of(unit.session, opportunity_line, [row.record.id for row in rows if row.record is not None])
    for row in rows:
        if row.record is None or row.body is None:
            continue
        body = row.body
        decision = Decision(body.outcome, body.reason, body.value, body.closed_on, body.occurred_at)
        if _is_decided(unit, row.record, decision):
            continue
        try:
            check_occurred_at(unit, OPPORTUNITY, body.occurred_at)
            row.change = _decided(unit, pipelines, lines[row.record.id], row.record, decision, row.index)
        except Refusal as refusal:
            row.refusal = refusal
    for outcome, event in EVENTS.items():
        changes = [row.change for row in rows if row.change is not None and row.change["outcome"] == outcome]
        await write_changes(unit, OPPORTUNITY, changes, event)
    return [row.outcome() for row in rows]


def _is_decided(unit: Writing, found: Record, decision: Decision) -> bool:
    """Whether the opportunity has the outcome as the decision says it; what it leaves out is not compared."""
    if found["outcome"] != decision.outcome:
        return False
    day = decision.closed_on
    if day is None and decision.occurred_at is not None and decision.outcome in CLOSED:
        day = unit.calendar.day_of(decision.occurred_at)
    same_reason = decision.outcome == "won" or decision.reason in (None, found["outcome_reason"])
    return same_reason and decision.value in (None, found["value"]) and day in (None, found["closed_on"])


def _decided(
    unit: Writing,
    pipelines: Mapping[uuid.UUID, Pipeline],
    lines: tuple[Line, ...],
    found: Record,
    decision: Decision,
    index: int,
) -> Change:
    """The change that the decision is. Raises its refusal."""
    check_outcome(found["outcome"], decision.outcome, decision.reason)
    value = found["value"] if decision.value is None else decision.value
    if decision.outcome == "open":
        # What it was closed at is over; with lines their sum counts again.
        value = value_of(lines, None) if lines else value
    check_closed_value(value, lines)
    stage = pipelines[found["pipeline_id"]].stage(found["stage_id"])
    probability = probability_of(decision.outcome, stage.probability, found["probability_override"])
    return Change(
        index=index,
        record=found,
        values={
            "outcome": decision.outcome,
            "outcome_reason": decision.reason if decision.outcome in ("lost", "on_hold") else None,
            "closed_on": _closing_day(unit, found, decision),
            "value": value,
            "probability": probability,
            "weighted_value": weighted(value, probability),
        },
        occurred_at=decision.occurred_at,
    )


def _closing_day(unit: Writing, found: Record, decision: Decision) -> dt.date | None:
    """The day on which it was closed, in the company's time zone; None unless it is closed."""
    if decision.outcome not in CLOSED:
        return None
    day = unit.calendar.day_of(decision.occurred_at or unit.now)
    if decision.closed_on is not None and decision.closed_on != day:
        check_day(unit, "/closed_on", decision.closed_on)
        day = decision.closed_on
    check_closing(found["opened_on"], day)
    return day

"""Going to another stage, forward or back (SA-3): one event each."""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from crm_contracts.sales import OpportunityStageChanged
from crm_kernel.errors import Refusal
from crm_records import Change, Record, Writing, lock_one, write_changes
from crm_records.inputs import check_occurred_at
from crm_records.lines import Line, lines_of
from crm_records.row_answers import Outcome as RowOutcome
from crm_sales.opportunity.bodies import AdvanceRow
from crm_sales.opportunity.known import read_pipelines
from crm_sales.opportunity.named import locked_rows
from crm_sales.opportunity.record import OPPORTUNITY
from crm_sales.opportunity.rules import NotOpen, dwell, probability_of, weighted
from crm_sales.opportunity.tables import opportunity_line
from crm_sales.pipeline.rules import Pipeline, check_required, check_step


async def advance(
    unit: Writing, opportunity_id: uuid.UUID, stage_id: uuid.UUID, occurred_at: dt.datetime | None
) -> Record:
    """Go to a stage; nothing happens when it is there already.

    Raises NotFound, RecordOutOfScope, Stale, NotOpen, StageUnknown, StageRetired, JumpNotAllowed, FieldsMissing, OccurredInFuture.
    """
    found = await lock_one(unit, OPPORTUNITY, opportunity_id, "write")
    check_occurred_at(unit, OPPORTUNITY, occurred_at)
    pipelines = await read_pipelines(unit, entering=True)
    lines = await lines_of(unit.session, opportunity_line, [found.id])
    change = _step(unit, pipelines, lines, found, stage_id, occurred_at, 0)
    if change is None:
        return found
    await write_changes(unit, OPPORTUNITY, [change], OpportunityStageChanged)
    return change.after or found


async def advance_rows(unit: Writing, raw_rows: Sequence[Any]) -> list[RowOutcome]:
    """Many at once; a row that is refused stops no other, and one whose opportunity is in the stage already changes nothing."""
    rows = await locked_rows(unit, AdvanceRow, raw_rows)
    pipelines = await read_pipelines(unit, entering=True)
    lines = await lines_of(unit.session, opportunity_line, [row.record.id for row in rows if row.record is not None])
    for row in rows:
        if row.record is None or row.body is None:
            continue
        try:
            check_occurred_at(unit, OPPORTUNITY, row.body.occurred_at)
            body = row.body
            row.change = _step(unit, pipelines, lines, row.record, body.stage_id, body.occurred_at, row.index)
        except Refusal as refusal:
            row.refusal = refusal
    changes = [row.change for row in rows if row.change is not None]
    await write_changes(unit, OPPORTUNITY, changes, OpportunityStageChanged)
    return [row.outcome() for row in rows]


def _step(
    unit: Writing,
    pipelines: Mapping[uuid.UUID, Pipeline],
    lines: Mapping[uuid.UUID, tuple[Line, ...]],
    found: Record,
    stage_id: uuid.UUID,
    occurred_at: dt.datetime | None,
    index: int,
) -> Change | None:
    """The change that the step is; None when the opportunity is in the stage already."""
    if stage_id == found["stage_id"]:
        return None
    if found["outcome"] != "open":
        raise NotOpen(f"It is {found['outcome'].replace('_', ' ')}; reopen it first")
    pipeline = pipelines[found["pipeline_id"]]
    regression = check_step(pipeline, found["stage_id"], stage_id)
    stage = pipeline.stage(stage_id)
    check_required(stage, {**found.values, "lines": lines[found.id]})
    at = occurred_at or unit.now
    # What was set by hand was meant for the stage it leaves.
    probability = probability_of("open", stage.probability, None)
    return Change(
        index=index,
        record=found,
        values={
            "stage_id": stage.id,
            "stage_entered_at": at,
            "probability_override": None,
            "probability": probability,
            "weighted_value": weighted(found["value"], probability),
        },
        occurred_at=occurred_at,
        extra={
            "from_stage_id": found["stage_id"],
            "to_stage_id": stage.id,
            "dwell_seconds": dwell(found["stage_entered_at"], at),
            "regression": regression,
        },
    )

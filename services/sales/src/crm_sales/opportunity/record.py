"""The opportunity as a record type: its hooks say what must hold when one is created or changed (SA-2, SA-5)."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from crm_contracts.records import LineState, TotalsState
from crm_contracts.sales import OPPORTUNITY_EVENTS, OpportunityState
from crm_database import ReadSession
from crm_kernel.errors import Refusal
from crm_records import Change, Draft, RecordHooks, RecordType, Writing, open_while
from crm_records.lines import Lines, LinesInvalid, line_of, lines_of, parts_of, replace_lines
from crm_sales.activity.actions import follow_customers
from crm_sales.opportunity.known import known_for_changes, known_for_drafts
from crm_sales.opportunity.rules import (
    ClosedBeforeOpened,
    CurrencyMixed,
    CustomerUnknown,
    NotOpen,
    ProductUnknown,
    StageByAdvance,
    ValueFromLines,
)
from crm_sales.opportunity.settle import settle_change, settle_draft
from crm_sales.opportunity.tables import OPPORTUNITY_FIELDS, opportunity, opportunity_line
from crm_sales.pipeline.rules import FieldsMissing, PipelineUnknown, StageRetired, StageUnknown


class OpportunityHooks(RecordHooks):
    """Stage, value, probability and lines of new and changed opportunities."""

    refusals: ClassVar = {
        "create": (
            CustomerUnknown,
            ProductUnknown,
            LinesInvalid,
            ValueFromLines,
            CurrencyMixed,
            PipelineUnknown,
            StageUnknown,
            StageRetired,
            FieldsMissing,
        ),
        "change": (
            CustomerUnknown,
            ProductUnknown,
            LinesInvalid,
            ValueFromLines,
            CurrencyMixed,
            StageByAdvance,
            ClosedBeforeOpened,
            NotOpen,
            FieldsMissing,
        ),
    }

    async def prepare_create(self, unit: Writing, drafts: Sequence[Draft]) -> None:
        known = await known_for_drafts(unit, drafts)
        for draft in drafts:
            try:
                settle_draft(unit, known, draft)
            except Refusal as refusal:
                draft.refuse(refusal)

    async def prepare_change(self, unit: Writing, changes: Sequence[Change]) -> None:
        known = await known_for_changes(unit, changes)
        for change in changes:
            try:
                settle_change(unit, known, change)
            except Refusal as refusal:
                change.refuse(refusal)

    async def after_write(self, unit: Writing, rows: Sequence[Draft | Change]) -> None:
        lines = {row.id: [line_of(state) for state in row.parts["lines"]] for row in rows if "lines" in row.parts}
        if lines:
            new = [row.id for row in rows if isinstance(row, Draft)]
            await replace_lines(unit.session, opportunity_line, lines, new=new)
        moved = [row.id for row in rows if isinstance(row, Change) and _has_moved(row)]
        if moved:
            await follow_customers(unit, moved)

    async def read_parts(self, session: ReadSession, ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, dict[str, Any]]:
        found = await lines_of(session, opportunity_line, ids)
        return {key: parts_of(lines) for key, lines in found.items()}


def _has_moved(change: Change) -> bool:
    """Whether the opportunity was given another customer."""
    return bool(change["customer_id"] != change.record["customer_id"])


OPPORTUNITY = RecordType(
    service="sales",
    name="opportunity",
    plural="opportunities",
    title="Opportunity",
    titles={"ko": "영업 기회", "zh": "商机", "ru": "Сделка"},
    table=opportunity,
    events=OPPORTUNITY_EVENTS,
    state=OpportunityState,
    fields=OPPORTUNITY_FIELDS,
    number="OPP-{yy}{mm}-{n:04}",
    hooks=OpportunityHooks(),
    open=open_while("outcome", "open", "on_hold"),
    parts={"lines": list[LineState], "totals": TotalsState | None},
    inputs={"lines": Lines},
)

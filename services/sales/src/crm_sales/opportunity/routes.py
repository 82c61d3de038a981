"""Opportunities over HTTP: the standard operations, stages, outcomes."""

import uuid
from collections.abc import Mapping
from typing import Any

from crm_kernel import NotFound, Stale
from crm_records import Id, Record, RecordOutOfScope, read_record, record_router
from crm_records.models import RowsAnswer
from crm_records.refusals import OccurredInFuture
from crm_records.routes.bodies import ActorView
from crm_records.routes.bulk import BULK
from crm_records.routes.single import whole
from crm_records.row_answers import rows_answer
from crm_records.rows import to_bytes
from crm_sales.opportunity import store
from crm_sales.opportunity.advance import advance, advance_rows
from crm_sales.opportunity.bodies import (
    AdvanceBody,
    AdvancesBody,
    HoldBody,
    LoseBody,
    OutcomesBody,
    ReopenBody,
    StageHistory,
    StageVisit,
    WinBody,
)
from crm_sales.opportunity.history import Fact, visits
from crm_sales.opportunity.outcome import Decision, decide, decide_rows
from crm_sales.opportunity.record import OPPORTUNITY
from crm_sales.opportunity.rules import (
    ClosedBeforeOpened,
    CurrencyMixed,
    NotOpen,
    OutcomeNotAllowed,
    ReasonMissing,
)
from crm_sales.pipeline.rules import FieldsMissing, JumpNotAllowed, StageRetired, StageUnknown
from crm_sales.pipeline.store import read_all
from crm_web import Json, ReadUnit, Router, WriteUnit

router: Router = record_router(OPPORTUNITY)

_SEEN = (NotFound, RecordOutOfScope, Stale, OccurredInFuture)
_CLOSING = (*_SEEN, OutcomeNotAllowed, ClosedBeforeOpened, CurrencyMixed)
_ROWS_EXAMPLE = {
    "ok": 1,
    "failed": 0,
    "rows": [
        {
            "index": 0,
            "status": "ok",
            "done": "changed",
            "id": "01900000-0000-7000-8000-000000000042",
            "version": 2,
        }
    ],
}


@router.post(
    "/opportunities/advance",
    permission="sales.opportunity:advance",
    summary="Take up to 1,000 opportunities to other stages; answers per row",
    operation_id="advance_opportunities",
    response=RowsAnswer,
    limits=BULK,
    example=_ROWS_EXAMPLE,
)
async def advance_many(body: AdvancesBody, unit: WriteUnit) -> Json:
    return Json(to_bytes(rows_answer(await advance_rows(unit, body.rows), "rows")))


@router.post(
    "/opportunities/outcomes",
    permission="sales.opportunity:close",
    summary="Give up to 1,000 opportunities their outcomes; answers per row",
    operation_id="decide_opportunities",
    response=RowsAnswer,
    limits=BULK,
    example=_ROWS_EXAMPLE,
)
async def decide_many(body: OutcomesBody, unit: WriteUnit) -> Json:
    return Json(to_bytes(rows_answer(await decide_rows(unit, body.rows), "rows")))


@router.post(
    "/opportunities/{id}/advance",
    permission="sales.opportunity:advance",
    summary="Take an opportunity to another stage, forward or back",
    errors=[*_SEEN, NotOpen, StageUnknown, StageRetired, JumpNotAllowed, FieldsMissing],
    response=OPPORTUNITY.models.view,
)
async def advance_opportunity(id: Id, body: AdvanceBody, unit: WriteUnit) -> Json:
    return await _answer(unit, await advance(unit, id, body.stage_id, body.occurred_at))


@router.post(
    "/opportunities/{id}/win",
    permission="sales.opportunity:close",
    summary="An opportunity was won",
    errors=_CLOSING,
    response=OPPORTUNITY.models.view,
)
async def win_opportunity(id: Id, body: WinBody, unit: WriteUnit) -> Json:
    decision = Decision("won", None, body.value, body.closed_on, body.occurred_at)
    return await _answer(unit, await decide(unit, id, decision))


@router.post(
    "/opportunities/{id}/lose",
    permission="sales.opportunity:close",
    summary="An opportunity was lost",
    errors=[*_CLOSING, ReasonMissing],
    response=OPPORTUNITY.models.view,
)
async def lose_opportunity(id: Id, body: LoseBody, unit: WriteUnit) -> Json:
    decision = Decision("lost", body.reason, body.value, body.closed_on, body.occurred_at)
    return await _answer(unit, await decide(unit, id, decision))


@router.post(
    "/opportunities/{id}/hold",
    permission="sales.opportunity:close",
    summary="Put an opportunity on hold",
    errors=[*_SEEN, OutcomeNotAllowed, ReasonMissing],
    response=OPPORTUNITY.models.view,
)
async def hold_opportunity(id: Id, body: HoldBody, unit: WriteUnit) -> Json:
    return await _answer(unit, await decide(unit, id, Decision("on_hold", body.reason, occurred_at=body.occurred_at)))


@router.post(
    "/opportunities/{id}/reopen",
    permission="sales.opportunity:reopen",
    summary="Open a won, lost or held opportunity again, in the stage it was in",
    errors=[*_SEEN, OutcomeNotAllowed],
    response=OPPORTUNITY.models.view,
)
async def reopen_opportunity(id: Id, body: ReopenBody, unit: WriteUnit) -> Json:
    return await _answer(unit, await decide(unit, id, Decision("open", occurred_at=body.occurred_at)))


@router.get(
    "/opportunities/{id}/stages",
    permission="sales.opportunity:read",
    summary="An opportunity's way through its stages: who, when, how long",
    errors=[NotFound],
)
async def read_opportunity_stages(id: Id, unit: ReadUnit) -> StageHistory:
    await read_record(unit.session, OPPORTUNITY, unit.scope(OPPORTUNITY.key, "read"), id)
    stages = {stage.id: stage for stored in (await read_all(unit.session)).values() for stage in stored.pipeline.stages}
    items = []
    for visit in visits([_fact(row) for row in await store.stage_facts(unit.session, id)], unit.now):
        stage = stages.get(visit.stage_id)
        items.append(
            StageVisit(
                stage_id=visit.stage_id,
                stage=None if stage is None else stage.name,
                entered_at=visit.entered_at,
                left_at=visit.left_at,
                recorded_at=visit.recorded_at,
                by=ActorView.model_validate(visit.actor),
                from_stage_id=visit.from_stage_id,
                regression=visit.regression,
                dwell_seconds=visit.dwell_seconds,
                expected_days=None if stage is None else stage.dwell_days,
            )
        )
    return StageHistory(items=items)


def _fact(row: Mapping[str, Any]) -> Fact:
    return Fact(
        kind=row["type"].rsplit(".", 2)[1],
        occurred_at=row["occurred_at"],
        recorded_at=row["time"],
        actor=row["actor"],
        stage_id=uuid.UUID(row["stage_id"]),
        from_stage_id=None if row["from_stage_id"] is None else uuid.UUID(row["from_stage_id"]),
        dwell_seconds=int(row["dwell_seconds"] or 0),
        regression=row["regression"] == "true",
    )


async def _answer(unit: WriteUnit, found: Record) -> Json:
    return Json(await whole(unit, OPPORTUNITY, found), etag=found.version)

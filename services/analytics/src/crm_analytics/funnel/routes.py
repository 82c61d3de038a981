"""GET /reports/funnel."""

import uuid
from typing import Annotated, Any

from fastapi import Query

from crm_analytics.funnel import store
from crm_analytics.funnel.models import FunnelReport
from crm_analytics.funnel.rules import FunnelBy, fold, report
from crm_analytics.progress import store as progress
from crm_analytics.report.labels import label_of
from crm_analytics.report.parameters import (
    MAX_LEVEL,
    Day,
    ParameterNotApplicable,
    PeriodRefused,
    Whose,
    period,
    require_level_applies,
)
from crm_analytics.report.router import PERMISSION, report_router
from crm_analytics.report.store import stages
from crm_web import ReadUnit

router = report_router()


@router.get(
    "/reports/funnel",
    permission=PERMISSION,
    summary="Stages: entered, converted, dwell, regressions, outcomes",
    response=FunnelReport,
    errors=[PeriodRefused, ParameterNotApplicable],
)
async def funnel(
    unit: ReadUnit,
    first: Annotated[Day, Query(alias="from", description="First day of entry")],
    last: Annotated[Day, Query(alias="to", description="Last day of entry, part of the period")],
    group_by: FunnelBy = "pipeline",
    level: Annotated[
        int | None,
        Query(ge=0, le=MAX_LEVEL, description="By department: depth below the root, each with all below it"),
    ] = None,
    pipeline: uuid.UUID | None = None,
    user: Annotated[uuid.UUID | None, Query(description="Whose the opportunity was when it entered")] = None,
    department: Annotated[uuid.UUID | None, Query(description="Credited to it, or below it, as of then")] = None,
    source: Annotated[str | None, Query(max_length=200)] = None,
) -> dict[str, Any]:
    """What became of the opportunities that entered a stage in the period, of those that the caller may read now.

    Entries are credited to whom the opportunity belonged to when it entered.
    """
    start, end = unit.calendar.bounds(period(first, last))
    require_level_applies(level, group_by)
    unit.require("sales.opportunity:read")
    question = store.Question(start, end, group_by, Whose(user, department), pipeline, source, level)
    as_of = await progress.newest(unit.session, "facts")
    funnels, total = fold(await store.count(unit.session, unit.scope("sales.opportunity", "read"), question))
    pipelines = {pipeline_id for pipeline_id, _ in total.stages}
    known = await stages(unit.session, pipelines) if pipelines else {}
    names = {row["pipeline_id"]: row["pipeline_name"] for row in known.values() if row["pipeline_name"] is not None}
    return {
        "as_of": as_of,
        **report(funnels, total, stages=known, label=lambda key: label_of(group_by, key, unit.directory, names)),
    }

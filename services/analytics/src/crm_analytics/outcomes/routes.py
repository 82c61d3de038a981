"""GET /reports/opportunity-outcomes."""

import uuid
from typing import Annotated, Any

from fastapi import Query

from crm_analytics.outcomes import store
from crm_analytics.outcomes.models import EXAMPLE, OutcomeReport
from crm_analytics.outcomes.rules import Figures, GroupBy
from crm_analytics.progress import store as progress
from crm_analytics.report.company import CompanyUnknown, currency_of
from crm_analytics.report.folding import TooManyRows, fold, report
from crm_analytics.report.labels import label_of
from crm_analytics.report.parameters import MAX_LEVEL, Day, ParameterNotApplicable, PeriodRefused, Whose, period
from crm_analytics.report.question import Question
from crm_analytics.report.router import PERMISSION, report_router
from crm_analytics.report.store import names
from crm_web import ReadUnit

router = report_router()


@router.get(
    "/reports/opportunity-outcomes",
    permission=PERMISSION,
    summary="Won, lost and open opportunities",
    response=OutcomeReport,
    example=EXAMPLE,
    errors=[PeriodRefused, ParameterNotApplicable, TooManyRows, CompanyUnknown],
)
async def opportunity_outcomes(
    unit: ReadUnit,
    first: Annotated[Day, Query(alias="from", description="First day")],
    last: Annotated[Day, Query(alias="to", description="Last day, part of the period")],
    group_by: GroupBy,
    level: Annotated[
        int | None,
        Query(ge=0, le=MAX_LEVEL, description="By department: depth below the root, each with all below it"),
    ] = None,
    department: Annotated[uuid.UUID | None, Query(description="Credited to it, or below it, as of then")] = None,
    user: Annotated[uuid.UUID | None, Query(description="Credited to this user, as of then")] = None,
    pipeline: uuid.UUID | None = None,
) -> dict[str, Any]:
    """Won and lost by closing day, open by opening day, of the opportunities that the caller may read now.

    Credited to whom they belonged to when they were closed (opened), in the department of then: transfers and moves since change
    nothing. By product, an opportunity counts once for each of its products, and its value is divided among them.
    """
    question = Question(period(first, last), group_by, Whose(user, department), level, pipeline=pipeline).checked()
    unit.require("sales.opportunity:read")
    as_of = await progress.newest(unit.session, "facts")
    counted = await store.count(unit.session, unit.scope("sales.opportunity", "read"), question)
    groups, total = fold(counted, Figures)
    known = await names(unit.session, group_by, [key for key in groups if isinstance(key, uuid.UUID)])
    return {
        "as_of": as_of,
        **report(
            group_by,
            groups,
            total,
            company_currency=currency_of(unit.directory),
            label=lambda key: label_of(group_by, key, unit.directory, known),
        ),
    }

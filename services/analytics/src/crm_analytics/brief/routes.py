"""GET /reports/sales-brief."""

import uuid
from typing import Annotated, Any, Literal

from fastapi import Query

from crm_analytics.brief import store
from crm_analytics.brief.models import BriefReport
from crm_analytics.brief.rules import FIGURES, fold
from crm_analytics.progress import store as progress
from crm_analytics.report.company import CompanyUnknown, currency_of
from crm_analytics.report.parameters import Day, PeriodRefused, Whose, period, period_before
from crm_analytics.report.router import PERMISSION, report_router
from crm_kernel import Period
from crm_web import ReadUnit

router = report_router()


@router.get(
    "/reports/sales-brief",
    permission=PERMISSION,
    summary="What is new, won and lost, compared with a period before",
    response=BriefReport,
    errors=[PeriodRefused, CompanyUnknown],
)
async def sales_brief(
    unit: ReadUnit,
    first: Annotated[Day, Query(alias="from", description="First day")],
    last: Annotated[Day, Query(alias="to", description="Last day, part of the period")],
    compare: Annotated[
        Literal["previous", "year"], Query(description="With the period right before, or the same a year before")
    ] = "previous",
    user: Annotated[uuid.UUID | None, Query(description="Credited to this user, as of then")] = None,
    department: Annotated[uuid.UUID | None, Query(description="Credited to it, or below it, as of then")] = None,
) -> dict[str, Any]:
    """Of the records that the caller may read now: each kind by its own data scope.

    When the days are a whole week, month, quarter or year, the period before is the one before of that kind, else as many days.
    """
    current = period(first, last)
    before = period_before(current, compare)
    readable = {kind for kind in FIGURES.values() if unit.caller.allows(f"{kind}:read")}
    scopes = {kind: unit.scope(kind, "read") for kind in readable}
    as_of = await progress.newest(unit.session, "facts")
    spans = [store.Span(p, *unit.calendar.bounds(p)) for p in (current, before)]
    counted = await store.count(unit.session, scopes, spans[0], spans[1], Whose(user, department))
    return {
        "as_of": as_of,
        "current": _days(current),
        "before": _days(before),
        "figures": fold(counted, readable, currency_of(unit.directory)),
    }


def _days(shown: Period) -> dict[str, Any]:
    return {"key": shown.key, "first": shown.first, "last": shown.last}

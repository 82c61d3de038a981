"""GET /reports/payments-received."""

import uuid
from typing import Annotated, Any

from fastapi import Query

from crm_analytics.payments import store
from crm_analytics.payments.models import EXAMPLE, PaymentReport
from crm_analytics.payments.rules import Figures
from crm_analytics.report import money
from crm_analytics.report.company import CompanyUnknown
from crm_analytics.report.folding import TooManyRows
from crm_analytics.report.parameters import MAX_LEVEL, Day, ParameterNotApplicable, PeriodRefused, Whose, period
from crm_analytics.report.question import MoneyGroupBy, Question
from crm_analytics.report.router import PERMISSION, report_router
from crm_web import ReadUnit

router = report_router()


@router.get(
    "/reports/payments-received",
    permission=PERMISSION,
    summary="Payments that came in",
    response=PaymentReport,
    example=EXAMPLE,
    errors=[PeriodRefused, ParameterNotApplicable, TooManyRows, CompanyUnknown],
)
async def payments_received(
    unit: ReadUnit,
    first: Annotated[Day, Query(alias="from", description="First day")],
    last: Annotated[Day, Query(alias="to", description="Last day, part of the period")],
    group_by: MoneyGroupBy,
    level: Annotated[
        int | None,
        Query(ge=0, le=MAX_LEVEL, description="By department: depth below the root, each with all below it"),
    ] = None,
    department: Annotated[uuid.UUID | None, Query(description="Credited to it, or below it, as of then")] = None,
    user: Annotated[uuid.UUID | None, Query(description="Credited to this user, as of then")] = None,
    customer: uuid.UUID | None = None,
) -> dict[str, Any]:
    """By the day they came in, of the approved payments that the caller may read now.

    Credited to whom their contract belonged to when they were approved, in the department of then. By product, a payment counts once for
    each product of its contract, and is divided among them as the contract's lines are.
    """
    asked = Question(period(first, last), group_by, Whose(user, department), level, customer=customer)
    return await money.answer(unit, asked.checked(), "billing.payment", store.count, Figures)

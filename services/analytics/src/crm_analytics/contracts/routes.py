"""GET /reports/contract-values."""

import uuid
from typing import Annotated, Any

from fastapi import Query

from crm_analytics.contracts import store
from crm_analytics.contracts.models import EXAMPLE, ContractReport
from crm_analytics.contracts.rules import Figures
from crm_analytics.report import money
from crm_analytics.report.company import CompanyUnknown
from crm_analytics.report.folding import TooManyRows
from crm_analytics.report.parameters import MAX_LEVEL, Day, ParameterNotApplicable, PeriodRefused, Whose, period
from crm_analytics.report.question import MoneyGroupBy, Question
from crm_analytics.report.router import PERMISSION, report_router
from crm_web import ReadUnit

router = report_router()


@router.get(
    "/reports/contract-values",
    permission=PERMISSION,
    summary="Signed contracts and what they come to",
    response=ContractReport,
    example=EXAMPLE,
    errors=[PeriodRefused, ParameterNotApplicable, TooManyRows, CompanyUnknown],
)
async def contract_values(
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
    """By the day of signing (of approval, where none was entered), of the approved contracts that the caller may read now.

    Credited to whom they belonged to when they were approved, in the department of then. By product, a contract counts once for each of its
    products, and its value is divided among them as its lines are.
    """
    asked = Question(period(first, last), group_by, Whose(user, department), level, customer=customer)
    return await money.answer(unit, asked.checked(), "billing.contract", store.count, Figures)

"""How the reports on money are answered: by whom, product, customer or period, of the records of one type that the caller may read."""

import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from crm_analytics.progress import store as progress
from crm_analytics.report.company import currency_of
from crm_analytics.report.folding import Figures, fold, report
from crm_analytics.report.labels import label_of
from crm_analytics.report.question import Question
from crm_analytics.report.store import customer_names, names
from crm_authz import Scope
from crm_database import ReadSession
from crm_web import ReadUnit

_CUSTOMER = "customers.customer"


async def answer(
    unit: ReadUnit,
    asked: Question,
    record_type: str,
    count: Callable[[ReadSession, Scope, Question], Awaitable[list[Any]]],
    new: Callable[[], Figures],
) -> dict[str, Any]:
    """The report's answer. count: the statement; new: a row's figures. Raises Forbidden, TooManyRows, CompanyUnknown."""
    unit.require(f"{record_type}:read")
    as_of = await progress.newest(unit.session, "facts")
    groups, total = fold(await count(unit.session, unit.scope(record_type, "read"), asked), new)
    known = await _names(unit, asked.group_by, [key for key in groups if isinstance(key, uuid.UUID)])
    return {
        "as_of": as_of,
        **report(
            asked.group_by,
            groups,
            total,
            company_currency=currency_of(unit.directory),
            label=lambda key: label_of(asked.group_by, key, unit.directory, known),
        ),
    }


async def _names(unit: ReadUnit, group_by: str, keys: list[uuid.UUID]) -> dict[uuid.UUID, str]:
    if group_by != "customer":
        return await names(unit.session, group_by, keys)
    if not unit.caller.allows(f"{_CUSTOMER}:read"):
        return {}
    # Whoever sees a contract need not see its customer: then the row has the bare id, as the contract has.
    return await customer_names(unit.session, unit.scope(_CUSTOMER, "read"), keys)

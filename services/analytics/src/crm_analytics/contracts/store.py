"""Counting contracts: one statement for all rows and the total."""

from typing import Any

import sqlalchemy as sa

from crm_analytics.facts.tables import contract_fact as c
from crm_analytics.facts.tables import contract_product
from crm_analytics.report.grouping_store import counting
from crm_analytics.report.question import Question
from crm_analytics.report.signed import CONTRACT_DAY, IS_SIGNED
from crm_analytics.report.store import FIRST, LAST, credited
from crm_authz import Scope
from crm_database import Query, ReadSession, query

#: Compiled statements: of each shape of question and scope there is one.
_statements: dict[tuple[Any, ...], Query] = {}


async def count(session: ReadSession, scope: Scope, asked: Question) -> list[Any]:
    """Counted rows: `is_total`, `key`, `kind` (active, terminated), `currency`, `count`, `minor` (sum of values)."""
    given = asked.given
    shape = (asked.group_by, frozenset(given), scope.shape)
    statement = _statements.get(shape)
    if statement is None:
        statement = _statements[shape] = query(_counting(scope, asked.group_by, frozenset(given)))
    return await session.fetch(statement, **given, **scope.parameters(c))


def _counting(scope: Scope, group_by: str, given: frozenset[str]) -> sa.Select[Any]:
    statement = sa.select(
        c.c.id,
        c.c.status.label("kind"),
        CONTRACT_DAY.label("day"),
        c.c.approved_user_id.label("user_id"),
        c.c.approved_department_id.label("department_id"),
        c.c.approved_path.label("path"),
        c.c.customer_id,
        c.c.value_minor,
        c.c.currency,
    ).where(
        scope.open_predicate(c),
        c.c.deleted.is_(False),
        IS_SIGNED,
        CONTRACT_DAY.between(FIRST, LAST),
        *credited(c.c.approved_user_id, c.c.approved_path, given),
    )
    if "customer" in given:
        statement = statement.where(c.c.customer_id == sa.bindparam("customer", type_=sa.Uuid))
    facts = statement.cte("facts")
    return counting(facts, group_by, given, contract_product, contract_product.c.contract_id == facts.c.id)

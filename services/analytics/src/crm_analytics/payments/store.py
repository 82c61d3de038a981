"""Counting payments: one statement for all rows and the total."""

from typing import Any

import sqlalchemy as sa

from crm_analytics.facts.tables import payment_fact as p
from crm_analytics.facts.tables import payment_product
from crm_analytics.report.grouping_store import counting
from crm_analytics.report.question import Question
from crm_analytics.report.signed import IS_RECEIVED
from crm_analytics.report.store import FIRST, LAST, credited
from crm_authz import Scope
from crm_database import Query, ReadSession, query

#: Compiled statements: of each shape of question and scope there is one.
_statements: dict[tuple[Any, ...], Query] = {}


async def count(session: ReadSession, scope: Scope, asked: Question) -> list[Any]:
    """Counted rows: `is_total`, `key`, `kind` (received), `currency`, `count`, `minor` (sum of amounts)."""
    given = asked.given
    shape = (asked.group_by, frozenset(given), scope.shape)
    statement = _statements.get(shape)
    if statement is None:
        statement = _statements[shape] = query(_counting(scope, asked.group_by, frozenset(given)))
    return await session.fetch(statement, **given, **scope.parameters(p))


def _counting(scope: Scope, group_by: str, given: frozenset[str]) -> sa.Select[Any]:
    statement = sa.select(
        p.c.id,
        p.c.approved_version,
        sa.literal_column("'received'", sa.Text).label("kind"),
        p.c.paid_on.label("day"),
        p.c.approved_user_id.label("user_id"),
        p.c.approved_department_id.label("department_id"),
        p.c.approved_path.label("path"),
        p.c.approved_customer_id.label("customer_id"),
        p.c.value_minor,
        p.c.currency,
    ).where(
        scope.open_predicate(p),
        p.c.deleted.is_(False),
        IS_RECEIVED,
        p.c.paid_on.between(FIRST, LAST),
        *credited(p.c.approved_user_id, p.c.approved_path, given),
    )
    if "customer" in given:
        statement = statement.where(p.c.approved_customer_id == sa.bindparam("customer", type_=sa.Uuid))
    facts = statement.cte("facts")
    part = payment_product.c
    its_parts = sa.and_(part.payment_id == facts.c.id, part.version == facts.c.approved_version)
    return counting(facts, group_by, given, payment_product, its_parts)

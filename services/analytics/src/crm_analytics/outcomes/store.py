"""Counting outcomes: one statement for all rows and the total."""

from typing import Any

import sqlalchemy as sa

from crm_analytics.facts.rows import CLOSED
from crm_analytics.facts.tables import opportunity_fact as o
from crm_analytics.facts.tables import opportunity_product
from crm_analytics.report.grouping_store import counting
from crm_analytics.report.question import Question
from crm_analytics.report.store import FIRST, LAST, credited
from crm_authz import Scope
from crm_database import Query, ReadSession, query

_CLOSED = o.c.outcome.in_([sa.literal_column(f"'{outcome}'") for outcome in sorted(CLOSED)])

#: Compiled statements: of each shape of question and scope there is one.
_statements: dict[tuple[Any, ...], Query] = {}


async def count(session: ReadSession, scope: Scope, asked: Question) -> list[Any]:
    """Counted rows: `is_total`, `key`, `kind` (won, lost, open), `currency`, `count`, `minor` (sum of values)."""
    given = asked.given
    shape = (asked.group_by, frozenset(given), scope.shape)
    statement = _statements.get(shape)
    if statement is None:
        statement = _statements[shape] = query(_counting(scope, asked.group_by, frozenset(given)))
    return await session.fetch(statement, **given, **scope.parameters(o))


def _counting(scope: Scope, group_by: str, given: frozenset[str]) -> sa.Select[Any]:
    facts = sa.union_all(_closed(scope, given), _open(scope, given)).cte("facts")
    return counting(facts, group_by, given, opportunity_product, opportunity_product.c.opportunity_id == facts.c.id)


def _closed(scope: Scope, given: frozenset[str]) -> sa.Select[Any]:
    return _facts("closed", o.c.outcome, o.c.closed_on, given).where(
        scope.open_predicate(o), o.c.deleted.is_(False), _CLOSED, o.c.closed_on.between(FIRST, LAST)
    )


def _open(scope: Scope, given: frozenset[str]) -> sa.Select[Any]:
    """Opened in the period and not over at its end; on hold is not over."""
    return _facts("opened", sa.literal_column("'open'", sa.Text), o.c.opened_on, given).where(
        scope.open_predicate(o),
        o.c.deleted.is_(False),
        o.c.opened_on.between(FIRST, LAST),
        sa.or_(sa.not_(_CLOSED), o.c.closed_on > LAST),
    )


def _facts(
    moment: str, kind: sa.ColumnElement[Any], day: sa.ColumnElement[Any], given: frozenset[str]
) -> sa.Select[Any]:
    user, department, path = (o.c[f"{moment}_{name}"] for name in ("user_id", "department_id", "path"))
    statement = sa.select(
        o.c.id,
        kind.label("kind"),
        day.label("day"),
        user.label("user_id"),
        department.label("department_id"),
        path.label("path"),
        o.c.pipeline_id,
        o.c.source,
        o.c.value_minor,
        o.c.currency,
    ).where(*credited(user, path, given))
    if "pipeline" in given:
        statement = statement.where(o.c.pipeline_id == sa.bindparam("pipeline", type_=sa.Uuid))
    return statement

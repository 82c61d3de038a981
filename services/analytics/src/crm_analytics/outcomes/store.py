"""Counting outcomes: one statement for all rows and the total."""

import uuid
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from crm_analytics.facts.rows import CLOSED
from crm_analytics.facts.tables import opportunity_fact as o
from crm_analytics.facts.tables import opportunity_product
from crm_analytics.outcomes.rules import PERIODS, GroupBy
from crm_analytics.report.parameters import Whose
from crm_analytics.report.store import asked_for, credited
from crm_authz import Scope
from crm_database import Query, ReadSession, query
from crm_kernel import Period

_FIRST = sa.bindparam("first", type_=sa.Date)
_LAST = sa.bindparam("last", type_=sa.Date)
_CLOSED = o.c.outcome.in_([sa.literal_column(f"'{outcome}'") for outcome in sorted(CLOSED)])

#: Compiled statements: of each shape of question and scope there is one.
_statements: dict[tuple[Any, ...], Query] = {}


@dataclass(frozen=True)
class Question:
    """What to count. level: depth below the root, for departments only; None: the departments credited themselves."""

    period: Period
    group_by: GroupBy
    whose: Whose
    pipeline: uuid.UUID | None = None
    level: int | None = None


async def count(session: ReadSession, scope: Scope, asked: Question) -> list[Any]:
    """Counted rows: `is_total`, `key`, `kind` (won, lost, open), `currency`, `count`, `minor` (sum of values)."""
    given: dict[str, Any] = {"first": asked.period.first, "last": asked.period.last, **asked_for(asked.whose)}
    if asked.pipeline is not None:
        given["pipeline"] = asked.pipeline
    if asked.level is not None:
        given["place"] = asked.level + 1
    shape = (asked.group_by, frozenset(given), scope.shape)
    statement = _statements.get(shape)
    if statement is None:
        statement = _statements[shape] = query(_counting(scope, asked.group_by, frozenset(given)))
    return await session.fetch(statement, **given, **scope.parameters(o))


def _counting(scope: Scope, group_by: GroupBy, given: frozenset[str]) -> sa.Select[Any]:
    facts = sa.union_all(_closed(scope, given), _open(scope, given)).cte("facts")
    value: sa.ColumnElement[Any] = facts.c.value_minor
    rows: sa.FromClause = facts
    key: sa.ColumnElement[Any]
    if group_by == "product":
        part = opportunity_product
        rows = facts.outerjoin(part, part.c.opportunity_id == facts.c.id)
        key = part.c.product_id
        # What has no product still has its value; what has several is one in the total.
        value = sa.case((part.c.product_id.is_(None), facts.c.value_minor), else_=part.c.value_minor)
    elif group_by in PERIODS:
        # Days are dates already; without a time zone nothing shifts them.
        key = sa.cast(sa.func.date_trunc(group_by, sa.cast(facts.c.day, sa.TIMESTAMP)), sa.Date)
    elif group_by == "department" and "place" in given:
        # Who stood above the level is counted in their own department, so that rows add up to the total.
        key = sa.func.coalesce(facts.c.path[sa.bindparam("place", type_=sa.Integer)], facts.c.department_id)
    else:
        key = facts.c[
            {"department": "department_id", "user": "user_id", "pipeline": "pipeline_id"}.get(group_by, group_by)
        ]
    keyed = (
        sa.select(facts.c.id, facts.c.kind, facts.c.currency, key.label("key"), value.label("minor"))
        .select_from(rows)
        .subquery("keyed")
    )
    counted = sa.func.count(keyed.c.id.distinct()) if group_by == "product" else sa.func.count()
    return (
        sa.select(
            (sa.func.grouping(keyed.c.key) == sa.literal_column("1")).label("is_total"),
            keyed.c.key,
            keyed.c.kind,
            keyed.c.currency,
            counted.label("count"),
            sa.func.sum(keyed.c.minor).label("minor"),
        )
        .select_from(keyed)
        .group_by(
            sa.func.grouping_sets(
                sa.tuple_(keyed.c.key, keyed.c.kind, keyed.c.currency), sa.tuple_(keyed.c.kind, keyed.c.currency)
            )
        )
    )


def _closed(scope: Scope, given: frozenset[str]) -> sa.Select[Any]:
    return _facts("closed", o.c.outcome, o.c.closed_on, given).where(
        scope.open_predicate(o), o.c.deleted.is_(False), _CLOSED, o.c.closed_on.between(_FIRST, _LAST)
    )


def _open(scope: Scope, given: frozenset[str]) -> sa.Select[Any]:
    """Opened in the period and not over at its end; on hold is not over."""
    return _facts("opened", sa.literal_column("'open'", sa.Text), o.c.opened_on, given).where(
        scope.open_predicate(o),
        o.c.deleted.is_(False),
        o.c.opened_on.between(_FIRST, _LAST),
        sa.or_(sa.not_(_CLOSED), o.c.closed_on > _LAST),
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

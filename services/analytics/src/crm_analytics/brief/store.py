"""Counting the brief: all figures of both periods in one statement."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from crm_analytics.brief.rules import VALUED
from crm_analytics.facts.tables import (
    activity_fact,
    contact_fact,
    contract_fact,
    customer_fact,
    opportunity_fact,
    payment_fact,
)
from crm_analytics.report.parameters import Whose
from crm_analytics.report.signed import CONTRACT_DAY, IS_RECEIVED, IS_SIGNED
from crm_analytics.report.store import asked_for, credited
from crm_authz import Scope
from crm_database import Query, ReadSession, query
from crm_kernel import Period

#: Record type → where its facts are.
_TABLES = {
    "customers.customer": customer_fact,
    "customers.contact": contact_fact,
    "sales.opportunity": opportunity_fact,
    "billing.contract": contract_fact,
    "billing.payment": payment_fact,
    "sales.activity": activity_fact,
}

#: Compiled statements: of each shape of question and scopes there is one.
_statements: dict[tuple[Any, ...], Query] = {}


@dataclass(frozen=True)
class Span:
    """A period as days, and as instants: at or after `start`, before `end`."""

    period: Period
    start: dt.datetime
    end: dt.datetime


async def count(
    session: ReadSession, scopes: Mapping[str, Scope], current: Span, before: Span, whose: Whose
) -> list[Any]:
    """Counted rows: `figure`, `is_current`, `currency`, `count`, `minor`; of the record types that `scopes` has.

    The periods don't overlap.
    """
    if not scopes:
        return []
    credit = asked_for(whose)
    given: dict[str, Any] = dict(credit)
    for name, span in (("current", current), ("before", before)):
        given |= {
            f"{name}_start": span.start,
            f"{name}_end": span.end,
            f"{name}_first": span.period.first,
            f"{name}_last": span.period.last,
        }
    shape = (frozenset(credit), tuple((name, scope.shape) for name, scope in sorted(scopes.items())))
    statement = _statements.get(shape)
    if statement is None:
        statement = _statements[shape] = query(_counting(scopes, frozenset(credit)))
    for record_type, scope in scopes.items():
        given |= scope.parameters(_TABLES[record_type])
    return await session.fetch(statement, **given)


def _counting(scopes: Mapping[str, Scope], credit: frozenset[str]) -> sa.CompoundSelect[Any]:
    c, k, o = customer_fact.c, contact_fact.c, opportunity_fact.c
    # Which moment is counted and credited, by instant or by the company's day, and what must be so besides.
    counted: dict[str, list[tuple[str, str, sa.ColumnElement[Any], list[sa.ColumnElement[bool]]]]] = {
        "customers.customer": [
            ("new_customers", "created", c.created_at, []),
            ("dealt_customers", "dealt", c.dealt_at, []),
        ],
        "customers.contact": [("new_contacts", "created", k.created_at, [])],
        "sales.opportunity": [
            ("new_opportunities", "opened", o.opened_on, []),
            ("won", "closed", o.closed_on, [o.outcome == sa.literal_column("'won'")]),
            ("lost", "closed", o.closed_on, [o.outcome == sa.literal_column("'lost'")]),
        ],
        "billing.contract": [("contracts", "approved", CONTRACT_DAY, [IS_SIGNED])],
        "billing.payment": [("payments", "approved", payment_fact.c.paid_on, [IS_RECEIVED])],
        "sales.activity": [("activities", "created", activity_fact.c.happened_at, [])],
    }
    return sa.union_all(
        *(
            _one(scopes[record_type], _TABLES[record_type], figure, moment, at, [*conditions], credit)
            for record_type in sorted(scopes)
            for figure, moment, at, conditions in counted[record_type]
        )
    )


def _one(
    scope: Scope,
    table: sa.Table,
    figure: str,
    moment: str,
    at: sa.ColumnElement[Any],
    conditions: list[sa.ColumnElement[bool]],
    credit: frozenset[str],
) -> sa.Select[Any]:
    in_current, in_before = _within("current", at), _within("before", at)
    has_value = figure in VALUED
    currency: sa.ColumnElement[Any] = table.c.currency if has_value else sa.cast(sa.null(), sa.Text)
    minor: sa.ColumnElement[Any] = sa.func.sum(table.c.value_minor) if has_value else sa.cast(sa.null(), sa.Numeric)
    statement = sa.select(
        sa.literal_column(f"'{figure}'", sa.Text).label("figure"),
        in_current.label("is_current"),
        currency.label("currency"),
        sa.func.count().label("count"),
        minor.label("minor"),
    ).where(
        scope.open_predicate(table),
        table.c.deleted.is_(False),
        sa.or_(in_current, in_before),
        *conditions,
        *credited(table.c[f"{moment}_user_id"], table.c[f"{moment}_path"], credit),
    )
    grouped: list[sa.ColumnElement[Any]] = (
        [sa.literal_column("2"), sa.literal_column("3")] if has_value else [sa.literal_column("2")]
    )
    return statement.group_by(*grouped)


def _within(name: str, at: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    if isinstance(at.type, sa.Date):
        return at.between(sa.bindparam(f"{name}_first", type_=sa.Date), sa.bindparam(f"{name}_last", type_=sa.Date))
    instant = sa.TIMESTAMP(timezone=True)
    return sa.and_(at >= sa.bindparam(f"{name}_start", type_=instant), at < sa.bindparam(f"{name}_end", type_=instant))

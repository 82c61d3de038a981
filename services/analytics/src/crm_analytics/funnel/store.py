"""Counting the funnel: one statement over the stage entries of the opportunities that the caller may read."""

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from crm_analytics.facts.rows import CLOSED
from crm_analytics.facts.tables import opportunity_fact as o
from crm_analytics.facts.tables import pipeline_stage, stage_entry
from crm_analytics.funnel.rules import FunnelBy
from crm_analytics.report.parameters import Whose
from crm_analytics.report.store import asked_for, credited
from crm_authz import Scope
from crm_database import Query, ReadSession, query

_START = sa.bindparam("start", type_=sa.TIMESTAMP(timezone=True))
_END = sa.bindparam("end", type_=sa.TIMESTAMP(timezone=True))

#: Compiled statements: of each shape of question and scope there is one.
_statements: dict[tuple[Any, ...], Query] = {}


@dataclass(frozen=True)
class Question:
    """What to count: entries at or after `start` and before `end`."""

    start: dt.datetime
    end: dt.datetime
    group_by: FunnelBy
    whose: Whose
    pipeline: uuid.UUID | None = None
    source: str | None = None
    level: int | None = None


async def count(session: ReadSession, scope: Scope, asked: Question) -> list[Any]:
    """Counted rows, per key and in total, each per stage and as a whole.

    `is_total`, `is_whole`, `key`, `pipeline_id`, `stage_id`; distinct opportunities: `entered`, `converted`, `won`, `lost`;
    stays: `left` (ended), `average` and `median` seconds of those, `regressions`.
    """
    given: dict[str, Any] = {"start": asked.start, "end": asked.end, **asked_for(asked.whose)}
    given |= {name: value for name in ("pipeline", "source") if (value := getattr(asked, name)) is not None}
    if asked.level is not None:
        given["place"] = asked.level + 1
    shape = (asked.group_by, frozenset(given), scope.shape)
    statement = _statements.get(shape)
    if statement is None:
        statement = _statements[shape] = query(_counting(scope, asked.group_by, frozenset(given)))
    return await session.fetch(statement, **given, **scope.parameters(o))


def _counting(scope: Scope, group_by: FunnelBy, given: frozenset[str]) -> sa.Select[Any]:
    stays = _stays(scope, given).cte("stays")
    conditions = [
        stays.c.at >= _START,
        stays.c.at < _END,
        *credited(stays.c.user_id, stays.c.path, given),
    ]
    if "pipeline" in given:
        conditions.append(stays.c.pipeline_id == sa.bindparam("pipeline", type_=sa.Uuid))
    key: sa.ColumnElement[Any] = stays.c[
        {"pipeline": "pipeline_id", "user": "user_id", "department": "department_id", "source": "source"}[group_by]
    ]
    if "place" in given:
        key = sa.func.coalesce(stays.c.path[sa.bindparam("place", type_=sa.Integer)], stays.c.department_id)
    s = sa.select(stays, key.label("key")).where(*conditions).subquery("s")
    opportunities = sa.func.count(s.c.opportunity_id.distinct())
    seconds = sa.func.greatest(sa.extract("epoch", s.c.left_at - s.c.at), sa.literal_column("0"))
    one: sa.ColumnElement[int] = sa.literal_column("1", sa.Integer)
    return (
        sa.select(
            (sa.func.grouping(s.c.key) == one).label("is_total"),
            (sa.func.grouping(s.c.stage_id) == one).label("is_whole"),
            s.c.key,
            s.c.pipeline_id,
            s.c.stage_id,
            opportunities.label("entered"),
            opportunities.filter(s.c.converted).label("converted"),
            opportunities.filter(s.c.outcome == sa.literal_column("'won'")).label("won"),
            opportunities.filter(s.c.outcome == sa.literal_column("'lost'")).label("lost"),
            sa.func.count(s.c.left_at).label("left"),
            sa.func.avg(seconds).filter(s.c.left_at.is_not(None)).label("average"),
            sa.func.percentile_cont(sa.literal_column("0.5"))
            .within_group(seconds)
            .filter(s.c.left_at.is_not(None))
            .label("median"),
            sa.func.count().filter(s.c.went_back).label("regressions"),
        )
        .select_from(s)
        .group_by(
            sa.func.grouping_sets(
                sa.tuple_(s.c.key, s.c.pipeline_id, s.c.stage_id),
                sa.tuple_(s.c.pipeline_id, s.c.stage_id),
                sa.tuple_(s.c.key),
                sa.text("()"),
            )
        )
    )


def _stays(scope: Scope, given: frozenset[str]) -> sa.Select[Any]:
    """Every entry of the opportunities that entered some stage in the period, with what came after it."""
    e, p = stage_entry, pipeline_stage
    each, order = e.c.opportunity_id, e.c.version
    next_at = sa.func.lead(e.c.at).over(partition_by=each, order_by=order)
    went_back = sa.func.coalesce(sa.func.lead(e.c.regression).over(partition_by=each, order_by=order), sa.false())
    furthest = sa.func.max(p.c.position).over(partition_by=each, order_by=order, rows=(1, None))
    over = o.c.outcome.in_([sa.literal_column(f"'{outcome}'") for outcome in sorted(CLOSED)])
    seen = sa.select(e.c.opportunity_id).where(e.c.at >= _START, e.c.at < _END)
    statement = (
        sa.select(
            e.c.opportunity_id,
            e.c.pipeline_id,
            e.c.stage_id,
            e.c.at,
            e.c.user_id,
            e.c.department_id,
            e.c.path,
            o.c.source,
            o.c.outcome,
            # Who is won or lost has left the last stage at that moment.
            sa.func.coalesce(next_at, sa.case((over, o.c.closed_at))).label("left_at"),
            went_back.label("went_back"),
            sa.or_(
                sa.func.coalesce(furthest > p.c.position, sa.false()), o.c.outcome == sa.literal_column("'won'")
            ).label("converted"),
        )
        .select_from(e.join(o, o.c.id == e.c.opportunity_id).outerjoin(p, p.c.id == e.c.stage_id))
        .where(scope.open_predicate(o), o.c.deleted.is_(False), o.c.id.in_(seen))
    )
    if "source" in given:
        statement = statement.where(o.c.source == sa.bindparam("source", type_=sa.Text))
    return statement

"""The statement of reports that count facts by a key: rows and total at once, by whom, when, where, of what, for whom."""

import datetime as dt
import uuid
from collections.abc import Collection
from typing import Any, Final

import sqlalchemy as sa

from crm_kernel import Period, PeriodKind

PERIODS: Final = frozenset({"day", "week", "month", "quarter", "year"})
#: What facts are grouped by → their column, where it isn't called the same.
_COLUMNS: Final = {
    "department": "department_id",
    "user": "user_id",
    "pipeline": "pipeline_id",
    "customer": "customer_id",
}


def counting(
    facts: sa.CTE, group_by: str, given: Collection[str], parts: sa.Table, its_parts: sa.ColumnElement[bool]
) -> sa.Select[Any]:
    """Counted rows: `is_total`, `key`, `kind`, `currency`, `count`, `minor`; of at most `keys` keys, and of all in the total.

    facts: `id`, `kind`, `day`, `user_id`, `department_id`, `path`, `value_minor`, `currency`, and what else they are grouped by. given:
    with `place` departments are those at that place of the path (1: the root). parts: what each product has of a fact's value;
    its_parts: when a row of them is a fact's.
    """
    value: sa.ColumnElement[Any] = facts.c.value_minor
    rows: sa.FromClause = facts
    key: sa.ColumnElement[Any]
    if group_by == "product":
        rows = facts.outerjoin(parts, its_parts)
        key = parts.c.product_id
        # What has no product still has its value; what has several is one in the total.
        value = sa.case((parts.c.product_id.is_(None), facts.c.value_minor), else_=parts.c.value_minor)
    elif group_by in PERIODS:
        # Days are dates already; without a time zone nothing shifts them.
        key = sa.cast(sa.func.date_trunc(group_by, sa.cast(facts.c.day, sa.TIMESTAMP)), sa.Date)
    elif group_by == "department" and "place" in given:
        # Who stood above the level is counted in their own department, so that rows add up to the total.
        key = sa.func.coalesce(facts.c.path[sa.bindparam("place", type_=sa.Integer)], facts.c.department_id)
    else:
        key = facts.c[_COLUMNS.get(group_by, group_by)]
    keyed = (
        sa.select(facts.c.id, facts.c.kind, facts.c.currency, key.label("key"), value.label("minor"))
        .select_from(rows)
        .subquery("keyed")
    )
    counted = sa.func.count(keyed.c.id.distinct()) if group_by == "product" else sa.func.count()
    is_total = sa.func.grouping(keyed.c.key) == sa.literal_column("1")
    rows_of_all = (
        sa.select(
            is_total.label("is_total"),
            keyed.c.key,
            keyed.c.kind,
            keyed.c.currency,
            counted.label("count"),
            sa.func.sum(keyed.c.minor).label("minor"),
            # A key has a row for each kind and currency, so a plain LIMIT of rows would cut one in two.
            sa.func.dense_rank().over(partition_by=is_total, order_by=keyed.c.key).label("place"),
        )
        .select_from(keyed)
        .group_by(
            sa.func.grouping_sets(
                sa.tuple_(keyed.c.key, keyed.c.kind, keyed.c.currency), sa.tuple_(keyed.c.kind, keyed.c.currency)
            )
        )
        .subquery("counted")
    )
    told = [column for column in rows_of_all.c if column.name != "place"]
    return sa.select(*told).where(rows_of_all.c.place <= sa.bindparam("keys", type_=sa.BigInteger))


def shown_key(group_by: str, key: uuid.UUID | dt.date | str | None) -> str | None:
    """A row's key: an id, a source's name, or a period's key ("2017-03"); None: belongs to none."""
    if isinstance(key, dt.date):
        return Period.containing(PeriodKind(group_by), key).key
    return None if key is None else str(key)

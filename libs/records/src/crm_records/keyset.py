"""Keyset pagination: the order of a list, the position after a row, and the condition that goes on from there.

Every order ends with the id, so that it is total. Empty values come last in both directions.
"""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import asyncpg
import sqlalchemy as sa

from crm_records.asked import SortKey
from crm_records.fields.times import instant_text


@dataclass(frozen=True)
class Term:
    """One expression that is sorted by. nullable: whether it can be empty."""

    expression: sa.ColumnElement[Any]
    descending: bool
    nullable: bool

    def ordered(self, over: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """The ORDER BY term over this or an equal expression."""
        directed = over.desc() if self.descending else over.asc()
        # Only where it matters: NULLS LAST on a column that is never null would keep its descending index from being used.
        return directed.nulls_last() if self.nullable else directed


def sort_terms(table: sa.Table, sort: Sequence[SortKey]) -> list[Term]:
    """The expressions of an order, ending with the id in the last one's direction."""
    found = [
        Term(expression, key.descending, any(column.nullable for column in _columns(expression)))
        for key in sort
        for expression in key.field.sort_keys(table)
    ]
    descending = found[-1].descending if found else True
    if not any(key.field.name == "id" for key in sort):
        found.append(Term(table.c.id, descending, False))
    return found


def _columns(expression: sa.ColumnElement[Any]) -> list[sa.Column[Any]]:
    from sqlalchemy.sql import visitors

    return [element for element in visitors.iterate(expression) if isinstance(element, sa.Column)]


def after(terms: Sequence[Term], nulls: Sequence[bool]) -> sa.ColumnElement[bool]:
    """Rows that come after the position in parameters after0, after1, …. nulls: which of its values are empty."""
    bounds = [sa.bindparam(f"after{i}", type_=term.expression.type, required=True) for i, term in enumerate(terms)]
    one_way = len({term.descending for term in terms}) == 1
    if one_way and not any(term.nullable for term in terms):
        # A row comparison is what an index on all terms answers at once.
        left, right = sa.tuple_(*(term.expression for term in terms)), sa.tuple_(*bounds)
        return left < right if terms[0].descending else left > right
    alternatives: list[sa.ColumnElement[bool]] = []
    equal: list[sa.ColumnElement[bool]] = []
    for term, bound, null in zip(terms, bounds, nulls, strict=True):
        if not null:
            beyond = term.expression < bound if term.descending else term.expression > bound
            if term.nullable:
                beyond = sa.or_(beyond, term.expression.is_(None))
            alternatives.append(sa.and_(*equal, beyond))
        equal.append(term.expression.is_(None) if null else term.expression == bound)
    return sa.or_(*alternatives)


def position_of(row: asyncpg.Record, count: int) -> list[Any]:
    """Where the list goes on after a row: JSON values that come back exactly."""
    return [_shown(row[f"_k{index}"]) for index in range(count)]


def _shown(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return {"t": instant_text(value)}
    if isinstance(value, dt.date):
        return {"d": value.isoformat()}
    if isinstance(value, Decimal):
        return {"n": str(value)}
    if isinstance(value, uuid.UUID):
        return {"u": str(value)}
    return value


def from_position(position: Sequence[Any]) -> list[Any]:
    """The values of a position; it was signed, so it is one of ours."""
    return [_read(value) for value in position]


def _read(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, text),) = value.items()
    match kind:
        case "t":
            return dt.datetime.fromisoformat(text)
        case "d":
            return dt.date.fromisoformat(text)
        case "n":
            return Decimal(text)
        case _:
            return uuid.UUID(text)

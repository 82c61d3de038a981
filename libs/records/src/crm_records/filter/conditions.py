"""A parsed filter: a tree that says its shape (for the statement cache), its SQL and its values.

A condition is true or false, never unknown: an empty field is different from every value, and neither greater nor smaller.
"""

import datetime as dt
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_kernel import CompanyCalendar
from crm_records.fields import Field, IdList, MoneyField, Text
from crm_records.filter.standard import ExternalRefField


@dataclass(frozen=True)
class FilterContext:
    """What relative conditions are relative to.

    user_id: `me`; None when nobody asks (schedules). team: the users that `my_team` means; called only when it is used.
    """

    user_id: uuid.UUID | None
    team: Callable[[], Sequence[uuid.UUID]]
    now: dt.datetime
    calendar: CompanyCalendar


class Names:
    """Hands out parameter names in the order of the tree."""

    def __init__(self) -> None:
        self.count = 0

    def next(self) -> str:
        self.count += 1
        return f"f{self.count}"


class Node(Protocol):
    """A part of a filter."""

    def shape(self) -> str:
        """All that the SQL's text depends on."""
        ...

    def clause(self, table: sa.FromClause, names: Names) -> sa.ColumnElement[bool]:
        """SQL with open parameters f1, f2, …"""
        ...

    def values(self) -> list[Any]:
        """The parameters' values, in the same order."""
        ...

    @property
    def searches(self) -> bool:
        """Whether the best plan depends on the values (text that is looked for)."""
        ...


@dataclass(frozen=True)
class Everything:
    """No filter."""

    searches = False

    def shape(self) -> str:
        return ""

    def clause(self, table: sa.FromClause, names: Names) -> sa.ColumnElement[bool]:  # noqa: ARG002
        return sa.true()

    def values(self) -> list[Any]:
        return []


@dataclass(frozen=True)
class Joined:
    """`and` or `or` of its parts; at least one."""

    word: str
    parts: tuple[Node, ...]

    def shape(self) -> str:
        return f"{self.word}({','.join(part.shape() for part in self.parts)})"

    def clause(self, table: sa.FromClause, names: Names) -> sa.ColumnElement[bool]:
        clauses = [part.clause(table, names) for part in self.parts]
        return sa.and_(*clauses) if self.word == "and" else sa.or_(*clauses)

    def values(self) -> list[Any]:
        return [value for part in self.parts for value in part.values()]

    @property
    def searches(self) -> bool:
        return any(part.searches for part in self.parts)


@dataclass(frozen=True)
class Negated:
    """`not`."""

    part: Node
    searches = False

    def shape(self) -> str:
        return f"not({self.part.shape()})"

    def clause(self, table: sa.FromClause, names: Names) -> sa.ColumnElement[bool]:
        # `is not true`, because SQL's `not` leaves out rows for which the inner condition is unknown.
        return self.part.clause(table, names).self_group().is_not(sa.true())

    def values(self) -> list[Any]:
        return self.part.values()


@dataclass(frozen=True)
class Condition:
    """One field compared. operands: Python values as the field's `operand` gives them."""

    field: Field
    op: str
    operands: tuple[Any, ...]

    @property
    def searches(self) -> bool:
        return self.op == "contains" and self.field.searchable

    def shape(self) -> str:
        empty = f":{self.operands[0]}" if self.op == "is_empty" else ""
        return f"{self.field.name}.{self.op}{empty}"

    def clause(self, table: sa.FromClause, names: Names) -> sa.ColumnElement[bool]:
        field = self.field
        if self.op == "is_empty":
            empty = self._empty(table)
            return empty if self.operands[0] else sa.not_(empty)
        if isinstance(field, MoneyField | ExternalRefField):
            return self._paired(table, names)
        column = field.expressions(table)[0]
        if isinstance(field, IdList):
            return column.op("@>", is_comparison=True)(
                sa.func.array_append(sa.literal_column("'{}'::uuid[]"), _open(names, sa.Uuid()))
            )
        return self._plain(column, table, names)

    def _empty(self, table: sa.FromClause) -> sa.ColumnElement[bool]:
        last = self.field.expressions(table)[-1]
        if isinstance(self.field, IdList):
            return sa.func.cardinality(last) == sa.literal_column("0")
        return last.is_(None)

    def _plain(self, column: sa.ColumnElement[Any], table: sa.FromClause, names: Names) -> sa.ColumnElement[bool]:
        kind = column.type
        match self.op:
            case "eq" | "me":
                return column == _open(names, kind)
            case "ne":
                return column.is_distinct_from(_open(names, kind))
            case "in" | "my_team":
                return column == sa.func.any(_open(names, ARRAY(kind)))
            case "contains":
                return self._contains(column, table, names)
            case "starts_with":
                return sa.func.starts_with(
                    sa.func.crm_fold(column), sa.func.crm_fold(_open(names, sa.Text())), type_=sa.Boolean()
                )
            case "within_last" | "before_next":
                return sa.and_(column >= _open(names, kind), column < _open(names, kind))
        ordered = isinstance(self.field, Text)
        left = self.field.sort_keys(table)[0] if ordered else column

        def right() -> sa.ColumnElement[Any]:
            given = _open(names, sa.Text() if ordered else kind)
            return sa.func.crm_sort_key(given) if ordered else given

        return _compare(self.op, left, right)

    def _contains(self, column: sa.ColumnElement[Any], table: sa.FromClause, names: Names) -> sa.ColumnElement[bool]:
        looked_for = _open(names, sa.Text())
        found = sa.func.strpos(sa.func.crm_fold(column), sa.func.crm_fold(looked_for)) > sa.literal_column("0")
        return sa.and_(holds_grams(table, looked_for), found) if self.field.searchable else found

    def _paired(self, table: sa.FromClause, names: Names) -> sa.ColumnElement[bool]:
        """Fields of two columns: money (currency, then minor units) and external references (system, then id)."""
        first, second = self.field.expressions(table)
        if self.op == "ne":
            either = first.is_distinct_from(_open(names, first.type))
            return sa.or_(either, second.is_distinct_from(_open(names, second.type)))
        if self.op == "in":
            pairs = (
                sa.func.unnest(_open(names, ARRAY(first.type)), _open(names, ARRAY(second.type)))
                .table_valued("a", "b", name="given")
                .render_derived()
            )
            return sa.exists(
                sa.select(sa.literal_column("1")).select_from(pairs).where(first == pairs.c.a, second == pairs.c.b)
            )
        same = first == _open(names, first.type)
        return sa.and_(same, _compare(self.op, second, lambda: _open(names, second.type)))

    def values(self) -> list[Any]:
        if self.op == "is_empty":
            return []
        if self.op in ("in", "my_team"):
            if isinstance(self.field, MoneyField):
                return [[m.currency for m in self.operands], [m.minor for m in self.operands]]
            return [list(self.operands)]
        if isinstance(self.field, MoneyField):
            first = self.operands[0]
            return [first.currency, *(money.minor for money in self.operands)]
        if isinstance(self.field, ExternalRefField):
            return list(self.operands[0])
        return list(self.operands)


def holds_grams(table: sa.FromClause, looked_for: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """That the search index has all that it would have of a text: necessary for a match, not sufficient."""
    held = sa.func.crm_pairs(table.c.search_text, sa.true())
    return held.op("@>", is_comparison=True)(sa.func.crm_search_grams(looked_for))


def _open(names: Names, kind: Any) -> sa.ColumnElement[Any]:
    return sa.bindparam(names.next(), type_=kind, required=True)


def _compare(
    op: str, left: sa.ColumnElement[Any], right: Callable[[], sa.ColumnElement[Any]]
) -> sa.ColumnElement[bool]:
    match op:
        case "eq":
            return left == right()
        case "gt":
            return left > right()
        case "gte":
            return left >= right()
        case "lt":
            return left < right()
        case "lte":
            return left <= right()
        case "between":
            return sa.and_(left >= right(), left <= right())
    raise ValueError(f"no such operator: {op}")

"""The net under the data scope: a statement that reads a scoped table must carry a scope for it.

`Scope.predicate(table)` (crm_authz) is the guard and an explicit argument of every store function. This net only notices when
somebody forgot it: compiling a statement that reads or changes a table with `info={"scoped": True}` fails unless a
`ScopeMark` for that table stands in it, or the caller says in words why none is needed.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.dml import OnConflictDoUpdate
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import ClauseElement, ColumnElement

SCOPED = {"scoped": True}


class UnscopedStatement(RuntimeError):
    """A programming error: a scoped table is read without a scope. Nothing was sent to the database."""


class ScopeMark(ColumnElement[bool]):
    """A predicate that came out of a scope, for one table.

    table: the table whose rows it limits (the table itself, also where the predicate is over an alias of it).
    clause: what the database evaluates.
    """

    inherit_cache = False
    type = sa.Boolean()
    __visit_name__ = "scope_mark"

    def __init__(self, table: sa.Table, clause: ColumnElement[bool]) -> None:
        self.table_marked = table
        self.clause = clause

    def get_children(self, **_: Any) -> Iterator[Any]:
        yield self.clause

    @property
    def _from_objects(self) -> list[Any]:
        return list(self.clause._from_objects)


@compiles(ScopeMark)
def _compile_mark(element: ScopeMark, compiler: Any, **options: Any) -> str:
    return str(compiler.process(element.clause.self_group(), **options))


def check(statement: Any, unscoped: str | None) -> None:
    """Raise UnscopedStatement when a scoped table is read or changed without a mark.

    unscoped: the reason why this statement needs none ("the row is locked, it was loaded through a scope").
    """
    if unscoped:
        return
    needed: set[sa.Table] = set()
    marked: set[sa.Table] = set()
    for element in _elements(statement):
        if isinstance(element, ScopeMark):
            marked.add(element.table_marked)
            continue
        table = element.table if isinstance(element, sa.Column | sa.Update | sa.Delete) else element
        if isinstance(table, sa.Table) and table.info.get("scoped"):
            needed.add(table)
    missing = sorted(table.name for table in needed - marked)
    if missing:
        raise UnscopedStatement(f"{', '.join(missing)}: read without a scope; use scope.predicate(table)")


def _elements(statement: Any) -> Iterator[Any]:
    """All that a statement reads or changes. New rows are nobody's yet: an INSERT's own table is left out."""
    if not isinstance(statement, sa.Insert):
        yield from visitors.iterate(statement)
        return
    # ON CONFLICT DO UPDATE changes a row that is there already, and may be somebody else's.
    changes = isinstance(statement._post_values_clause, OnConflictDoUpdate)
    several = [value for rows in statement._multi_values for row in rows for value in _values(row)]
    for part in (*statement.get_children(), *several):
        own = part is statement.table or (isinstance(part, sa.Column) and part.table is statement.table)
        if changes or not own:
            yield from visitors.iterate(part)


def _values(row: Any) -> Iterator[Any]:
    """The expressions among the values of one row of many; SQLAlchemy's own iteration passes them by."""
    for value in row.values() if isinstance(row, Mapping) else row:
        if isinstance(value, ClauseElement):
            yield value

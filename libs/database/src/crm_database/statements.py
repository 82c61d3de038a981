"""SQLAlchemy Core statements, compiled once and run on asyncpg.

The statement is built and checked with SQLAlchemy; the driver executes it. An async SQLAlchemy execution costs several times
the driver's CPU (docs/decisions/0006), and every request runs statements.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.dialects.postgresql import asyncpg as asyncpg_dialect
from sqlalchemy.sql.elements import ClauseElement

from crm_database import scoping

_DIALECT = asyncpg_dialect.dialect()  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class Query:
    """A statement ready for the driver.

    sql: text with `$1 …`; names: the parameter of each position; defaults: values bound in the statement itself.
    """

    sql: str
    names: tuple[str, ...]
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def arguments(self, given: Mapping[str, Any]) -> list[Any]:
        """The positional values: what is given, else what the statement bound."""
        if not given:
            return [self.defaults[name] for name in self.names]
        defaults = self.defaults
        return [given[name] if name in given else defaults[name] for name in self.names]


def query(statement: ClauseElement, *, unscoped: str | None = None) -> Query:
    """Compile a statement. Compile constants once, at import; a shape that depends on input, per use or behind a cache.

    unscoped: why a scoped table is read without a scope; see crm_database.scoping. Raises UnscopedStatement.
    Use `= any(array)` for lists: `IN` with an expanding parameter isn't rendered.
    """
    scoping.check(statement, unscoped)
    compiled = statement.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
    names = tuple(compiled.positiontup or ())  # type: ignore[attr-defined]
    # A parameter that the statement left open has no default: forgetting it is a KeyError, not a NULL.
    bound = {name: value for name, value in compiled.params.items() if not compiled.binds[name].required}  # type: ignore[attr-defined]
    return Query(compiled.string, names, bound)

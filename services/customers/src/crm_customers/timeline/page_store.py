"""A page of a timeline, within what the caller may see of each type of record at this moment.

One branch per type: its entries of this customer by the index, newest first, each looked up in the record's table, where the present
owner and the members say whether it is shown. Each branch ends after a page; of the branches' pages the newest page is the answer.
"""

import datetime as dt
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import asyncpg
import sqlalchemy as sa

from crm_authz import Scope, Shape
from crm_customers.timeline.sources_store import SOURCES, Source
from crm_customers.timeline.tables import entry
from crm_database import Query, ReadSession, query
from crm_web import ReadUnit

_INSTANT = sa.TIMESTAMP(timezone=True)
_SHOWN = ("id", "record_type", "record_id", "kind", "at", "recorded_at", "actor_id", "summary")


@dataclass(frozen=True)
class Window:
    """Which part of a timeline: from an instant, before another one, after a position (`at`, `id`); None: without that bound."""

    first: dt.datetime | None = None
    before: dt.datetime | None = None
    after: tuple[dt.datetime, uuid.UUID] | None = None


@dataclass(frozen=True)
class Branch:
    """One type of record as the caller sees it. Statements are kept by type and shape; the scope's values are given at each use."""

    source: Source
    shape: Shape
    scope: Scope = field(compare=False)


def branches_of(unit: ReadUnit, types: Collection[str]) -> tuple[Branch, ...]:
    """The types of records of which the caller may see any: by permission, and by a scope that reaches something."""
    found = []
    for key in types:
        source = SOURCES[key]
        scope = unit.scope(key, "read")
        if unit.caller.allows(source.permission) and not scope.nothing:
            found.append(Branch(source, scope.shape, scope))
    return tuple(found)


async def read_page(
    session: ReadSession, branches: Sequence[Branch], customer_id: uuid.UUID, window: Window, limit: int
) -> list[asyncpg.Record]:
    """Up to `limit` entries, newest first, with `number` and `name` of their records."""
    if not branches:
        return []
    given: dict[str, Any] = {"customer_id": customer_id}
    for branch in branches:
        given |= branch.scope.parameters(branch.source.table)
    if window.first is not None:
        given["first"] = window.first
    if window.before is not None:
        given["before"] = window.before
    if window.after is not None:
        given["after_at"], given["after_id"] = window.after
    bounds = (window.first is not None, window.before is not None, window.after is not None)
    return await session.fetch(statement(tuple(branches), bounds, limit), **given)


@lru_cache(maxsize=500)
def statement(branches: tuple[Branch, ...], bounds: tuple[bool, bool, bool], limit: int) -> Query:
    """The statement of a shape. bounds: which bounds of the window there are."""
    # A literal: with the limit as a parameter the plan for all values would sort what it finds (docs/decisions/0007).
    most: sa.ColumnElement[int] = sa.literal_column(str(limit))
    parts = [_branch(branch, bounds, most).subquery(f"of_{n}") for n, branch in enumerate(branches)]
    together = sa.union_all(*(sa.select(*part.c) for part in parts)).subquery("together")
    return query(sa.select(*together.c).order_by(together.c.at.desc(), together.c.id.desc()).limit(most))


def _branch(branch: Branch, bounds: tuple[bool, bool, bool], most: sa.ColumnElement[int]) -> sa.Select[Any]:
    source, table = branch.source, branch.source.table
    # The offset keeps the planner from beginning with all records that the caller sees, of all customers, and sorting their entries:
    # entries are walked in their order, and each is looked up.
    seen = (
        sa.select(
            table.c.number,
            sa.cast(sa.null() if source.name is None else source.name, sa.Text).label("name"),
        )
        .where(table.c.id == entry.c.record_id, source.alive, branch.scope.open_predicate(table))
        .offset(sa.literal_column("0"))
        .lateral("seen")
    )
    found = (
        sa.select(*(entry.c[name] for name in _SHOWN), seen.c.number, seen.c.name)
        .join_from(entry, seen, sa.true())
        .where(
            entry.c.customer_id == sa.bindparam("customer_id", type_=sa.Uuid(), required=True),
            # A name of ours, not of the caller: the planner is to know how many there are of it.
            entry.c.record_type == sa.literal_column(f"'{source.key}'", sa.Text()),
        )
    )
    first, before, after = bounds
    if first:
        found = found.where(entry.c.at >= sa.bindparam("first", type_=_INSTANT, required=True))
    if before:
        found = found.where(entry.c.at < sa.bindparam("before", type_=_INSTANT, required=True))
    if after:
        position = sa.tuple_(
            sa.bindparam("after_at", type_=_INSTANT, required=True),
            sa.bindparam("after_id", type_=sa.Uuid(), required=True),
        )
        found = found.where(sa.tuple_(entry.c.at, entry.c.id) < position)
    return found.order_by(entry.c.at.desc(), entry.c.id.desc()).limit(most)

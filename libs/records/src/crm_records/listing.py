"""The list engine: keyset pages, searches and counts, within the caller's scope (PL-4, PL-30).

The query's shape follows the scope's width, as measured (docs/architecture/data-scope.md): few owners are read one by one through
`(owner_id, updated_at, id)`; more with `= any(…)`; everything walks the common index. Statements are compiled once per shape.
"""

import datetime as dt
import re
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import sqlalchemy as sa

from crm_authz import Scope, Shape, Width
from crm_database import Query, ReadSession, query
from crm_records.asked import Asked
from crm_records.filter.conditions import Names, holds_grams
from crm_records.keyset import after, from_position, position_of, sort_terms
from crm_records.record_type import RecordType
from crm_records.rows import RowJson, columns_for

#: An estimated count is exact up to here, and stops here.
ESTIMATE_UP_TO = 10_000
_KEPT_STATEMENTS = 1000
_PHONE_LIKE = re.compile(r"\+?[0-9][0-9\s().\-]{2,}")

_statements: OrderedDict[Any, Query] = OrderedDict()


@dataclass(frozen=True)
class Page:
    """items: JSON values. position: where the next page begins; None on the last one. count: None unless asked for."""

    items: list[dict[str, Any]]
    position: list[Any] | None
    count: int | None


async def read_page(
    session: ReadSession, record: RecordType, scope: Scope | None, asked: Asked, position: list[Any] | None
) -> Page:
    """One page, in at most two statements. scope: None for record types without owners. position: of an opened cursor."""
    bounds = None if position is None else from_position(position)
    nulls = () if bounds is None else tuple(value is None for value in bounds)
    texts = searched_texts(asked.text)
    key = (
        "page",
        asked.limit,
        *_key(record, scope, asked, texts),
        tuple(k.spelled for k in asked.sort),
        asked.names,
        bounds is None,
        nulls,
    )
    statement = _kept(
        key, lambda: _page_statement(record, scope, asked, len(texts), nulls if bounds is not None else None)
    )
    parameters = _parameters(record, scope, asked, texts)
    for index, value in enumerate(bounds or ()):
        parameters[f"after{index}"] = value
    rows = await _fetch(session, statement, parameters, planned=bool(texts) or asked.filter.searches)
    count = await _count(session, record, scope, asked, texts) if asked.count != "none" else None
    more = len(rows) > asked.limit
    kept = rows[: asked.limit]
    terms = sort_terms(record.table, asked.sort)
    form = RowJson(record, asked.names)
    items = [form(row) for row in kept]
    next_position = position_of(kept[-1], len(terms)) if more else None
    for item in items:
        for index in range(len(terms)):
            del item[f"_k{index}"]
    return Page(items, next_position, count)


async def matching_ids(
    session: ReadSession, record: RecordType, scopes: Sequence[Scope], asked: Asked, *, limit: int
) -> list[Any]:
    """Up to `limit` ids of what matches within all these scopes (to read, and to act), in no order: for a bulk action."""
    texts = searched_texts(asked.text)
    key = ("ids", tuple(scope.shape for scope in scopes), *_key(record, None, asked, texts))
    statement = _kept(key, lambda: _ids_statement(record, scopes, asked, len(texts)))
    parameters = {**_parameters(record, None, asked, texts), "page_rows": limit}
    for scope in scopes:
        parameters.update(scope.parameters(record.table))
    return [row["id"] for row in await _fetch(session, statement, parameters, planned=True)]


async def count_matching(
    session: ReadSession,
    record: RecordType,
    scopes: Sequence[Scope],
    asked: Asked,
    *,
    made_before: dt.datetime,
    limit: int,
) -> int:
    """How many records match within all these scopes, counted up to `limit`. made_before: see `following_ids`."""
    texts = searched_texts(asked.text)
    key = ("many", tuple(scope.shape for scope in scopes), *_key(record, None, asked, texts))
    statement = _kept(key, lambda: _many_statement(record, scopes, asked, len(texts)))
    parameters = {**_parameters(record, None, asked, texts), "made_before": made_before, "page_rows": limit}
    for scope in scopes:
        parameters.update(scope.parameters(record.table))
    return int((await _fetch(session, statement, parameters, planned=True))[0][0])


async def following_ids(
    session: ReadSession,
    record: RecordType,
    scopes: Sequence[Scope],
    asked: Asked,
    *,
    after: uuid.UUID | None,
    made_before: dt.datetime,
    limit: int,
) -> list[uuid.UUID]:
    """The next ids of what matches within all these scopes, in their order: for a job, which asks again at each step.

    made_before: records that were made later are left out, or a job that is slower than the people who create would never end.
    """
    texts = searched_texts(asked.text)
    scoped = tuple(scope.shape for scope in scopes)
    key = ("following", scoped, after is None, *_key(record, None, asked, texts))
    statement = _kept(key, lambda: _following_statement(record, scopes, asked, len(texts), after is not None))
    parameters = {**_parameters(record, None, asked, texts), "made_before": made_before, "page_rows": limit}
    if after is not None:
        parameters["after_id"] = after
    for scope in scopes:
        parameters.update(scope.parameters(record.table))
    rows = await _fetch(session, statement, parameters, planned=True)
    return [uuid.UUID(int=row["id"].int) for row in rows]


async def _count(
    session: ReadSession, record: RecordType, scope: Scope | None, asked: Asked, texts: tuple[str, ...]
) -> int:
    """The number of matching records. An estimate stops at ESTIMATE_UP_TO.

    The planner's estimates are never shown: they are made from everybody's rows, and would tell of what the caller can't see.
    """
    key = ("count", asked.count, *_key(record, scope, asked, texts))
    statement = _kept(key, lambda: _count_statement(record, scope, asked, len(texts)))
    parameters = _parameters(record, scope, asked, texts)
    rows = await _fetch(session, statement, parameters, planned=bool(texts) or asked.filter.searches)
    return int(rows[0][0])


def _key(record: RecordType, scope: Scope | None, asked: Asked, texts: tuple[str, ...]) -> tuple[Any, ...]:
    shape: Shape | None = None if scope is None else scope.shape
    return (record.key, id(record), shape, asked.filter.shape(), len(texts), asked.deleted)


def _kept(key: Any, build: Any) -> Query:
    """A statement by its shape, from the least-recently-used cache or built now."""
    found = _statements.get(key)
    if found is not None:
        _statements.move_to_end(key)
        return found
    built: Query = build()
    _statements[key] = built
    if len(_statements) > _KEPT_STATEMENTS:
        _statements.popitem(last=False)
    return built


def _parameters(record: RecordType, scope: Scope | None, asked: Asked, texts: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {} if scope is None else dict(scope.parameters(record.table))
    for index, value in enumerate(asked.filter.values(), start=1):
        found[f"f{index}"] = value
    for index, text in enumerate(texts):
        found[f"text{index}"] = text
    return found


async def _fetch(
    session: ReadSession, statement: Query, parameters: dict[str, Any], *, planned: bool
) -> list[asyncpg.Record]:
    """Run a statement. planned: plan it for these values; a search's best plan depends on how frequent its letters are.

    The driver keeps prepared statements, and after five uses the server plans them once for all values.
    """
    given = {name: parameters[name] for name in statement.names if name in parameters}
    arguments = statement.arguments(given)
    if not planned:
        # The statement was compiled by query() and cached by its shape; only the arguments are new.
        return await session.connection.fetch(statement.sql, *arguments)
    prepared = await session.connection.prepare(statement.sql)
    return await prepared.fetch(*arguments)


# -- statements --------------------------------------------------------------------------------------------------------


def _conditions(record: RecordType, asked: Asked, texts: int) -> list[sa.ColumnElement[bool]]:
    """What rows must be, apart from scope and page."""
    table = record.table
    found: list[sa.ColumnElement[bool]] = []
    if asked.deleted == "exclude":
        found.append(table.c.deleted_at.is_(None))
    elif asked.deleted == "only":
        found.append(table.c.deleted_at.is_not(None))
    if asked.filter.shape():
        found.append(asked.filter.clause(table, Names()))
    if texts:
        found.append(sa.or_(*(_holds_text(table, index) for index in range(texts))))
    return found


def _holds_text(table: sa.Table, index: int) -> sa.ColumnElement[bool]:
    looked_for = sa.bindparam(f"text{index}", type_=sa.Text(), required=True)
    # strpos and not LIKE: the planner takes LIKE's pattern for very selective, and then never walks the index by time.
    found = sa.func.strpos(table.c.search_text, sa.func.crm_fold(looked_for)) > sa.literal_column("0")
    return sa.and_(holds_grams(table, looked_for), found)


def _page_statement(
    record: RecordType, scope: Scope | None, asked: Asked, texts: int, nulls: tuple[bool, ...] | None
) -> Query:
    table = record.table
    terms = sort_terms(table, asked.sort)
    keys = [term.expression.label(f"_k{index}") for index, term in enumerate(terms)]
    columns = [*columns_for(record, table, asked.names), *keys]
    conditions = _conditions(record, asked, texts)
    if nulls is not None:
        conditions.append(after(terms, nulls))
    # A literal: with the limit as a parameter the server's plan for all values takes it for a tenth of the table, and sorts all that
    # the scope reaches (measured: 444 ms instead of 1 ms at 200 owners of a million records).
    limit: sa.ColumnElement[int] = sa.literal_column(str(asked.limit + 1))
    order = [term.ordered(term.expression) for term in terms]
    select = sa.select(*columns).where(*conditions)
    if scope is None:
        return query(select.order_by(*order).limit(limit))
    by_branches = scope.shape.width is Width.FEW and not texts and not asked.filter.searches
    if not by_branches:
        return query(select.where(scope.open_predicate(table)).order_by(*order).limit(limit))
    parts = scope.branches(table, open_values=True)
    each = select.where(parts.owned).order_by(*order).limit(limit).lateral("each_owner")
    found: Any = sa.select(*each.c).select_from(parts.owners.join(each, sa.true()))
    if parts.shared is not None:
        shared = select.where(parts.shared).order_by(*order).limit(limit).subquery("shared")
        found = sa.union_all(found, sa.select(*shared.c))
    together = found.subquery("together")
    again = [term.ordered(together.c[f"_k{index}"]) for index, term in enumerate(terms)]
    return query(sa.select(*together.c).order_by(*again).limit(limit))


def _within(select: sa.Select[Any], record: RecordType, scope: Scope | None) -> sa.Select[Any]:
    return select if scope is None else select.where(scope.open_predicate(record.table))


def _ids(record: RecordType, scopes: Sequence[Scope], asked: Asked, texts: int) -> sa.Select[Any]:
    limit = sa.bindparam("page_rows", type_=sa.Integer(), required=True)
    select = sa.select(record.table.c.id).where(*_conditions(record, asked, texts)).limit(limit)
    for scope in scopes:
        select = _within(select, record, scope)
    return select


def _ids_statement(record: RecordType, scopes: Sequence[Scope], asked: Asked, texts: int) -> Query:
    return query(_ids(record, scopes, asked, texts))


def _early(record: RecordType, select: sa.Select[Any]) -> sa.Select[Any]:
    """Only records that were there already."""
    made_before = sa.bindparam("made_before", type_=sa.TIMESTAMP(timezone=True), required=True)
    return select.where(record.table.c.created_at <= made_before)


def _following_statement(record: RecordType, scopes: Sequence[Scope], asked: Asked, texts: int, behind: bool) -> Query:
    select = _early(record, _ids(record, scopes, asked, texts)).order_by(record.table.c.id)
    if behind:
        select = select.where(record.table.c.id > sa.bindparam("after_id", type_=sa.Uuid(), required=True))
    return query(select)


def _many_statement(record: RecordType, scopes: Sequence[Scope], asked: Asked, texts: int) -> Query:
    matching = _early(record, _ids(record, scopes, asked, texts)).subquery("matching")
    return query(sa.select(sa.func.count()).select_from(matching))


def _count_statement(record: RecordType, scope: Scope | None, asked: Asked, texts: int) -> Query:
    one: sa.Label[Any] = sa.literal_column("1").label("one")
    select = sa.select(one).select_from(record.table).where(*_conditions(record, asked, texts))
    matching: Any
    if scope is None or scope.everything or scope.nothing or texts or asked.filter.searches:
        matching = _within(select, record, scope)
    else:
        # Owned and shared apart: each counts in its own index; joined by `or` the table's rows themselves must be read.
        parts = scope.branches(record.table, open_values=True)
        matching = select.join_from(parts.owners, record.table, parts.owned)
        if parts.shared is not None:
            matching = sa.union_all(matching, select.where(parts.shared))
    if asked.count == "estimate":
        matching = matching.limit(sa.literal_column(str(ESTIMATE_UP_TO)))
    return query(sa.select(sa.func.count()).select_from(matching.subquery("matching")))


def searched_texts(text: str | None) -> tuple[str, ...]:
    """What a search looks for: the text; and when it looks like a telephone number, its digits as they stand in E.164."""
    if text is None:
        return ()
    if not _PHONE_LIKE.fullmatch(text):
        return (text,)
    digits = re.sub(r"[^0-9]", "", text)
    # The trunk prefix of a number written as at home ("010-1234") isn't in the international form.
    shown = digits if text.startswith("+") else digits.lstrip("0")
    return (text, shown) if shown and shown != text else (text,)

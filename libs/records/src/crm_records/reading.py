"""One record, or all that match, as the caller may see them."""

import datetime as dt
import uuid
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from crm_authz import Rule, Scope, Shape
from crm_authz.organisation import Everybody
from crm_database import Query, ReadSession, query
from crm_jobs import JobUnit
from crm_kernel import NotFound
from crm_records.asked import Deleted
from crm_records.drafts import Record
from crm_records.filter import FilterContext
from crm_records.locking import ScopeHolder
from crm_records.record_type import RecordType
from crm_records.rows import RowJson, all_columns, columns_for, record_of, shown_names
from crm_records.writing import read_parts
from crm_web import ReadUnit, WriteUnit


def filter_context(unit: ReadUnit | WriteUnit | JobUnit, *, now: dt.datetime | None = None) -> FilterContext:
    """What the caller's relative conditions (`me`, `my_team`, days) are relative to. now: another instant than the unit's."""
    user_id = unit.caller.user_id

    def team() -> Sequence[uuid.UUID]:
        reach = unit.directory.owners(Rule("subordinates"), user_id)
        return () if isinstance(reach, Everybody) else tuple(reach)

    return FilterContext(user_id, team, now or unit.now, unit.calendar)


async def read_json(
    session: ReadSession, record: RecordType, scope: Scope | None, record_id: uuid.UUID, *, deleted: Deleted = "exclude"
) -> dict[str, Any]:
    """One record as the API shows it, parts included. Raises NotFound when the scope doesn't reach it."""
    statement = _one_statement(record, None if scope is None else scope.shape, deleted, False, ScopeHolder(scope))
    row = await session.first(statement, asked_id=record_id, **_parameters(record, scope))
    if row is None:
        raise NotFound
    shown = RowJson(record, shown_names(record))(row)
    if record.parts:
        shown.update((await read_parts(session, record, [record_id])).get(record_id, {}))
    return shown


async def read_record(
    session: ReadSession, record: RecordType, scope: Scope | None, record_id: uuid.UUID, *, deleted: Deleted = "exclude"
) -> Record:
    """One record with its values, not locked, without members. Raises NotFound when the scope doesn't reach it."""
    statement = _one_statement(record, None if scope is None else scope.shape, deleted, True, ScopeHolder(scope))
    row = await session.first(statement, asked_id=record_id, **_parameters(record, scope))
    if row is None:
        raise NotFound
    return record_of(record, row)


def _parameters(record: RecordType, scope: Scope | None) -> dict[str, Any]:
    return {} if scope is None else scope.parameters(record.table)


@lru_cache(maxsize=500)
def _one_statement(
    record: RecordType, shape: Shape | None, deleted: Deleted, whole: bool, holder: ScopeHolder
) -> Query:
    del shape
    table = record.table
    columns = all_columns(record) if whole else columns_for(record, table, shown_names(record))
    select = sa.select(*columns).where(table.c.id == sa.bindparam("asked_id", type_=sa.Uuid(), required=True))
    if deleted == "exclude":
        select = select.where(table.c.deleted_at.is_(None))
    elif deleted == "only":
        select = select.where(table.c.deleted_at.is_not(None))
    if holder.scope is not None:
        select = select.where(holder.scope.open_predicate(table))
    return query(select)

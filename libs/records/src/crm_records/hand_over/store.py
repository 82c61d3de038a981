"""Queries of hand-overs: what was asked for, how far it is, and the leaver's open records."""

import datetime as dt
import uuid
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from crm_authz import Scope
from crm_database import Query, ReadSession, WriteSession, query
from crm_records.hand_over.rules import HandOver
from crm_records.hand_over.tables import hand_over, hand_over_count
from crm_records.locking import ScopeHolder
from crm_records.record_type import DeclarationError, RecordType

_ID = sa.bindparam("id", type_=sa.Uuid)
_NOW = sa.bindparam("now", type_=sa.TIMESTAMP(timezone=True))

# NO KEY: the counts' foreign keys need not wait; nobody changes the id.
_LOCKED = query(sa.select(hand_over).where(hand_over.c.id == _ID).with_for_update(key_share=True))
_COUNTS = query(
    sa.select(hand_over_count.c.record_type, hand_over_count.c.moved, hand_over_count.c.remaining)
    .where(hand_over_count.c.hand_over_id == _ID)
    .order_by(hand_over_count.c.record_type)
)
# Raw SQL: one upsert of many rows from arrays.
_COUNT = """
INSERT INTO hand_over_count (hand_over_id, record_type, moved, remaining)
SELECT $1, * FROM unnest($2::text[], $3::bigint[], $4::bigint[])
ON CONFLICT (hand_over_id, record_type) DO UPDATE SET moved = excluded.moved, remaining = excluded.remaining
"""
# Raw SQL: the server's own view of what is under way. This transaction aside, and what other programs do (a dump may last for hours).
_OLDEST = """
SELECT clock_timestamp() AS now, (
  SELECT min(xact_start) FROM pg_stat_activity
  WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid() AND backend_type = 'client backend'
) AS oldest
"""


async def lock(session: WriteSession, hand_over_id: uuid.UUID) -> HandOver | None:
    """A hand-over, locked until the transaction ends; its counts are read after the lock."""
    rows = await session.locked(hand_over, _LOCKED, id=hand_over_id)
    if not rows:
        return None
    counts = await session.fetch(_COUNTS, id=hand_over_id)
    values: dict[str, Any] = {name: _plain(value) for name, value in rows[0].items()}
    return HandOver(
        **values,
        moved={row["record_type"]: row["moved"] for row in counts},
        remaining={row["record_type"]: row["remaining"] for row in counts},
    )


async def write_counts(
    session: WriteSession, hand_over_id: uuid.UUID, moved: Mapping[str, int], remaining: Mapping[str, int]
) -> None:
    """How many records of each type have changed hands, and how many were left when that was last counted."""
    names = sorted({*moved, *remaining})
    # Raw SQL: see _COUNT.
    await session.connection.execute(
        _COUNT, hand_over_id, names, [moved.get(name, 0) for name in names], [remaining.get(name, 0) for name in names]
    )


async def database_now(session: ReadSession) -> dt.datetime:
    """The database's clock, by which transactions are reckoned."""
    now: dt.datetime = await session.value(_CLOCK)
    return now


_CLOCK = query(sa.select(sa.func.clock_timestamp()))


async def under_way(session: ReadSession) -> tuple[dt.datetime, dt.datetime | None]:
    """The database's clock, and when the oldest other transaction of this service's began; None: there is none."""
    # Raw SQL: see _OLDEST.
    row = await session.connection.fetchrow(_OLDEST)
    assert row is not None  # noqa: S101  (a row of constants)
    return row["now"], row["oldest"]


async def lock_open(
    session: WriteSession,
    record: RecordType,
    scope: Scope,
    user_id: uuid.UUID,
    *,
    after: uuid.UUID | None,
    now: dt.datetime,
    limit: int,
) -> list[uuid.UUID]:
    """The next open records that belong to somebody, locked, in the order of their ids.

    One that is given to somebody else or closed while its lock is waited for is not among them: the statement looks again then.
    """
    statement = _open_statement(record, ScopeHolder(scope), after is not None, limit)
    place = {} if after is None else {"after_id": after}
    rows = await session.fetch(statement, owner=user_id, now=now, **place, **scope.parameters(record.table))
    return [uuid.UUID(int=row["id"].int) for row in rows]


async def count_open(
    session: ReadSession, record: RecordType, scope: Scope, user_id: uuid.UUID, now: dt.datetime
) -> int:
    """How many open records belong to somebody."""
    statement = _count_statement(record, ScopeHolder(scope))
    return int(await session.value(statement, owner=user_id, now=now, **scope.parameters(record.table)))


def _plain(value: Any) -> Any:
    """The driver's UUID as the standard library's."""
    return uuid.UUID(int=value.int) if isinstance(value, uuid.UUID) else value


@lru_cache(maxsize=200)
def _open_statement(record: RecordType, held: ScopeHolder, behind: bool, limit: int) -> Query:
    table = record.table
    select = sa.select(table.c.id).where(*_conditions(record, held))
    if behind:
        select = select.where(table.c.id > sa.bindparam("after_id", type_=sa.Uuid))
    # A literal: the server plans badly for a limit that it doesn't know (docs/decisions/0007). NO KEY: as everywhere for records.
    limited = select.order_by(table.c.id).limit(sa.literal_column(str(limit)))
    return query(limited.with_for_update(key_share=True))


@lru_cache(maxsize=200)
def _count_statement(record: RecordType, held: ScopeHolder) -> Query:
    return query(sa.select(sa.func.count()).select_from(record.table).where(*_conditions(record, held)))


def _conditions(record: RecordType, held: ScopeHolder) -> list[sa.ColumnElement[bool]]:
    table, scope = record.table, held.scope
    if record.open is None or scope is None:
        raise DeclarationError(f"{record.key} doesn't say which records are open")
    return [
        table.c.owner_id == sa.bindparam("owner", type_=sa.Uuid),
        table.c.deleted_at.is_(None),
        record.open(table, _NOW),
        scope.open_predicate(table),
    ]

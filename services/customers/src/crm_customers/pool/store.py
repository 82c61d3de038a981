"""Queries over pools, the customers in them, and what happened in them."""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_customers.customer.tables import customer
from crm_customers.pool.tables import pool
from crm_database import ReadSession, WriteSession, lock_key, query
from crm_events.archive import completed, is_archived
from crm_events.journal import journal
from crm_kernel.ids import first_id_at

CLAIMED = "crm.customers.customer.claimed.v1"
MOVES = (CLAIMED, "crm.customers.customer.assigned.v1", "crm.customers.customer.released.v1")

_ID = sa.bindparam("id", type_=sa.Uuid)
_POOL = sa.bindparam("pool_id", type_=sa.Uuid)
_IN_POOL = "the pool's members see what waits in it; whoever calls checks the membership"

_ONE = query(sa.select(pool).where(pool.c.id == _ID))
_ONE_LOCKED = query(sa.select(pool).where(pool.c.id == _ID).with_for_update())
_DEFAULT = query(sa.select(pool).where(pool.c.is_default))
_ALL = query(sa.select(pool).order_by(pool.c.name, pool.c.id))
_LOCK = query(sa.select(sa.func.pg_advisory_xact_lock(sa.bindparam("key", type_=sa.BigInteger))))
_WAYS_OUT = query(
    sa.select(customer.c.id, customer.c.previous_owner_id, customer.c.last_pool_id).where(
        customer.c.id == sa.func.any(sa.bindparam("ids", type_=ARRAY(sa.Uuid())))
    ),
    unscoped="read after the rows were locked; nothing of them is shown",
)
_LEFT = query(
    sa.update(customer)
    .where(customer.c.id == _ID)
    .values(previous_owner_id=sa.bindparam("previous_owner_id", type_=sa.Uuid), last_pool_id=_POOL),
    unscoped="the row is locked, and record() has just written it",
)
# The journal's index by pool (migration 0001) serves both: the expression must be written as there, its key no parameter.
_pool_of_event: sa.ColumnElement[Any] = sa.cast(journal.c.data.op("->>")(sa.literal_column("'pool_id'")), sa.Uuid)
_IS_MOVE = journal.c.type.in_([sa.literal_column(f"'{name}'") for name in MOVES])
_CLAIMS = query(
    sa.select(sa.func.count())
    .select_from(journal)
    .where(
        _IS_MOVE,
        _pool_of_event == _POOL,
        journal.c.event_id >= sa.bindparam("first", type_=sa.Uuid),
        journal.c.type == CLAIMED,
        journal.c.actor_id == sa.bindparam("user_id", type_=sa.Uuid),
        journal.c.time >= sa.bindparam("since", type_=sa.TIMESTAMP(timezone=True)),
    )
)
_MOVE_COLUMNS = (
    journal.c.event_id,
    journal.c.type,
    journal.c.subject,
    journal.c.time,
    journal.c.occurred_at,
    journal.c.actor_id,
    journal.c.data,
    is_archived,
)


async def read_pool(session: ReadSession, pool_id: uuid.UUID) -> asyncpg.Record | None:
    """One pool's row."""
    return await session.first(_ONE, id=pool_id)


async def lock_pool(session: WriteSession, pool_id: uuid.UUID) -> asyncpg.Record | None:
    """One pool's row, locked."""
    rows = await session.locked(pool, _ONE_LOCKED, id=pool_id)
    return rows[0] if rows else None


async def default_pool(session: ReadSession) -> asyncpg.Record | None:
    """The pool that a release goes to when none is named."""
    return await session.first(_DEFAULT)


async def all_pools(session: ReadSession) -> list[asyncpg.Record]:
    """Every pool, by name."""
    return await session.fetch(_ALL)


async def one_claim_at_a_time(session: WriteSession, pool_id: uuid.UUID, user_id: uuid.UUID) -> None:
    """Until the transaction ends, no other claim of this user from this pool goes on: so the daily cap holds in parallel."""
    await session.value(_LOCK, key=lock_key("customers.claim", pool_id.bytes, user_id.bytes))


async def claims_since(session: ReadSession, pool_id: uuid.UUID, user_id: uuid.UUID, since: dt.datetime) -> int:
    """How often the user claimed from the pool since an instant, from the pool's history."""
    # Ids are made by other clocks than `time`: the bound on the id leaves them a minute.
    first = first_id_at(since - dt.timedelta(minutes=1))
    return int(await session.value(_CLAIMS, pool_id=pool_id, user_id=user_id, since=since, first=first))


@dataclass(frozen=True)
class Way:
    """How a customer came to where it is: who gave it up last, and which pool it was in last; None: nobody, none."""

    previous_owner_id: uuid.UUID | None
    last_pool_id: uuid.UUID | None


async def ways_out(session: ReadSession, customer_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Way]:
    """The ways of locked customers."""
    rows = await session.fetch(_WAYS_OUT, ids=list(customer_ids))
    return {_plain(row["id"]): Way(_optional(row["previous_owner_id"]), _optional(row["last_pool_id"])) for row in rows}


def _plain(value: uuid.UUID) -> uuid.UUID:
    """The driver's UUID as the standard library's."""
    return uuid.UUID(int=value.int)


def _optional(value: uuid.UUID | None) -> uuid.UUID | None:
    return None if value is None else _plain(value)


async def note_way(
    session: WriteSession, customer_id: uuid.UUID, *, previous_owner_id: uuid.UUID | None, pool_id: uuid.UUID | None
) -> None:
    """Remember who owned a customer before, and which pool it was in last."""
    await session.execute(_LEFT, id=customer_id, previous_owner_id=previous_owner_id, pool_id=pool_id)


async def waiting(
    session: ReadSession,
    columns: Sequence[sa.ColumnElement[Any]],
    pool_id: uuid.UUID,
    after: tuple[dt.datetime, uuid.UUID] | None,
    limit: int,
) -> list[asyncpg.Record]:
    """The customers in a pool, the longest waiting first, behind a position; `pooled_at` and `id` stand in each row."""
    statement = sa.select(*columns).where(customer.c.pool_id == pool_id, customer.c.deleted_at.is_(None))
    if after is not None:
        instant, last = after
        behind = sa.or_(customer.c.pooled_at > instant, sa.and_(customer.c.pooled_at == instant, customer.c.id > last))
        statement = statement.where(customer.c.pooled_at >= instant, behind)
    statement = statement.order_by(customer.c.pooled_at, customer.c.id).limit(limit)
    return await session.fetch(query(statement, unscoped=_IN_POOL))


async def moves_of_pool(
    session: ReadSession, pool_id: uuid.UUID, before: uuid.UUID | None, limit: int
) -> list[Mapping[str, Any]]:
    """What happened in a pool, newest first, before an event."""
    statement = sa.select(*_MOVE_COLUMNS).where(_IS_MOVE, _pool_of_event == pool_id)
    return await _moves(session, statement, before, limit)


async def moves_of_customer(
    session: ReadSession, customer_id: uuid.UUID, before: uuid.UUID | None, limit: int
) -> list[Mapping[str, Any]]:
    """What happened to a customer in pools, newest first, before an event."""
    statement = sa.select(*_MOVE_COLUMNS).where(journal.c.subject == customer_id, _IS_MOVE)
    return await _moves(session, statement, before, limit)


async def _moves(
    session: ReadSession, statement: sa.Select[Any], before: uuid.UUID | None, limit: int
) -> list[Mapping[str, Any]]:
    if before is not None:
        statement = statement.where(journal.c.event_id < sa.literal(before, sa.Uuid))
    rows = await session.fetch(query(statement.order_by(journal.c.event_id.desc()).limit(limit)))
    # An archived row is found by its pool all the same: it keeps the id (crm_events.archive.reading).
    archived = await completed(session, rows)
    return [{**row, "data": archived.get(row["event_id"], row["data"])} for row in rows]


def plain(row: asyncpg.Record) -> dict[str, Any]:
    """A pool's row as the contract's PoolState takes it."""
    return {name: row[name] for name in row.keys() if name not in ("id", "version", "is_default", "created_at")}  # noqa: SIM118

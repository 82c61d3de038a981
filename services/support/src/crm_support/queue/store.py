"""Queries over queues."""

import uuid
from collections.abc import Collection, Sequence
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_database import ReadSession, WriteSession, query
from crm_support.queue.rules import Queue
from crm_support.queue.tables import queue

_ID = sa.bindparam("id", type_=sa.Uuid)
_ONE = query(sa.select(queue).where(queue.c.id == _ID))
_ONE_LOCKED = query(sa.select(queue).where(queue.c.id == _ID).with_for_update())
_BY_KEYS = query(sa.select(queue).where(queue.c.key == sa.func.any(sa.bindparam("keys", type_=ARRAY(sa.Text())))))
_ALL = query(sa.select(queue).order_by(queue.c.name, queue.c.id))


async def read_queue(session: ReadSession, queue_id: uuid.UUID) -> asyncpg.Record | None:
    """One queue's row."""
    return await session.first(_ONE, id=queue_id)


async def lock_queue(session: WriteSession, queue_id: uuid.UUID) -> asyncpg.Record | None:
    """One queue's row, locked."""
    rows = await session.locked(queue, _ONE_LOCKED, id=queue_id)
    return rows[0] if rows else None


async def all_queues(session: ReadSession) -> list[asyncpg.Record]:
    """Every queue, by name."""
    return await session.fetch(_ALL)


async def queues_of(session: ReadSession, keys: Collection[str]) -> dict[str, Queue]:
    """Those of the named queues that exist, by key."""
    if not keys:
        return {}
    rows = await session.fetch(_BY_KEYS, keys=list(dict.fromkeys(keys)))
    return {row["key"]: queue_of(row) for row in rows}


def queue_of(row: asyncpg.Record) -> Queue:
    """A queue's row as the rules know it."""
    return Queue(
        id=uuid.UUID(int=row["id"].int),
        key=row["key"],
        member_user_ids=_ids(row["member_user_ids"]),
        member_department_ids=_ids(row["member_department_ids"]),
        open_to_all=row["open_to_all"],
    )


def plain(row: asyncpg.Record) -> dict[str, Any]:
    """A queue's row as the contract's QueueState takes it."""
    return {name: row[name] for name in row.keys() if name not in ("id", "version", "created_at")}  # noqa: SIM118


def _ids(found: Sequence[uuid.UUID]) -> frozenset[uuid.UUID]:
    return frozenset(uuid.UUID(int=one.int) for one in found)

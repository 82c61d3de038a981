"""Queries over customers that no standard list answers."""

import uuid
from collections.abc import Collection, Mapping, Sequence

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_authz import Scope
from crm_customers.customer.tables import customer
from crm_database import ReadSession, WriteSession, lock_key, query

_IDS = ARRAY(sa.Uuid())


_ASKED = customer.c.id == sa.func.any(sa.bindparam("ids", type_=_IDS))
_OWNERS = query(
    sa.select(customer.c.id, customer.c.owner_id).where(_ASKED).order_by(customer.c.id).with_for_update(read=True),
    unscoped="whose a contact becomes, that the caller has already; nothing of the customer is shown",
)


async def visible(session: ReadSession, scope: Scope, ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Which of these customers the scope reaches; deleted ones are not among them."""
    rows = await session.fetch(query(_visible(scope)), ids=list(dict.fromkeys(ids)))
    return {_plain(row["id"]) for row in rows}


async def visible_held(
    session: WriteSession, scope: Scope, ids: Collection[uuid.UUID]
) -> dict[uuid.UUID, uuid.UUID | None]:
    """The same with their owners, who stay that until the transaction ends: the rows are locked against changing hands."""
    statement = _visible(scope).order_by(customer.c.id).with_for_update(read=True)
    return _owners(await session.fetch(query(statement), ids=list(dict.fromkeys(ids))))


async def owners_held(session: WriteSession, ids: Collection[uuid.UUID]) -> dict[uuid.UUID, uuid.UUID | None]:
    """The owners of customers, also deleted ones, who stay that until the transaction ends."""
    return _owners(await session.fetch(_OWNERS, ids=list(dict.fromkeys(ids))))


def _visible(scope: Scope) -> sa.Select[tuple[uuid.UUID, uuid.UUID | None]]:
    return sa.select(customer.c.id, customer.c.owner_id).where(
        _ASKED, customer.c.deleted_at.is_(None), scope.predicate(customer)
    )


def _owners(rows: Sequence[asyncpg.Record]) -> dict[uuid.UUID, uuid.UUID | None]:
    return {_plain(row["id"]): None if row["owner_id"] is None else _plain(row["owner_id"]) for row in rows}


def _plain(value: uuid.UUID) -> uuid.UUID:
    """The driver's UUID as the standard library's."""
    return uuid.UUID(int=value.int)


# From these customers up: each with the one that it belongs to. UNION ends at what was met already.
_start = sa.select(customer.c.id, customer.c.parent_id).where(_ASKED)
_chain = _start.cte("chain", recursive=True)
_chain = _chain.union(
    sa.select(customer.c.id, customer.c.parent_id).join_from(_chain, customer, customer.c.id == _chain.c.parent_id)
)
_ANCESTORS = query(
    sa.select(_chain.c.id, _chain.c.parent_id),
    unscoped="only asks whether a cycle would arise; the ids are not shown to the caller",
)
_LOCK_TREE = query(sa.select(sa.func.pg_advisory_xact_lock(sa.literal(lock_key("customers.tree"), sa.BigInteger))))


async def lock_tree(session: WriteSession) -> None:
    """Let one transaction at a time change who belongs to whom: else two moves could close a cycle together."""
    await session.value(_LOCK_TREE)


async def parents_above(session: ReadSession, ids: Collection[uuid.UUID]) -> Mapping[uuid.UUID, uuid.UUID]:
    """These customers and everybody above them: customer → the one that it belongs to."""
    rows = await session.fetch(_ANCESTORS, ids=list(dict.fromkeys(ids)))
    return {_plain(row["id"]): _plain(row["parent_id"]) for row in rows if row["parent_id"] is not None}

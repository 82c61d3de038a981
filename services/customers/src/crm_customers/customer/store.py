"""Queries over customers that no standard list answers."""

import uuid
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_authz import Scope
from crm_customers.customer.tables import customer
from crm_database import ReadSession, lock_key, query

_IDS = ARRAY(sa.Uuid())


async def visible(session: ReadSession, scope: Scope, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, uuid.UUID | None]:
    """Which of these customers the scope reaches, with their owners; deleted ones are not among them."""
    statement = query(
        sa.select(customer.c.id, customer.c.owner_id).where(
            customer.c.id == sa.func.any(sa.bindparam("ids", type_=_IDS)),
            customer.c.deleted_at.is_(None),
            scope.predicate(customer),
        )
    )
    rows = await session.fetch(statement, ids=list(dict.fromkeys(ids)))
    return {uuid.UUID(int=r["id"].int): r["owner_id"] and uuid.UUID(int=r["owner_id"].int) for r in rows}


_ancestors = sa.select(customer.c.id, customer.c.parent_id).where(customer.c.id == sa.bindparam("start", type_=sa.Uuid))
_chain = _ancestors.cte("chain", recursive=True)
_chain = _chain.union(
    sa.select(customer.c.id, customer.c.parent_id).join_from(_chain, customer, customer.c.id == _chain.c.parent_id)
)
_ANCESTORS = query(
    sa.select(_chain.c.id), unscoped="only asks whether a cycle would arise; the ids are not shown to the caller"
)
_LOCK_TREE = query(sa.select(sa.func.pg_advisory_xact_lock(sa.literal(lock_key("customers.tree"), sa.BigInteger))))


async def lock_tree(session: ReadSession) -> None:
    """Let one transaction at a time change who belongs to whom: else two moves could close a cycle together."""
    await session.value(_LOCK_TREE)


async def ancestors(session: ReadSession, customer_id: uuid.UUID) -> set[uuid.UUID]:
    """The customer and everybody above it."""
    return {uuid.UUID(int=row["id"].int) for row in await session.fetch(_ANCESTORS, start=customer_id)}

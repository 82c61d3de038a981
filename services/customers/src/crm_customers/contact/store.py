"""Queries over contacts that no standard list answers."""

import uuid
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_customers.contact.tables import contact
from crm_database import ReadSession, WriteSession, query

_IDS = ARRAY(sa.Uuid())
_FOLLOWERS = query(
    sa.select(contact.c.id).where(
        contact.c.customer_id == sa.func.any(sa.bindparam("customer_ids", type_=_IDS)),
        contact.c.follows_customer,
        contact.c.deleted_at.is_(None),
    ),
    unscoped="contacts go where their customer goes, whoever may see them",
)
_FOLLOWING = query(
    sa.select(contact.c.id).where(
        contact.c.id == sa.func.any(sa.bindparam("ids", type_=_IDS)), contact.c.follows_customer
    ),
    unscoped="the rows are locked by whoever asks; nothing of them is shown",
)
_ON_THEIR_OWN = query(
    sa.update(contact)
    .where(contact.c.id == sa.func.any(sa.bindparam("ids", type_=_IDS)), contact.c.follows_customer)
    .values(follows_customer=False),
    unscoped="the rows are locked, or were inserted, by the action that calls this",
)


async def followers(session: ReadSession, customer_ids: Sequence[uuid.UUID]) -> list[uuid.UUID]:
    """The contacts that follow these customers' owners, as of now: lock them, then ask `following` again."""
    rows = await session.fetch(_FOLLOWERS, customer_ids=list(customer_ids))
    return [uuid.UUID(int=row["id"].int) for row in rows]


async def following(session: ReadSession, ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    """Which of these locked contacts have no owner of their own."""
    return {uuid.UUID(int=row["id"].int) for row in await session.fetch(_FOLLOWING, ids=list(ids))}


async def stop_following(session: WriteSession, ids: Sequence[uuid.UUID]) -> None:
    """These contacts have owners of their own from now on."""
    await session.execute(_ON_THEIR_OWN, ids=list(ids))

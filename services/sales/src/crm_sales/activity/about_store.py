"""Queries over activities by what they are about. Apart from `store`, which the table's declaration needs."""

import uuid
from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_database import ReadSession, query
from crm_sales.activity.tables import activity

_ABOUT = query(
    sa.select(activity.c.id).where(
        activity.c.links_ids.op("&&", is_comparison=True)(sa.bindparam("ids", type_=ARRAY(sa.Uuid()), required=True)),
        activity.c.deleted_at.is_(None),
    ),
    unscoped="whoever owns them, activities have the customer of what they are about; nobody is shown them",
)


async def about(session: ReadSession, ids: Collection[uuid.UUID]) -> list[uuid.UUID]:
    """The activities about any of these records, deleted ones aside."""
    return [uuid.UUID(int=row["id"].int) for row in await session.fetch(_ABOUT, ids=list(ids))]

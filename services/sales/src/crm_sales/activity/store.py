"""Queries over what activities are about, and whose it is."""

import uuid
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_authz import Scope
from crm_database import ReadSession, WriteSession, query
from crm_database.locks import lock_key
from crm_records.fields.references import plain_id
from crm_sales.opportunity.tables import opportunity

_ASKED = sa.bindparam("ids", type_=ARRAY(sa.Uuid()), required=True)
_CUSTOMERS = query(
    sa.select(opportunity.c.id, opportunity.c.customer_id).where(opportunity.c.id == sa.func.any(_ASKED)),
    unscoped="activities name them already, and each was checked when it was named; only whose they are is asked",
)
_KEY = sa.literal(lock_key("sales.activity_customers"), sa.BigInteger)
_LOCK = query(sa.select(sa.func.pg_advisory_xact_lock(_KEY)))
_HOLD = query(sa.select(sa.func.pg_advisory_xact_lock_shared(_KEY)))


async def hold_customers(session: WriteSession) -> None:
    """Keep it as it is whose records are, until the transaction ends: for those who link activities to them."""
    await session.value(_HOLD)


async def lock_customers(session: WriteSession) -> None:
    """Wait for those who link; who links from now on waits until the transaction ends."""
    await session.value(_LOCK)


async def visible_opportunities(session: ReadSession, scope: Scope, ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    """Those of the opportunities that are there, not deleted, and within the scope."""
    asked = sa.select(opportunity.c.id).where(
        opportunity.c.id == sa.func.any(_ASKED), opportunity.c.deleted_at.is_(None), scope.predicate(opportunity)
    )
    return {uuid.UUID(int=row["id"].int) for row in await session.fetch(query(asked), ids=list(ids))}


async def customers_of_opportunities(session: ReadSession, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, uuid.UUID]:
    """Opportunity → customer, of those that have one; deleted ones too."""
    rows = await session.fetch(_CUSTOMERS, ids=list(ids))
    found = {uuid.UUID(int=row["id"].int): plain_id(row["customer_id"]) for row in rows}
    return {key: customer for key, customer in found.items() if customer is not None}

"""Queries over products that no standard list answers."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_database import ReadSession, WriteSession, lock_key, query
from crm_kernel import Money
from crm_records.lines import Offer
from crm_sales.product.tables import product


@dataclass(frozen=True)
class CodeHolder:
    """Who has a code. folded: the code as it is compared. holder_id: the product that has it, None: nobody."""

    folded: str
    holder_id: uuid.UUID | None


_OFFERS = query(
    sa.select(
        product.c.id, product.c.name, product.c.on_sale, product.c.list_price_currency, product.c.list_price_minor
    ).where(
        product.c.id == sa.func.any(sa.bindparam("ids", type_=ARRAY(sa.Uuid()))),
        product.c.deleted_at.is_(None),
    )
)
_asked = (
    sa.func.unnest(sa.bindparam("codes", type_=ARRAY(sa.Text()))).table_valued("code", name="asked").render_derived()
)
_HOLDERS = query(
    sa.select(_asked.c.code, sa.func.lower(_asked.c.code).label("folded"), product.c.id).select_from(
        _asked.outerjoin(
            product,
            sa.and_(sa.func.lower(product.c.code) == sa.func.lower(_asked.c.code), product.c.deleted_at.is_(None)),
        )
    )
)
_LOCK_CODES = query(
    sa.select(sa.func.pg_advisory_xact_lock(sa.literal(lock_key("sales.product_codes"), sa.BigInteger)))
)


async def offers(session: ReadSession, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Offer]:
    """The products with these ids that are not deleted."""
    if not ids:
        return {}
    rows = await session.fetch(_OFFERS, ids=list(dict.fromkeys(ids)))
    found = {}
    for row in rows:
        minor = row["list_price_minor"]
        price = None if minor is None else Money(minor, row["list_price_currency"])
        one = Offer(uuid.UUID(int=row["id"].int), row["name"], row["on_sale"], price)
        found[one.id] = one
    return found


async def lock_codes(session: WriteSession) -> None:
    """Let one transaction at a time give codes: what it then sees of them stays true until it commits."""
    await session.value(_LOCK_CODES)


async def holders(session: ReadSession, codes: Sequence[str]) -> Mapping[str, CodeHolder]:
    """Code → who has it."""
    rows = await session.fetch(_HOLDERS, codes=list(dict.fromkeys(codes)))
    return {
        row["code"]: CodeHolder(row["folded"], None if row["id"] is None else uuid.UUID(int=row["id"].int))
        for row in rows
    }

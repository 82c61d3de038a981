"""Queries of signing keys."""

import datetime as dt
from typing import Any

import sqlalchemy as sa

from crm_database import ReadSession, WriteSession, query
from crm_identity.signing_key.tables import signing_key

_NOW = sa.bindparam("now", type_=sa.TIMESTAMP(timezone=True))
_COUNTS = sa.or_(signing_key.c.not_after.is_(None), signing_key.c.not_after > _NOW)

_SIGNING = query(
    sa.select(signing_key.c.kid)
    .where(signing_key.c.signs_from <= _NOW, _COUNTS)
    .order_by(signing_key.c.signs_from.desc(), signing_key.c.id.desc())
    .limit(1)
)
_PRIVATE = query(sa.select(signing_key.c.private_pem).where(signing_key.c.kid == sa.bindparam("kid")))
_PUBLISHED = query(sa.select(signing_key).where(_COUNTS).order_by(signing_key.c.signs_from, signing_key.c.id))
_LOCKED = query(
    sa.select(signing_key).where(signing_key.c.not_after.is_(None)).order_by(signing_key.c.id).with_for_update()
)


async def signing_kid(session: ReadSession, now: dt.datetime) -> str | None:
    """The key that signs now; None before the company is set up."""
    found: str | None = await session.value(_SIGNING, now=now)
    return found


async def private_pem(session: ReadSession, kid: str) -> str:
    """The encrypted private part."""
    found: str = await session.value(_PRIVATE, kid=kid)
    return found


async def published(session: ReadSession, now: dt.datetime) -> list[Any]:
    """The keys whose tokens count, or will count, oldest first."""
    return await session.fetch(_PUBLISHED, now=now)


async def locked_current(session: WriteSession) -> list[Any]:
    """The keys without an end, locked."""
    return await session.locked(signing_key, _LOCKED)

"""Queries of the company."""

from typing import Any

import sqlalchemy as sa

from crm_database import ReadSession, WriteSession, query
from crm_identity.company.rules import NotSetUp
from crm_identity.company.tables import company

_ONE = query(sa.select(company))
_LOCKED = query(sa.select(company).with_for_update())


async def find(session: ReadSession) -> Any:
    """The company, or None before the first start."""
    return await session.first(_ONE)


async def one(session: ReadSession) -> Any:
    """Raises NotSetUp."""
    row = await find(session)
    if row is None:
        raise NotSetUp
    return row


async def locked(session: WriteSession) -> Any:
    """The row, locked. Raises NotSetUp."""
    rows = await session.locked(company, _LOCKED)
    if not rows:
        raise NotSetUp
    return rows[0]

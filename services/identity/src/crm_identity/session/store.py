"""Queries of sessions and refresh tokens."""

import datetime as dt
import uuid
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_database import ReadSession, WriteSession, query
from crm_identity.session.rules import SessionNotFound
from crm_identity.session.tables import login_session, refresh_token

_USERS = sa.bindparam("user_ids", type_=ARRAY(sa.Uuid))
_OPEN = login_session.c.ended_at.is_(None)

_LOCKED_OPEN = query(
    sa.select(login_session)
    .where(login_session.c.user_id == sa.any_(_USERS), _OPEN)
    .order_by(login_session.c.id)
    .with_for_update()
)
_LOCKED = query(sa.select(login_session).where(login_session.c.id == sa.bindparam("id")).with_for_update())


async def locked_open(session: WriteSession, user_ids: Collection[uuid.UUID]) -> list[Any]:
    """The open sessions of users, locked."""
    return await session.locked(login_session, _LOCKED_OPEN, user_ids=list(user_ids))


async def locked(session: WriteSession, session_id: uuid.UUID) -> Any:
    """A session, ended or not, locked. Raises SessionNotFound."""
    rows = await session.locked(login_session, _LOCKED, id=session_id)
    if not rows:
        raise SessionNotFound
    return rows[0]


_LAST_USED = (
    sa.select(sa.func.max(refresh_token.c.issued_at))
    .where(refresh_token.c.session_id == login_session.c.id)
    .scalar_subquery()
)
_OF_USER = query(
    sa.select(login_session, _LAST_USED.label("last_used_at"))
    .where(
        login_session.c.user_id == sa.bindparam("user_id"),
        _OPEN,
        login_session.c.expires_at > sa.bindparam("now", type_=sa.TIMESTAMP(timezone=True)),
    )
    .order_by(login_session.c.started_at.desc(), login_session.c.id)
    .limit(200)
)


async def open_of(session: ReadSession, user_id: uuid.UUID, now: dt.datetime) -> list[Any]:
    """A user's open sessions, newest first, at most 200, with `last_used_at`."""
    return await session.fetch(_OF_USER, user_id=user_id, now=now)


_ADD_TOKEN = query(
    sa.insert(refresh_token).values(
        token_hash=sa.bindparam("token_hash"),
        session_id=sa.bindparam("session_id"),
        issued_at=sa.bindparam("issued_at"),
        expires_at=sa.bindparam("expires_at"),
    )
)
_FIND_TOKEN = query(
    sa.select(refresh_token.c.session_id, login_session.c.user_id)
    .join(login_session, login_session.c.id == refresh_token.c.session_id)
    .where(refresh_token.c.token_hash == sa.bindparam("token_hash"))
)
_TOKEN = query(sa.select(refresh_token).where(refresh_token.c.token_hash == sa.bindparam("token_hash")))
_USE_TOKEN = query(
    sa.update(refresh_token)
    .where(refresh_token.c.token_hash == sa.bindparam("used_hash"), refresh_token.c.used_at.is_(None))
    .values(used_at=sa.bindparam("at"))
)


async def add_token(session: WriteSession, token_hash: bytes, session_id: uuid.UUID, expires_at: dt.datetime) -> None:
    """Keep a refresh token's hash."""
    await session.execute(
        _ADD_TOKEN,
        token_hash=token_hash,
        session_id=session_id,
        issued_at=session.context.now,
        expires_at=expires_at,
    )


async def find_token(session: ReadSession, token_hash: bytes) -> Any:
    """session_id and user_id of a refresh token, or None."""
    return await session.first(_FIND_TOKEN, token_hash=token_hash)


async def token(session: ReadSession, token_hash: bytes) -> Any:
    """The token's row, or None. Judge it only while the session's row is locked."""
    return await session.first(_TOKEN, token_hash=token_hash)


async def use_token(session: WriteSession, token_hash: bytes) -> None:
    """Note the first use."""
    await session.execute(_USE_TOKEN, used_hash=token_hash, at=session.context.now)


_TIDY = query(
    sa.delete(refresh_token).where(
        refresh_token.c.session_id.in_(
            sa.select(login_session.c.id).where(
                sa.or_(
                    login_session.c.ended_at < sa.bindparam("before", type_=sa.TIMESTAMP(timezone=True)),
                    login_session.c.expires_at < sa.bindparam("before", type_=sa.TIMESTAMP(timezone=True)),
                )
            )
        )
    )
)


async def forget_tokens(session: WriteSession, before: dt.datetime) -> int:
    """Remove the refresh tokens of sessions that were over at `before`; answers how many. The sessions stay: login history."""
    return await session.execute(_TIDY, before=before)

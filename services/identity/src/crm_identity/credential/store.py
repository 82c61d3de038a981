"""Queries of credentials."""

import datetime as dt
import uuid
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from crm_database import ReadSession, WriteSession, insert_rows, query
from crm_identity.credential.tables import credential

_HASH = query(sa.select(credential.c.password_hash).where(credential.c.user_id == sa.bindparam("user_id")))

_given = insert(credential).values(
    user_id=sa.bindparam("user_id"), password_hash=sa.bindparam("password_hash"), changed_at=sa.bindparam("changed_at")
)
_SET_PASSWORD = query(
    _given.on_conflict_do_update(
        index_elements=["user_id"],
        set_={
            "password_hash": _given.excluded.password_hash,
            "changed_at": _given.excluded.changed_at,
            # Whoever has a password needs no code any more.
            "activation_hash": None,
            "activation_expires_at": None,
        },
    )
)
_REHASH = query(
    sa.update(credential)
    .where(credential.c.user_id == sa.bindparam("of_user"), credential.c.password_hash == sa.bindparam("old_hash"))
    .values(password_hash=sa.bindparam("new_hash"))
)
_coded = insert(credential).values(
    user_id=sa.bindparam("user_id"),
    activation_hash=sa.bindparam("activation_hash"),
    activation_expires_at=sa.bindparam("activation_expires_at"),
)
_SET_CODE = query(
    _coded.on_conflict_do_update(
        index_elements=["user_id"],
        set_={
            "activation_hash": _coded.excluded.activation_hash,
            "activation_expires_at": _coded.excluded.activation_expires_at,
        },
    )
)
_BY_CODE = query(
    sa.select(credential.c.user_id, credential.c.activation_expires_at).where(
        credential.c.activation_hash == sa.bindparam("activation_hash")
    )
)


async def password_hash(session: ReadSession, user_id: uuid.UUID) -> str | None:
    """The stored hash, or None when the user has no password yet."""
    found: str | None = await session.value(_HASH, user_id=user_id)
    return found


async def set_password(session: WriteSession, user_id: uuid.UUID, hashed: str) -> None:
    """Store a hash; an activation code that is still open is void from now on."""
    await session.execute(_SET_PASSWORD, user_id=user_id, password_hash=hashed, changed_at=session.context.now)


async def add_passwords(session: WriteSession, hashes: Mapping[uuid.UUID, str]) -> None:
    """Store the hashes of new users."""
    now = session.context.now
    await insert_rows(
        session,
        credential,
        [{"user_id": user_id, "password_hash": hashed, "changed_at": now} for user_id, hashed in hashes.items()],
    )


async def replace_hash(session: WriteSession, user_id: uuid.UUID, old: str, new: str) -> None:
    """Store the same password's hash with other parameters, unless the password was changed meanwhile."""
    await session.execute(_REHASH, of_user=user_id, old_hash=old, new_hash=new)


async def set_activation(session: WriteSession, user_id: uuid.UUID, code_hash: bytes, expires_at: dt.datetime) -> None:
    """Store a one-time code; the one before it is void."""
    await session.execute(_SET_CODE, user_id=user_id, activation_hash=code_hash, activation_expires_at=expires_at)


async def by_activation(session: ReadSession, code_hash: bytes) -> Any:
    """user_id and activation_expires_at of a code, or None."""
    return await session.first(_BY_CODE, activation_hash=code_hash)

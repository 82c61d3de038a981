"""Passwords of users: set by an administrator, chosen with an activation code, changed by oneself (ID-5, ID-25).

Each makes every access token issued before worthless and ends the sessions that the old password opened (ID-24).
"""

import datetime as dt
import uuid
from dataclasses import dataclass

from crm_database import WriteSession
from crm_identity.credential import store as credentials
from crm_identity.credential.hashing import Hasher
from crm_identity.credential.rules import (
    ACTIVATION_LIFE,
    ActivationRefused,
    WrongPassword,
    check_password,
    new_secret,
    secret_hash,
)
from crm_identity.organisation import store as organisation
from crm_identity.session import ending
from crm_identity.user import actions, store
from crm_identity.user.people import SYSTEM, Authority, User
from crm_identity.user.rules import NotActivated, OnlySuperAdmin, StatusForbids, UserNotFound


@dataclass(frozen=True)
class ActivationCode:
    """A code that lets a new user choose a password; told once. expires_at: from then on it is void."""

    code: str
    expires_at: dt.datetime


def check_new(user: User, password: str, *, pointer: str = "/password") -> None:
    """Raises UnacceptablePassword."""
    own = [text for text in (user.name, user.email, user.mobile) if text]
    check_password(password, administrator=user.super_admin, own=own, pointer=pointer)


async def set_by_administrator(
    session: WriteSession, hasher: Hasher, authority: Authority, user_id: uuid.UUID, password: str
) -> User:
    """A new password for somebody else; all their sessions end. The caller may change that user (checked before).

    Raises UserNotFound, UnacceptablePassword, OnlySuperAdmin, StatusForbids (dismissed).
    """
    seen = store.as_user(await store.own(session, user_id))
    check_new(seen, password)
    hashed = await hasher.hash(password)
    await organisation.lock(session)
    user = await locked(session, user_id)
    if user.super_admin and not authority.super_admin:
        raise OnlySuperAdmin
    if user.status == "dismissed":
        raise StatusForbids("Take the dismissal back first.")
    await _replace(session, user, hashed)
    return user


async def activate(
    session: WriteSession, hasher: Hasher, authority: Authority, user_id: uuid.UUID, password: str | None
) -> User:
    """Make a user active, with a first password if they have none. Raises NotActivated, StatusForbids, UnacceptablePassword."""
    seen = store.as_user(await store.own(session, user_id))
    if password is not None:
        check_new(seen, password)
    hashed = await hasher.hash(password) if password is not None else None
    await organisation.lock(session)
    user = await locked(session, user_id)
    if hashed is None and await credentials.password_hash(session, user_id) is None:
        raise NotActivated
    user = await actions.set_status(session, authority, user, "activate")
    if hashed is not None:
        await credentials.set_password(session, user_id, hashed)
    return user


async def issue_code(session: WriteSession, authority: Authority, user_id: uuid.UUID) -> ActivationCode:
    """A one-time code with which a user who waits for activation chooses a password; an earlier one is void.

    Raises StatusForbids, OnlySuperAdmin.
    """
    await organisation.lock(session)
    user = await locked(session, user_id)
    if user.status != "pending_activation":
        raise StatusForbids("Only somebody who waits for activation gets a code.")
    if user.super_admin and not authority.super_admin:
        raise OnlySuperAdmin
    code = ActivationCode(new_secret(), session.context.now + ACTIVATION_LIFE)
    await credentials.set_activation(session, user_id, secret_hash(code.code), code.expires_at)
    return code


async def choose(session: WriteSession, hasher: Hasher, code: str, password: str) -> User:
    """The new user's own choice; makes them active. Raises ActivationRefused, UnacceptablePassword."""
    code_hash = secret_hash(code)
    found = await credentials.by_activation(session, code_hash)
    if found is None or found["activation_expires_at"] <= session.context.now:
        raise ActivationRefused
    check_new(store.as_user(await store.own(session, found["user_id"])), password)
    hashed = await hasher.hash(password)
    await organisation.lock(session)
    user = await locked(session, found["user_id"])
    # Used meanwhile, or replaced by another code.
    if user.status != "pending_activation" or await credentials.by_activation(session, code_hash) is None:
        raise ActivationRefused
    # The administrator who issued the code decided; the code stands for that.
    user = await actions.set_status(session, SYSTEM, user, "activate")
    await credentials.set_password(session, user.id, hashed)
    return user


async def change_own(session: WriteSession, user_id: uuid.UUID, checked: str, hashed: str, keep: uuid.UUID) -> None:
    """Store what the user chose; all their other sessions end, this one (`keep`) refreshes. checked: the hash verified before.

    Raises WrongPassword when somebody else changed the password since.
    """
    user = await locked(session, user_id)
    if await credentials.password_hash(session, user_id) != checked:
        raise WrongPassword
    await _replace(session, user, hashed, keep=keep)


async def locked(session: WriteSession, user_id: uuid.UUID) -> User:
    """The locked user. Raises UserNotFound."""
    rows = await store.locked(session, [user_id])
    if user_id not in rows:
        raise UserNotFound
    return store.as_user(rows[user_id])


async def _replace(session: WriteSession, user: User, hashed: str, *, keep: uuid.UUID | None = None) -> None:
    sessions = await ending.lock_open(session, [user.id], but=keep)
    await credentials.set_password(session, user.id, hashed)
    await actions.revoke_tokens(session, user)
    await ending.end(session, sessions, "password_changed")

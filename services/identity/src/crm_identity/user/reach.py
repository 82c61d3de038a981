"""Whom a caller sees and may change (ID-8, ID-18): the scopes over `identity.user`."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass

from crm_authz import Scope
from crm_database import WriteSession
from crm_identity.organisation import store as organisation
from crm_identity.user import store
from crm_identity.user.batch import OutOfReach
from crm_identity.user.password import locked
from crm_identity.user.people import User


@dataclass(frozen=True)
class Reach:
    """read, write: the caller's scopes over `identity.user`. caller_id: who always sees themself."""

    read: Scope
    write: Scope
    caller_id: uuid.UUID

    def require(self, user_id: uuid.UUID | None) -> None:
        """Raises OutOfReach (403) for a user whom the caller may see but not change."""
        if not self.write.reaches(user_id):
            raise OutOfReach


async def require_changeable(session: WriteSession, reach: Reach, user_id: uuid.UUID) -> None:
    """Raises UserNotFound for somebody whom the caller doesn't see, OutOfReach for whom it may not change."""
    await store.one(session, reach.read, user_id, self_id=reach.caller_id)
    reach.require(user_id)


async def lock_changeable(
    session: WriteSession, reach: Reach, user_id: uuid.UUID, admits: Callable[[int], None]
) -> User:
    """The locked user, under organisation.lock. admits: raises when the version is not the expected one.

    Raises UserNotFound, OutOfReach.
    """
    await require_changeable(session, reach, user_id)
    await organisation.lock(session)
    user = await locked(session, user_id)
    admits(session.held[store.TABLE, user_id])
    return user

"""End sessions: one's own, or a user's."""

import uuid

from crm_database import Database, WriteContext, WriteSession
from crm_identity.session import ending, store
from crm_identity.session.rules import EndReason, SessionNotFound


async def end_own(session: WriteSession, session_id: uuid.UUID, user_id: uuid.UUID, reason: EndReason) -> None:
    """End a session of this user. Raises SessionNotFound, also for somebody else's."""
    row = await store.locked(session, session_id)
    if row["user_id"] != user_id:
        raise SessionNotFound
    await ending.end(session, [row], reason)


async def end_all(session: WriteSession, user_id: uuid.UUID) -> None:
    """End all sessions of a user; whom the caller may change (checked before)."""
    await ending.end(session, await ending.lock_open(session, [user_id]), "ended")


async def revoke_session(database: Database, session_id: uuid.UUID, user_id: uuid.UUID, context: WriteContext) -> None:
    """End a session whose token was handed in."""
    async with database.write(context) as session:
        await end_own(session, session_id, user_id, "revoked")

"""Refresh tokens rotate; one that comes again too late means that two hold it, and ends the session (ID-23)."""

from typing import Any

from crm_database import Database, WriteContext, WriteSession
from crm_identity.credential.rules import secret_hash
from crm_identity.session import ending, store
from crm_identity.session.login import Desk, Tokens, hand_out
from crm_identity.session.rules import InvalidGrant, RefreshVerdict, judge_refresh
from crm_identity.user import store as users


class RefreshRefused(InvalidGrant):
    code = "oauth.refresh_refused"
    title = "The refresh token is not valid (any more); log in again"


async def refresh(desk: Desk, database: Database, token: str, client: str, context: WriteContext) -> Tokens:
    """Fresh tokens for a refresh token. Raises RefreshRefused, NoSigningKey, RightsTooLarge."""
    token_hash = secret_hash(token)
    async with database.read() as session:
        found = await store.find_token(session, token_hash)
    if found is None:
        raise RefreshRefused
    known = WriteContext(
        now=context.now,
        actor_kind="user",
        actor_id=found["user_id"],
        channel=context.channel,
        address=context.address,
        client=client,
        traceparent=context.traceparent,
    )
    tokens: Tokens | None = None
    async with database.write(known) as session:
        # First the user, then the session: whoever deactivates the user takes them in this order, too.
        user = await users.kept(session, found["user_id"])
        login = await store.locked(session, found["session_id"])
        verdict = await _judge(desk, session, token_hash, login, client)
        if verdict == "reuse":
            await ending.end(session, [login], "refresh_reuse")
        elif verdict == "rotate" and user["status"] == "active":
            await store.use_token(session, token_hash)
            tokens = await hand_out(desk, session, user, login, login["expires_at"])
    # Refused only now: the end of the session is committed.
    if tokens is None:
        raise RefreshRefused
    return tokens


async def _judge(desk: Desk, session: WriteSession, token_hash: bytes, login: Any, client: str) -> RefreshVerdict:
    row = await store.token(session, token_hash)
    if row is None or login["client"] != client:
        return "expired"
    return judge_refresh(
        now=session.context.now,
        used_at=row["used_at"],
        token_expires_at=row["expires_at"],
        session_expires_at=login["expires_at"],
        ended=login["ended_at"] is not None,
        life=desk.life,
    )


async def revoke(database: Database, token: str, client: str, context: WriteContext) -> None:
    """End the session of a refresh token; nothing happens for one that is not known, or another client's."""
    async with database.write(context) as session:
        found = await store.find_token(session, secret_hash(token))
        if found is None:
            return
        login = await store.locked(session, found["session_id"])
        if login["client"] == client:
            await ending.end(session, [login], "revoked")

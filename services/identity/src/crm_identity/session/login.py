"""Logging in with a password: guarded, in constant time, and committed step by step (ID-20, ID-25).

No database connection is held while the password is hashed, or a queue of guesses would take them all.
"""

import datetime as dt
import uuid
from dataclasses import dataclass, field
from typing import Any

from crm_authz.issuer import TokenIssuer
from crm_authz.tokens import LONGEST_LIFE
from crm_contracts.identity import SessionStarted
from crm_database import Database, WriteContext, WriteSession
from crm_events.record import Step
from crm_identity.announce import announce
from crm_identity.credential import store as credentials
from crm_identity.credential.hashing import Hasher
from crm_identity.credential.rules import new_secret, secret_hash
from crm_identity.session import access, guard, store
from crm_identity.session.rules import InvalidGrant, SessionLife
from crm_identity.session.tables import login_session
from crm_identity.signing_key.actions import KeyRing
from crm_identity.user import store as users
from crm_identity.user.rules import login_keys
from crm_kernel import new_id


@dataclass
class Desk:
    """What logging in needs, one per process."""

    keys: KeyRing
    issuer: TokenIssuer
    hasher: Hasher
    life: SessionLife = field(default_factory=SessionLife)
    turns: guard.Turns = field(default_factory=guard.Turns)


@dataclass(frozen=True)
class Attempt:
    """Who tries to log in, with what, and from where. client: the OAuth client."""

    login: str
    password: str
    client: str
    user_agent: str | None = None


@dataclass(frozen=True)
class Tokens:
    """What a client gets. expires_in: seconds that the access token lives."""

    access_token: str
    refresh_token: str
    expires_in: int = LONGEST_LIFE


async def log_in(desk: Desk, database: Database, attempt: Attempt, context: WriteContext) -> Tokens:
    """Raises InvalidGrant, TooManyAttempts, HashingBusy, NoSigningKey. context: when, from where; nobody is known yet."""
    email_key, mobile = login_keys(attempt.login)
    async with database.read() as session:
        found = await users.by_login(session, email_key, mobile)
    # Unknown logins are counted, hashed and answered like known ones.
    account = str(found["id"]) if found else f"unknown:{mobile or email_key}"
    stored = found["password_hash"] if found else None
    counted = guard.subjects(account, context.address)
    async with desk.turns.turn(account):
        async with database.write(context) as session:
            await guard.begin(session, counted)
        if not await desk.hasher.verify(stored, attempt.password) or found is None or stored is None:
            raise InvalidGrant
        fresh = await desk.hasher.hash(attempt.password) if desk.hasher.outdated(stored) else None
        known = WriteContext(
            now=context.now,
            actor_kind="user",
            actor_id=found["id"],
            channel=context.channel,
            address=context.address,
            client=attempt.client,
            traceparent=context.traceparent,
        )
        async with database.write(known) as session:
            user = await users.kept(session, found["id"])
            # What was checked is what counts now: not deactivated, not another password since.
            if user["status"] != "active" or await credentials.password_hash(session, user["id"]) != stored:
                raise InvalidGrant
            if fresh is not None:
                await credentials.replace_hash(session, user["id"], stored, fresh)
            tokens = await _start(desk, session, user, attempt)
            await guard.succeeded(session, counted)
        return tokens


async def _start(desk: Desk, session: WriteSession, user: Any, attempt: Attempt) -> Tokens:
    now = session.context.now
    session_id = new_id()
    login = {"id": session_id, "client": attempt.client, "user_id": user["id"]}
    expires_at = now + desk.life.absolute
    await announce(
        session,
        [
            Step(
                table=login_session,
                id=session_id,
                event=SessionStarted,
                state={"user_id": user["id"], "client": attempt.client, "started_at": now},
                values={
                    "user_id": user["id"],
                    "client": attempt.client,
                    "address": session.context.address,
                    "user_agent": attempt.user_agent,
                    "started_at": now,
                    "expires_at": expires_at,
                },
                new=True,
            )
        ],
    )
    return await hand_out(desk, session, user, login, expires_at)


async def hand_out(desk: Desk, session: WriteSession, user: Any, login: Any, expires_at: dt.datetime) -> Tokens:
    """A fresh pair of tokens of a session (id, client). expires_at: the session's end."""
    now = session.context.now
    secret = new_secret()
    await store.add_token(session, secret_hash(secret), login["id"], min(now + desk.life.idle, expires_at))
    return Tokens(await access.issue(session, desk.keys, desk.issuer, user, login, now), secret)


async def check_password(
    desk: Desk, database: Database, user_id: uuid.UUID, password: str, context: WriteContext
) -> str | None:
    """The stored hash when the password is right, else None; counted and guarded like a log-in. Raises TooManyAttempts."""
    async with database.read() as session:
        stored = await credentials.password_hash(session, user_id)
    counted = guard.subjects(str(user_id), context.address)
    async with desk.turns.turn(str(user_id)):
        async with database.write(context) as session:
            await guard.begin(session, counted)
        if not await desk.hasher.verify(stored, password):
            return None
        async with database.write(context) as session:
            await guard.succeeded(session, counted)
        return stored

"""Sessions over HTTP: a user sees and ends their own, an administrator anyone's (ID-23)."""

import datetime as dt
import uuid
from typing import Any

from pydantic import BaseModel

from crm_identity.session import actions, store
from crm_identity.session.rules import SessionNotFound
from crm_identity.user import reach
from crm_identity.user.batch import OutOfReach
from crm_identity.user.routes import reach_of
from crm_identity.user.rules import UserNotFound
from crm_identity.user.store import one as visible_user
from crm_web import ReadUnit, Router, WriteUnit

router = Router("identity", tag="Sessions")

_EXAMPLE = {
    "id": "01900000-0000-7000-8000-000000000007",
    "client": "console",
    "address": "203.0.113.7",
    "user_agent": "Mozilla/5.0",
    "started_at": "2026-03-01T09:00:00Z",
    "last_used_at": "2026-03-01T09:30:00Z",
    "expires_at": "2026-03-31T09:00:00Z",
    "current": True,
}


class Session(BaseModel):
    """One log-in. last_used_at: when it last got an access token. expires_at: at the latest. current: the one that asks."""

    id: uuid.UUID
    client: str
    address: str | None
    user_agent: str | None
    started_at: dt.datetime
    last_used_at: dt.datetime | None
    expires_at: dt.datetime
    current: bool


class SessionList(BaseModel):
    """The open sessions, newest first; at most 200."""

    items: list[Session]
    next: None = None


@router.get("/sessions", access="authenticated", example={"items": [_EXAMPLE], "next": None})
async def list_sessions(unit: ReadUnit) -> SessionList:
    """The caller's open sessions."""
    rows = await store.open_of(unit.session, unit.caller.user_id, unit.now)
    return _list(rows, unit.caller.session_id)


@router.delete("/sessions/{id}", access="authenticated", status=204, errors=[SessionNotFound])
async def end_session(id: uuid.UUID, unit: WriteUnit) -> None:
    """End one of the caller's sessions."""
    await actions.end_own(unit.session, id, unit.caller.user_id, "ended")


@router.get(
    "/users/{id}/sessions",
    permission="identity.user:end_sessions",
    scoped=True,
    errors=[UserNotFound],
    example={"items": [_EXAMPLE], "next": None},
)
async def list_user_sessions(id: uuid.UUID, unit: ReadUnit) -> SessionList:
    """A user's open sessions."""
    scope = unit.scope("identity.user", "read")
    await visible_user(unit.session, scope, id, self_id=unit.caller.user_id)
    return _list(await store.open_of(unit.session, id, unit.now), unit.caller.session_id)


@router.delete(
    "/users/{id}/sessions",
    permission="identity.user:end_sessions",
    scoped=True,
    status=204,
    errors=[UserNotFound, OutOfReach],
)
async def end_user_sessions(id: uuid.UUID, unit: WriteUnit) -> None:
    """End all sessions of a user."""
    await reach.require_changeable(unit.session, reach_of(unit), id)
    await actions.end_all(unit.session, id)


@router.delete(
    "/users/{id}/sessions/{session_id}",
    permission="identity.user:end_sessions",
    scoped=True,
    status=204,
    errors=[UserNotFound, SessionNotFound, OutOfReach],
)
async def end_user_session(id: uuid.UUID, session_id: uuid.UUID, unit: WriteUnit) -> None:
    """End one session of a user."""
    await reach.require_changeable(unit.session, reach_of(unit), id)
    await actions.end_own(unit.session, session_id, id, "ended")


def _list(rows: list[Any], current: uuid.UUID) -> SessionList:
    kept = [name for name in Session.model_fields if name != "current"]
    return SessionList(
        items=[Session(**{name: row[name] for name in kept}, current=row["id"] == current) for row in rows]
    )

"""Ending sessions: from the commit on no token of theirs counts here, and within a second nowhere (ID-24)."""

import uuid
from collections.abc import Collection, Sequence
from typing import Any

from crm_contracts.identity import SessionEnded
from crm_database import WriteSession
from crm_events.record import Step
from crm_identity.announce import announce
from crm_identity.session import store
from crm_identity.session.rules import EndReason
from crm_identity.session.tables import login_session


async def lock_open(
    session: WriteSession, user_ids: Collection[uuid.UUID], *, but: uuid.UUID | None = None
) -> list[Any]:
    """The open sessions of users, locked; without the one named by `but`. Before anything is announced (see announce)."""
    rows = await store.locked_open(session, user_ids)
    return [row for row in rows if row["id"] != but]


async def end(session: WriteSession, rows: Sequence[Any], reason: EndReason) -> None:
    """End locked sessions."""
    now = session.context.now
    await announce(
        session,
        [
            Step(
                table=login_session,
                id=row["id"],
                event=SessionEnded,
                state={
                    "user_id": row["user_id"],
                    "client": row["client"],
                    "started_at": row["started_at"],
                    "ended_at": now,
                    "reason": reason,
                },
                values={"ended_at": now, "reason": reason},
            )
            for row in rows
            if row["ended_at"] is None
        ],
    )

"""What everybody changes about themself."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from crm_authz import Principal
from crm_database import Database, WriteContext, WriteSession
from crm_identity.credential.rules import WrongPassword
from crm_identity.session.login import Desk, check_password
from crm_identity.user import actions, password, store
from crm_identity.user.actions import Settled


async def change_settings(
    session: WriteSession, user_id: uuid.UUID, fields: Mapping[str, Any], *, admits: Callable[[int], None]
) -> None:
    """fields: locale, time_zone. They touch nobody else, so nothing needs to be settled."""
    user = await password.locked(session, user_id)
    admits(session.held[store.TABLE, user_id])
    await actions.write(session, [Settled(user, replace(user, **fields))])


async def change_password(
    desk: Desk, database: Database, caller: Principal, current: str, new: str, context: WriteContext
) -> None:
    """Raises WrongPassword, UnacceptablePassword, TooManyAttempts. The present password first: who has only a token learns nothing."""
    checked = await check_password(desk, database, caller.user_id, current, context)
    if checked is None:
        raise WrongPassword
    async with database.read() as reading:
        user = store.as_user(await store.own(reading, caller.user_id))
    password.check_new(user, new, pointer="/new_password")
    hashed = await desk.hasher.hash(new)
    known = WriteContext(
        now=context.now,
        actor_kind="user",
        actor_id=caller.user_id,
        channel=context.channel,
        address=context.address,
        client=caller.client_id,
        traceparent=context.traceparent,
    )
    async with database.write(known) as session:
        await password.change_own(session, caller.user_id, checked, hashed, caller.session_id)

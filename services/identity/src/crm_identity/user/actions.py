"""Create and change users, one or many, and their status. Every change is settled against everybody (user.people)."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from crm_contracts.control import ALL
from crm_contracts.identity import UserChanged, UserCreated, UserSessionsRevoked
from crm_database import ReadSession, WriteSession
from crm_events.record import Step, changes_between
from crm_identity.announce import announce
from crm_identity.organisation import store as organisation
from crm_identity.role import actions as roles
from crm_identity.session import ending
from crm_identity.session.rules import EndReason
from crm_identity.user import store
from crm_identity.user.people import Authority, People, User
from crm_identity.user.rules import OnlySuperAdmin, StatusAction, next_status
from crm_identity.user.tables import app_user
from crm_kernel import new_id

_END_REASONS: Mapping[str, EndReason] = {"inactive": "deactivated", "dismissed": "dismissed"}


@dataclass(frozen=True)
class Settled:
    """A user as it was and as it will be. before None: a new one."""

    before: User | None
    after: User


async def authority_of(session: ReadSession, user_id: uuid.UUID) -> Authority:
    """What somebody may give to others, as of now."""
    row = await store.own(session, user_id)
    if row["super_admin"]:
        return Authority(super_admin=True)
    rights = await roles.rights(session)
    return Authority(super_admin=False, roles=[rights[role] for role in row["role_ids"] if role in rights])


async def people(session: WriteSession) -> People:
    """Everybody, for settling. Take organisation.lock before: then it stays so until the transaction ends."""
    return People(
        everybody=await store.everybody(session),
        departments=await organisation.live_departments(session),
        roles=await roles.rights(session),
        super_admin_role=await roles.super_admin_role(session),
        services=ALL,
    )


async def create(session: WriteSession, authority: Authority, fields: Mapping[str, Any]) -> User:
    """A new user, waiting for activation unless `status` says otherwise. Raises the refusals of user.rules."""
    await organisation.lock(session)
    everybody = await people(session)
    user = everybody.settle(authority, None, User(id=new_id(), **fields))
    await write(session, [Settled(None, user)])
    return user


async def change(session: WriteSession, authority: Authority, before: User, fields: Mapping[str, Any]) -> User:
    """Change what `fields` names. `before` is the locked row (store.locked), read under organisation.lock.

    Raises the refusals of user.rules.
    """
    everybody = await people(session)
    after = everybody.settle(authority, before, replace(before, **fields))
    await write(session, [Settled(before, after)])
    return after


async def set_status(session: WriteSession, authority: Authority, before: User, action: StatusAction) -> User:
    """Activate, deactivate, dismiss, reinstate; leaving `active` ends all sessions. `before` as for `change`.

    Raises StatusForbids, OnlySuperAdmin, LastSuperAdmin.
    """
    status = next_status(before.status, action)
    if action == "reinstate" and not authority.super_admin:
        raise OnlySuperAdmin
    reason = _END_REASONS.get(status)
    sessions = await ending.lock_open(session, [before.id]) if reason else []
    after = await change(session, authority, before, {"status": status})
    if reason:
        await ending.end(session, sessions, reason)
    return after


async def revoke_tokens(session: WriteSession, user: User) -> User:
    """Make all access tokens issued so far worthless: the epoch rises. The user's row must be locked."""
    after = replace(user, epoch=user.epoch + 1)
    await announce(
        session,
        [
            Step(
                table=app_user,
                id=user.id,
                event=UserSessionsRevoked,
                state=state(after),
                values={"epoch": after.epoch, "updated_at": session.context.now},
            )
        ],
    )
    return after


async def write(session: WriteSession, settled: Sequence[Settled]) -> None:
    """Write and tell what differs; new users in the order given (superiors first)."""
    now = session.context.now
    created = [
        Step(
            table=app_user,
            id=one.after.id,
            event=UserCreated,
            state=state(one.after),
            values={**store.values(one.after), "created_at": now, "updated_at": now},
            new=True,
        )
        for one in settled
        if one.before is None
    ]
    changed = [
        Step(
            table=app_user,
            id=one.after.id,
            event=UserChanged,
            state=state(one.after),
            values={**store.values(one.after), "updated_at": now},
            changes=changes_between(_told(one.before), _told(one.after)),
        )
        for one in settled
        if one.before is not None and one.before != one.after
    ]
    await announce(session, created)
    await announce(session, changed)


def state(user: User) -> dict[str, Any]:
    """A user as events tell it."""
    return {
        "name": user.name,
        "email": user.email,
        "mobile": user.mobile,
        "status": user.status,
        "department_id": user.department_id,
        "position": user.position,
        "superior_id": user.superior_id,
        "role_ids": list(user.role_ids),
        "super_admin": user.super_admin,
        "locale": user.locale,
        "time_zone": user.time_zone,
        "epoch": user.epoch,
    }


def _told(user: User) -> dict[str, Any]:
    """What the history shows of a change: the gender, too, which the other services don't need; not the epoch."""
    return {**{name: value for name, value in state(user).items() if name != "epoch"}, "gender": user.gender}

"""Whether a verified token still counts (ID-24): after every change of rights, older tokens are refused."""

import datetime as dt
import uuid
from collections.abc import Mapping
from typing import Final, Protocol

from crm_authz.people import Role, User
from crm_authz.principal import Principal
from crm_authz.refusals import DirectoryBehind, TokenStale

#: Who has heard no heartbeat of identity for this long is deaf, and then believes only tokens issued within this time.
DEAF_AFTER: Final = dt.timedelta(seconds=30)


class Known(Protocol):
    """What the directory knows of users, roles and sessions."""

    @property
    def heard_at(self) -> dt.datetime | None: ...

    @property
    def users(self) -> Mapping[uuid.UUID, User]: ...

    @property
    def roles(self) -> Mapping[uuid.UUID, Role]: ...

    @property
    def ended_sessions(self) -> Mapping[uuid.UUID, dt.datetime]: ...


def is_deaf(known: Known, now: dt.datetime) -> bool:
    """Whether identity's heartbeat is missing: then a withdrawn right may not have been heard of."""
    return known.heard_at is None or now - known.heard_at > DEAF_AFTER


def admit(principal: Principal, known: Known, now: dt.datetime) -> None:
    """Return when the token counts.

    Raises TokenStale when it is older than what the directory knows, or too old to be believed by a deaf service; DirectoryBehind
    when it is newer. What is surely stale is said first: waiting would not help it.
    """
    user = known.users.get(principal.user_id)
    if _is_stale(principal, user, known, now):
        raise TokenStale
    if (
        user is None
        or principal.epoch > user.epoch
        or any(_is_news(known, *held) for held in principal.role_epochs.items())
    ):
        raise DirectoryBehind


def _is_stale(principal: Principal, user: User | None, known: Known, now: dt.datetime) -> bool:
    if principal.session_id in known.ended_sessions:
        return True
    if is_deaf(known, now) and now - principal.issued_at > DEAF_AFTER:
        return True
    for role_id, epoch in principal.role_epochs.items():
        role = known.roles.get(role_id)
        if role is not None and (role.deleted or epoch < role.epoch):
            return True
    if user is None or principal.epoch > user.epoch:
        # Nothing can be held against it that the newer state may have changed again: reactivation, for example.
        return False
    if principal.epoch < user.epoch or not user.active:
        return True
    # At the same epoch the token's roles are among the user's. (A deleted role may have left the user's list without a new epoch.)
    return not principal.role_epochs.keys() <= set(user.role_ids)


def _is_news(known: Known, role_id: uuid.UUID, epoch: int) -> bool:
    role = known.roles.get(role_id)
    return role is None or epoch > role.epoch

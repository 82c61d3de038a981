"""Who is calling: from the bearer token to a principal that the directory admits, once per request."""

import datetime as dt
from typing import Protocol

from crm_authz import Directory, DirectoryBehind, DirectoryKeeper, Principal, TokenVerifier, keeper_of
from crm_authz.keeper import LOOK_EVERY
from crm_database import Database
from crm_kernel import Clock
from crm_kernel.errors import Unauthenticated
from crm_web.settings import Settings


class TokenMissing(Unauthenticated):
    """401: no bearer token at all."""

    code = "token.missing"
    title = "An access token is needed"


class Security(Protocol):
    """Answers who a token stands for, as of now."""

    async def admit(
        self, token: str, database: Database, now: dt.datetime, *, fresh: bool = False
    ) -> tuple[Principal, Directory]:
        """The principal, and the directory that admits it.

        fresh: a directory looked at after this call began, not one of some milliseconds before (PL-13).

        Raises Unauthenticated (token.invalid, token.expired, token.stale), Unavailable when the directory can't tell yet.
        """
        ...

    async def health(self, database: Database, now: dt.datetime) -> tuple[str | None, str | None]:
        """For `/readyz`: (why no request can be answered, what is wrong otherwise); None where nothing is."""
        ...


class DirectorySecurity:
    """The Security of every service: verifies with the directory's keys, admits by the directory's epochs."""

    def __init__(self, verifier: TokenVerifier, keeper: DirectoryKeeper) -> None:
        self._verifier = verifier
        self._keeper = keeper

    async def admit(
        self, token: str, database: Database, now: dt.datetime, *, fresh: bool = False
    ) -> tuple[Principal, Directory]:
        """See Security.admit."""
        directory = await self._keeper.current(database, at_most=0.0 if fresh else LOOK_EVERY)
        if not directory.keys:
            # As at the gateway: before the first keys nothing can be said of any token, also not that it is wrong.
            raise DirectoryBehind("The keys that verify access tokens are not known here yet")
        principal = self._verifier.verify(token, directory.keys, max(now, self._keeper.time()))
        return principal, await self._keeper.admit(database, principal)

    async def health(self, database: Database, now: dt.datetime) -> tuple[str | None, str | None]:
        """See Security.health."""
        directory = await self._keeper.current(database)
        if not directory.keys or not directory.users:
            # Only before the first start's events have arrived: what was heard once stays, also when the bus is away.
            return "directory: identity's users and keys have not arrived yet", None
        return None, "identity was not heard for 30 s: only fresh tokens are taken" if directory.is_deaf(now) else None


def clock_complaint(keeper: DirectoryKeeper) -> str | None:
    """For `/livez`: that the clock was set back since this process began, or None.

    Until it is started anew it takes no token that ended by the time that passed. Should the clock be right now, those are also
    identity's newest, and the start is what helps: only then it can take the new time for the right one.
    """
    back = int(keeper.set_back().total_seconds())
    return f"the clock was set back by {back} s" if back else None


def directory_security(settings: Settings, database: Database, clock: Clock) -> DirectorySecurity:
    """What a service uses when nothing else is given."""
    return DirectorySecurity(TokenVerifier(settings.public_url), keeper_of(database, clock))

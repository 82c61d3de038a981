"""Login protection: at most so many guesses are evaluated, however many come at once and to however many processes (ID-25)."""

import asyncio
import datetime as dt
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from math import ceil

from crm_database import WriteSession
from crm_identity.session import guard_store as store
from crm_identity.session.rules import (
    ACCOUNT_LIMITS,
    ADDRESS_LIMITS,
    PAIR_LIMITS,
    Guard,
    GuardLimits,
    TooManyAttempts,
    admit,
)

#: So many attempts on one account may wait for their turn in one process.
MOST_WAITING = 50


def subjects(account: str, address: str | None) -> dict[str, GuardLimits]:
    """What one attempt counts for. account: the user's id, or what was typed where nobody has that login."""
    name = hashlib.sha256(account.encode()).hexdigest()
    found = {f"account:{name}": ACCOUNT_LIMITS}
    if address:
        found |= {f"address:{address}": ADDRESS_LIMITS, f"pair:{name}:{address}": PAIR_LIMITS}
    else:
        # Nobody came through the gateway: the strict limit counts for the account itself.
        found = {f"account:{name}": PAIR_LIMITS}
    return found


async def begin(session: WriteSession, counted: Mapping[str, GuardLimits]) -> None:
    """Count an attempt as failed before it is evaluated, in a transaction of its own, committed before the password is looked at.

    Raises TooManyAttempts, with Retry-After, when one of the limits is reached; then nothing is counted.
    """
    now = session.context.now
    guards = await store.locked(session, list(counted))
    judged = {subject: admit(guards[subject], limits, now) for subject, limits in counted.items()}
    waits = [answer for answer in judged.values() if isinstance(answer, dt.timedelta)]
    if waits:
        raise TooManyAttempts(headers={"Retry-After": str(ceil(max(waits).total_seconds()))})
    await store.write(session, {subject: guard for subject, guard in judged.items() if isinstance(guard, Guard)})


async def succeeded(session: WriteSession, counted: Mapping[str, GuardLimits]) -> None:
    """The attempt was right: the account starts afresh; the address gets back what `begin` counted, and no more.

    Otherwise whoever has one account of their own could guess at others' for ever.
    """
    await store.locked(session, list(counted))
    await store.forget(session, [subject for subject in counted if not subject.startswith("address:")])
    await store.give_back(
        session, [subject for subject in counted if subject.startswith("address:")], ADDRESS_LIMITS.free
    )


class Turns:
    """One attempt per account at a time within this process, so that a person's own parallel log-ins all succeed."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._interested: dict[str, int] = {}

    @asynccontextmanager
    async def turn(self, account: str) -> AsyncIterator[None]:
        """Raises TooManyAttempts when too many wait already."""
        waiting = self._interested.get(account, 0)
        if waiting > MOST_WAITING:
            raise TooManyAttempts(headers={"Retry-After": "1"})
        self._interested[account] = waiting + 1
        lock = self._locks.setdefault(account, asyncio.Lock())
        try:
            async with lock:
                yield
        finally:
            self._interested[account] -= 1
            if not self._interested[account]:
                del self._interested[account], self._locks[account]

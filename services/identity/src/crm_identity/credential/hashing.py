"""Argon2id, off the event loop and bounded.

Parameters: OWASP's first choice (19 MiB, 2 passes, 1 lane), about 25 ms of one core. More would be better against somebody who
stole the database, and worse for everybody who logs in on a small machine: two cores verify about 60 log-ins per second with
these, 45 imported users take about one second. Stored hashes name their parameters, so raising them later rehashes at log-in.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from crm_kernel import Unavailable

TIME_COST = 2
MEMORY_KIB = 19_456
LANES = 1

#: Hash of a password that nobody knows: checked where there is no user or no password, so that the answer takes as long.
DUMMY_HASH = "$argon2id$v=19$m=19456,t=2,p=1$9vy3uhP1Lc3fu0C3V2xUDQ$y08FffeX3d97+0QcWzMl4GTIJlvt3WJMWKjpX8QFOnk"


T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class HashingBusy(Unavailable):
    code = "password.busy"
    title = "Too many passwords are being checked at once"


class Hasher:
    """Hashes and verifies passwords in `workers` threads; at most `waiting` more wait, beyond that it refuses."""

    def __init__(self, *, workers: int = 2, waiting: int = 2000) -> None:
        self._argon2 = PasswordHasher(time_cost=TIME_COST, memory_cost=MEMORY_KIB, parallelism=LANES)
        self._workers = workers
        self._limit = workers + waiting
        self._pending = 0
        # Made at the first use: a process may be forked before that, and threads don't survive a fork.
        self._threads: ThreadPoolExecutor | None = None

    async def hash(self, password: str) -> str:
        """The PHC string to store. Raises HashingBusy."""
        return await self._run(self._argon2.hash, password)

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether the password is the one that was hashed; takes as long when there is none. Raises HashingBusy."""
        right = await self._run(self._verify, stored or DUMMY_HASH, password)
        return right and stored is not None

    def outdated(self, stored: str) -> bool:
        """Whether a hash was made with other parameters than the present ones."""
        return self._argon2.check_needs_rehash(stored)

    def hash_now(self, password: str) -> str:
        """The same as `hash`, for code without an event loop."""
        return self._argon2.hash(password)

    def close(self) -> None:
        """Let the threads go; what waits is given up."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._argon2.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, call: Callable[[*Ts], T], *arguments: *Ts) -> T:
        if self._pending >= self._limit:
            raise HashingBusy
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._workers, thread_name_prefix="argon2")
        self._pending += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)
        finally:
            self._pending -= 1

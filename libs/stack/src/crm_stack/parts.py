"""The parts of a stack as the supervisor handles them: something that can be started, asked and ended.

A part knows nothing of restarts, back-off or other parts; see `watch`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from crm_stack.ports import holder, is_free
from crm_stack.process import ProcessDidNotEnd, ProcessIdentity, spawn

Steps = Sequence[tuple[int, float]]


class PartDidNotStart(Exception):
    """A part could not even be started; the text says why."""


class Part(Protocol):
    """One process of the stack."""

    @property
    def name(self) -> str:
        """How people call it."""
        ...

    @property
    def port(self) -> int | None:
        """Where it listens, on 127.0.0.1."""
        ...

    @property
    def steps(self) -> Steps:
        """Signals that end it, each with the seconds it gets."""
        ...

    @property
    def limit_mb(self) -> int | None:
        """The resident memory above which it is started anew; None: no limit."""
        ...

    async def start(self) -> ProcessIdentity:
        """Start it, when what it needs is there; it may not be ready yet.

        Raises:
            PartDidNotStart: it is useless to wait for it.
        """
        ...

    async def is_ready(self) -> bool:
        """Whether it serves now."""
        ...

    async def is_alive(self) -> bool:
        """Whether it makes progress; one that doesn't for long is ended and started anew."""
        ...

    def how_it_ended(self) -> str:
        """In words, after its process ended."""
        ...


class CommandPart:
    """A part that is a program of its own, our child."""

    def __init__(
        self,
        name: str,
        port: int | None,
        *,
        command: Callable[[], Sequence[str]],
        ready: Callable[[], Awaitable[bool]],
        log: Path,
        steps: Steps,
        prepare: Callable[[], None] = lambda: None,
        environment: Mapping[str, str] | None = None,
        death_signal: int = signal.SIGTERM,
        limit_mb: int | None = None,
    ) -> None:
        """Args: `prepare` runs before every start; it writes files, ends leftovers, and may refuse by raising."""
        self.name = name
        self.port = port
        self.steps = steps
        self.limit_mb = limit_mb
        self._command = command
        self._ready = ready
        self._log = log
        self._prepare = prepare
        self._environment = environment
        self._death_signal = death_signal
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> ProcessIdentity:
        """See `Part`."""
        self._prepare()
        refuse_taken(self.port)
        process = spawn(
            self._command(),
            log=self._log,
            cwd=self._log.parent,
            env=self._environment,
            death_signal=self._death_signal,
        )
        self._process = process
        identity = ProcessIdentity.of(process.pid)
        if identity is None:
            raise PartDidNotStart(f"{self.name} {in_words(process.wait())} at once")
        return identity

    async def is_ready(self) -> bool:
        """See `Part`."""
        return await self._ready()

    async def is_alive(self) -> bool:
        """See `Part`. Nothing tells of these but that they serve."""
        return True

    def how_it_ended(self) -> str:
        """See `Part`."""
        return "" if self._process is None else in_words(self._process.wait())


def refuse_taken(port: int | None) -> None:
    """Check that a part's port is free: else another server's answers would be taken for its own.

    Raises:
        PartDidNotStart: it is taken; the text says by whom.
    """
    if port is not None and not is_free(port):
        raise PartDidNotStart(str(holder(port)))


def in_words(status: int) -> str:
    """What an exit status, as `subprocess` counts it, says."""
    return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with exit code {status}"


async def gone(identity: ProcessIdentity) -> None:
    """Wait until a process, our child or not, has ended."""
    try:
        descriptor = os.pidfd_open(identity.pid)
    except (AttributeError, OSError):  # No pidfd on this system, or the process is gone already.
        while identity.alive():  # noqa: ASYNC110  (no event tells of it here)
            await asyncio.sleep(0.1)
        return
    try:
        if not identity.alive():
            return
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        loop.add_reader(descriptor, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(descriptor)
    finally:
        os.close(descriptor)


async def end(identity: ProcessIdentity, steps: Steps) -> None:
    """End a process by its steps.

    Raises:
        ProcessDidNotEnd: it survived them all.
    """
    for number, seconds in steps:
        identity.signal(number)
        # Not wait_for: until Python 3.12 it forgets a cancellation that comes just when what it waits for is done.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await gone(identity)
            return
    raise ProcessDidNotEnd(f"process {identity.pid} survived {[signal.Signals(number).name for number, _ in steps]}")

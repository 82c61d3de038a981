"""Keeping one part running: start, ask, notice its end, wait a little longer each time, start again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from crm_stack.backoff import Backoff
from crm_stack.parts import Part, PartDidNotStart, end, gone
from crm_stack.postgres_account import NoAccountForPostgres
from crm_stack.postgres_files import PostgresDidNotStart
from crm_stack.process import ProcessIdentity
from crm_stack.status_file import PartStatus, State

ASK_WHILE_STARTING = 0.05
ASK_WHEN_READY = 2.0
"""Seconds between two readiness questions."""
SILENT_FOR = 3
"""How many questions in a row a ready part may leave without a good answer before it counts as not ready."""


class Watch:
    """One part, its status, and the task that keeps it running."""

    def __init__(
        self,
        part: Part,
        hold: Path,
        changed: Callable[[], None],
        lifeless_seconds: float,
        clock: Callable[[], float] = time.time,
    ):
        """Args: `hold` is the file whose existence keeps the part down; `changed` is called after each change."""
        self.part = part
        self.status = PartStatus(part.name, part.port)
        self.ready = asyncio.Event()
        self._hold = hold
        self._changed = changed
        self._lifeless_seconds = lifeless_seconds
        self._clock = clock
        self._nudged = asyncio.Event()
        self._process: ProcessIdentity | None = None
        self._ended_because = ""

    def nudge(self) -> None:
        """Look at the hold file now, and forget any waiting time."""
        self._nudged.set()

    async def run(self) -> None:
        """Keep the part running until cancelled; the process then still runs (see `stop`)."""
        backoff = Backoff()
        while True:
            await self._while_held()
            begun = time.monotonic()
            planned = False
            self._ended_because = ""
            self._say("starting")
            try:
                self._process = await self.part.start()
            except (PartDidNotStart, PostgresDidNotStart, NoAccountForPostgres, OSError) as refused:
                note = str(refused)
            else:
                self.status.pid, self.status.started = self._process.pid, self._process.started
                self.status.since = self._clock()
                self._changed()
                planned = await self._while_alive(self._process)
                note = self._ended_because or self.part.how_it_ended()
            self._process = None
            self.ready.clear()
            self.status.pid = self.status.started = self.status.since = None
            self.status.restarts += 1
            if planned:
                self.status.wipes += 1
                self._say("waiting", "emptied to free its memory")
                continue
            backoff = backoff.died(time.monotonic() - begun)
            self._say("waiting", note)
            await self._pause(backoff.delay)

    async def stop(self) -> None:
        """End the process, after `run` was cancelled.

        Raises:
            ProcessDidNotEnd: it survived all its signals.
        """
        self.ready.clear()
        if self._process is not None:
            await end(self._process, self.part.steps)
        self.status.pid = self.status.started = self.status.since = None
        self._say("stopped")

    async def _while_alive(self, process: ProcessIdentity) -> bool:
        """Ask until the process ends; whether it was ended on purpose, because of its memory."""
        ended = asyncio.create_task(gone(process))
        silent = 0
        came_up = planned = False
        alive_at = time.monotonic()
        try:
            while not ended.done():
                good = await self.part.is_ready()
                silent = 0 if good else silent + 1
                if good and not ended.done():
                    self.ready.set()
                    self._say("ready")
                elif silent >= SILENT_FOR and self.ready.is_set():
                    self.ready.clear()
                    self._say("unready", "does not answer")
                came_up = came_up or good
                # One that has not come up yet is not lifeless: it may wait for what it needs.
                if not came_up or await self.part.is_alive():
                    alive_at = time.monotonic()
                if self._hold.exists():
                    await end(process, self.part.steps)
                elif self._too_large(process):
                    planned = True
                    await end(process, self.part.steps)
                elif time.monotonic() - alive_at > self._lifeless_seconds:
                    self._ended_because = f"was ended: no sign of life for {self._lifeless_seconds:.0f} s"
                    await end(process, self.part.steps)
                await self._pause(ASK_WHEN_READY if self.ready.is_set() else ASK_WHILE_STARTING, ended)
            # How it ended is told by another way than that it ended, and may come a moment later.
            await asyncio.sleep(0.02)
        finally:
            ended.cancel()
        return planned

    def _too_large(self, process: ProcessIdentity) -> bool:
        limit = self.part.limit_mb
        return limit is not None and self.ready.is_set() and resident_mb(process.pid) > limit

    async def _while_held(self) -> None:
        while self._hold.exists():
            self._say("held", f"held by {self._hold}")
            await self._pause(1.0)

    async def _pause(self, seconds: float, ended: asyncio.Task[None] | None = None) -> None:
        """Wait, but not longer than until a nudge or the process's end."""
        nudged = asyncio.create_task(self._nudged.wait())
        waited = {nudged} if ended is None else {nudged, ended}
        try:
            await asyncio.wait(waited, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # Not waited for: a cancellation of our own that came meanwhile would be taken for its end.
            nudged.cancel()
        self._nudged.clear()

    def _say(self, state: State, note: str | None = None) -> None:
        """Set the state and tell, if it is another one. A note stays until the next, so that a restart is explained."""
        if (self.status.state, self.status.note) == (state, note if note is not None else self.status.note):
            return
        self.status.state = state
        if note is not None:
            self.status.note = note
        self._changed()


def resident_mb(pid: int) -> float:
    """The resident memory of a process in MB; 0 when it is gone."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return 0.0

"""The process that owns a stack: it starts the parts, keeps them running, tells how they are, and ends them.

Run as `python -m crm_stack.supervisor OPTIONS` (JSON, see `options`), or `supervise` in the foreground. It is steered by
signals and files only, so that nothing of it can be in the way when things go wrong: SIGTERM and SIGINT end the stack,
SIGUSR1 makes every watch look again (holds, waiting times), `state/status.json` tells.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import IO

from crm_stack import api_documents, databases
from crm_stack.log_files import rotate
from crm_stack.nursery_part import TaskFailed
from crm_stack.options import StackOptions
from crm_stack.parts import end
from crm_stack.port_plan import PortTaken, plan_ports
from crm_stack.postgres import PostgresServer, SqlFailed
from crm_stack.process import ProcessDidNotEnd, ProcessIdentity
from crm_stack.stack_parts import POSTGRES_NAME, StackParts, port_names
from crm_stack.status_file import StackStatus, read_status
from crm_stack.watch import Watch

logger = logging.getLogger("crm.supervisor")
_LEFTOVER_STEPS = ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0))
_ROTATE_EVERY = 30.0
_SETUP_ATTEMPTS = 5


class AlreadyRunning(Exception):
    """Another supervisor holds this folder."""


class SetupFailed(Exception):
    """The databases could not be brought up; the text says why."""


class Supervisor:
    """One stack, for as long as this process lives."""

    def __init__(self, options: StackOptions) -> None:
        self.options = options
        self.layout = options.layout
        identity = ProcessIdentity.of(os.getpid())
        assert identity is not None  # noqa: S101  (we are alive)
        self.status = StackStatus(identity.pid, identity.started, "", time.time(), services=options.services)
        self._watches: list[Watch] = []
        self._databases = asyncio.Event()
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Start everything, keep it running until told to stop, end everything.

        Raises:
            AlreadyRunning: nothing was changed.
            PortTaken: the gateway's port is somebody else's.
            SetupFailed: everything was ended again.
        """
        self.layout.make()
        with self.layout.lock.open("a") as lock:
            _take(lock)
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self._stop.set)
            loop.add_signal_handler(signal.SIGUSR1, self._nudge)
            await self._end_leftovers()
            try:
                await self._supervise()
            except (PortTaken, SetupFailed) as failed:
                self.status.phase, self.status.doing = "failed", str(failed)
                self._tell()
                raise

    async def _supervise(self) -> None:
        ports = plan_ports(self.layout.state / "ports.json", port_names(self.options), self.options.port)
        parts = StackParts(self.options, ports, self._databases_ready)
        self.status.address, self.status.kafka = parts.address, parts.kafka
        self._watches = [
            Watch(part, self.layout.holds / part.name, self._tell, self.options.lifeless_seconds)
            for part in parts.parts
        ]
        self.status.parts = [watch.status for watch in self._watches]
        self._tell()
        tasks: list[asyncio.Task[None]] = [
            asyncio.create_task(watch.run(), name=watch.part.name) for watch in self._watches
        ]
        tasks.append(asyncio.create_task(self._rotate_logs(), name="logs"))
        stopping = asyncio.create_task(self._wait_for_stop())
        setup = asyncio.create_task(self._set_up(parts))
        try:
            await asyncio.wait([*tasks, setup, stopping], return_when=asyncio.FIRST_COMPLETED)
            if setup.done() and not self._stop.is_set():
                setup.result()
                await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():  # They never end by themselves: this raises what ended it.
                    task.result()
        finally:
            for task in (*tasks, setup, stopping):
                task.cancel()
            await asyncio.gather(*tasks, setup, stopping, return_exceptions=True)
            await self._end_all()

    async def _set_up(self, parts: StackParts) -> None:
        """Databases, migrations, first administrator; then wait until every part is ready once."""
        postgres = next(watch for watch in self._watches if watch.part.name == POSTGRES_NAME)
        for attempt in range(1, _SETUP_ATTEMPTS + 1):
            await postgres.ready.wait()
            deaths = sum(watch.status.restarts for watch in self._watches)
            try:
                self._doing("creating databases")
                databases.create_databases(self.options, parts.postgres)
                self._doing("migrating databases")
                await databases.migrate(self.options, parts.nursery)
                self._doing("making the API documents")
                await api_documents.make(self.options, parts.nursery)
                self._doing("looking for the first administrator")
                self.status.administrator_created |= await databases.bootstrap(self.options, parts.nursery)
                break
            except databases.AdministratorRefused as refused:
                raise SetupFailed(str(refused)) from refused
            except (SqlFailed, TaskFailed) as failed:
                died = sum(watch.status.restarts for watch in self._watches) > deaths or not postgres.ready.is_set()
                if attempt == _SETUP_ATTEMPTS or not died:
                    raise SetupFailed(str(failed)) from failed
                # Something was killed under it. Everything above can be done again.
                logger.warning("setting up again: %s", failed)
        self._databases.set()
        self._doing("waiting for the services")
        for watch in self._watches:
            await watch.ready.wait()
        self.status.phase, self.status.doing = "ready", ""
        self._tell()

    async def _wait_for_stop(self) -> None:
        await self._stop.wait()

    async def _databases_ready(self) -> None:
        await self._databases.wait()

    async def _end_all(self) -> None:
        """Gateway and services first, together; then what they stand on."""
        if self.status.phase != "failed":
            self.status.phase, self.status.doing = "stopping", ""
        self._tell()
        below = {"nursery", "broker", POSTGRES_NAME}
        first = [watch for watch in self._watches if watch.part.name not in below]
        then = [watch for watch in reversed(self._watches) if watch.part.name in below]
        for group in (first, *([watch] for watch in then)):
            outcomes = await asyncio.gather(*(watch.stop() for watch in group), return_exceptions=True)
            for outcome in outcomes:
                if isinstance(outcome, ProcessDidNotEnd):
                    logger.error("%s", outcome)
                elif isinstance(outcome, BaseException):
                    raise outcome

    async def _end_leftovers(self) -> None:
        """End what a supervisor that was killed left running. Most of it ended with it; each gets time to do so."""
        before = read_status(self.layout)
        if before is not None:
            parts = [part for part in before.parts if part.name != POSTGRES_NAME and part.identity is not None]
            left = [part.identity for part in parts if part.identity is not None and part.identity.alive()]
            if left:
                logger.warning("ending %d processes that an earlier supervisor left", len(left))
            await asyncio.gather(*(end(identity, _LEFTOVER_STEPS) for identity in left))
        PostgresServer(self.layout.postgres).end_leftovers()

    async def _rotate_logs(self) -> None:
        while True:
            rotate(self.layout.logs)
            await asyncio.sleep(_ROTATE_EVERY)

    def _nudge(self) -> None:
        for watch in self._watches:
            watch.nudge()

    def _doing(self, what: str) -> None:
        self.status.doing = what
        self._tell()

    def _tell(self) -> None:
        self.status.write(self.layout)


def _take(lock: IO[str]) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise AlreadyRunning("a supervisor runs here already") from None


def supervise(options: StackOptions) -> None:
    """Run a stack in this process until SIGTERM or SIGINT; see `Supervisor.run` for what it raises."""
    asyncio.run(Supervisor(options).run())


def main() -> int:
    """The detached supervisor: its output is its log."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.Formatter.converter = time.gmtime
    options = StackOptions.from_json(sys.argv[1])
    logger.info("supervisor %d starts in %s", os.getpid(), Path(options.folder))
    with contextlib.suppress(KeyboardInterrupt):
        try:
            supervise(options)
        except (AlreadyRunning, PortTaken, SetupFailed) as failed:
            logger.error("%s", failed)
            return 1
    logger.info("supervisor %d ends", os.getpid())
    return 0


if __name__ == "__main__":
    sys.exit(main())

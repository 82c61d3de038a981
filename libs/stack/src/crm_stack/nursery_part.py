"""The supervisor's side of the nursery: the part itself, the services forked from it, and short tasks."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from crm_stack.parts import PartDidNotStart, gone, in_words, refuse_taken
from crm_stack.process import ProcessIdentity, tail

NURSERY_STEPS = ((signal.SIGTERM, 20.0), (signal.SIGKILL, 5.0))
SERVICE_STEPS = ((signal.SIGTERM, 15.0), (signal.SIGKILL, 5.0))

# What services share. Their own code is not in it: each service's tables and registries stay in its own process.
PRELOADED = (
    "crm_web.run",
    "crm_web.operations",
    "crm_records",
    "crm_records.hand_over",
    "crm_records.lines",
    "crm_records.replica",
    "crm_approvals",
    "crm_jobs",
    "crm_events",
    "crm_authz",
    "crm_database.migrate",
    "alembic.command",
    "alembic.autogenerate",
    "fastapi",
    "pydantic.v1",
    "uvicorn",
    "uvloop",
    "httptools",
    "aiokafka",
    "asyncpg",
    "sqlalchemy.ext.asyncio",
    "sqlalchemy.dialects.postgresql.asyncpg",
    "orjson",
    "structlog",
)


class TaskFailed(Exception):
    """A task in a forked process failed; the text ends with what it wrote."""


class NurseryPart:
    """The nursery as a part. Services and tasks wait for it in `fork`."""

    name = "nursery"
    port = None
    steps = NURSERY_STEPS
    limit_mb = None

    def __init__(self, log: Path, environment: Mapping[str, str], import_path: Sequence[str] = ()) -> None:
        """`environment` is the whole environment of the nursery; a child's is given with its request."""
        self._log = log
        self._environment = dict(environment)
        self._import_path = list(import_path)
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = asyncio.Event()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[int]] = {}
        self._ended: dict[int, int] = {}
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> ProcessIdentity:
        """See `Part`."""
        parent = os.getpid()

        def in_child() -> None:
            from crm_stack.process import die_with_parent

            die_with_parent(signal.SIGTERM)
            if os.getppid() != parent:
                os._exit(1)

        command = [sys.executable, "-s", "-P", "-m", "crm_stack.nursery"]
        command += [json.dumps(PRELOADED), json.dumps(self._import_path)]
        with self._log.open("ab") as log:
            process = subprocess.Popen(  # noqa: S603, ASYNC220  (starts at once; nothing waits)
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self._log.parent,
                env=self._environment,
                start_new_session=True,
                preexec_fn=in_child,
            )
        self._process = process
        self._reading = asyncio.create_task(self._read(process))
        identity = ProcessIdentity.of(process.pid)
        if identity is None:
            raise PartDidNotStart("the nursery ended at once")
        return identity

    async def is_ready(self) -> bool:
        """See `Part`."""
        return self._ready.is_set()

    async def is_alive(self) -> bool:
        """See `Part`."""
        return True

    def how_it_ended(self) -> str:
        """See `Part`."""
        return "" if self._process is None else in_words(self._process.wait())

    async def fork(self, request: Mapping[str, Any]) -> ProcessIdentity:
        """Have the nursery fork a child, as soon as there is a nursery.

        Raises:
            PartDidNotStart: the nursery ended before the answer.
        """
        await self._ready.wait()
        process = self._process
        assert process is not None  # noqa: S101  (it is ready)
        assert process.stdin is not None  # noqa: S101  (a pipe was asked for)
        number = next(self._numbers)
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            process.stdin.write(json.dumps({**request, "id": number}).encode() + b"\n")
            process.stdin.flush()
            pid = await answer
        except (BrokenPipeError, ConnectionError) as broken:
            raise PartDidNotStart("the nursery ended") from broken
        finally:
            self._waiting.pop(number, None)
        # It may have ended by now, as a short task does; then nobody has its pid yet, and waiting for it ends at once.
        return ProcessIdentity.of(pid) or ProcessIdentity(pid, 0)

    async def run(
        self, entry: str, arguments: Sequence[Any], keywords: Mapping[str, Any], log: Path, result: Path
    ) -> Any:
        """Run a function in a forked process and return what it returned (as JSON can tell it).

        Raises:
            TaskFailed: it raised, or was killed.
        """
        _discard(result)
        request = forked(entry, arguments, None, dict(self._environment), log, keywords=keywords, result=result)
        try:
            await gone(await self.fork(request))
        except PartDidNotStart as refused:
            raise TaskFailed(f"{entry}: {refused}\n{tail(log, 20)}") from refused
        return _take(result, f"{entry} failed:\n{tail(log, 20)}")

    def ending_of(self, pid: int) -> str:
        """How the forked process `pid` ended, in words; empty when the nursery did not tell."""
        status = self._ended.get(pid)
        return "" if status is None else in_words(status)

    async def _read(self, process: subprocess.Popen[bytes]) -> None:
        """Take the answers of one nursery until it ends."""
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), process.stdout)
        try:
            while line := await reader.readline():
                answer = json.loads(line)
                if "ready" in answer:
                    self._ready.set()
                elif "exited" in answer:
                    self._ended[answer["exited"]] = answer["status"]
                elif answer["id"] in self._waiting:
                    self._waiting[answer["id"]].set_result(answer["pid"])
        finally:
            self._ready.clear()
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(ConnectionResetError("the nursery ended"))
            transport.close()
            if process.stdin is not None:
                # What it had not read goes with it; those requests failed just above.
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.close()


class ServicePart:
    """A service's process, forked from the nursery."""

    steps = SERVICE_STEPS
    limit_mb = None

    def __init__(
        self,
        name: str,
        port: int,
        *,
        nursery: NurseryPart,
        request: Mapping[str, Any],
        needs: Callable[[], Awaitable[None]],
        ready: Callable[[], Awaitable[bool]],
        alive: Callable[[], Awaitable[bool]],
    ) -> None:
        """`needs` returns when the service may start: its database is there and of this version."""
        self.name = name
        self.port: int | None = port
        self._nursery = nursery
        self._request = request
        self._needs = needs
        self._ready = ready
        self._alive = alive
        self._pid = 0

    async def start(self) -> ProcessIdentity:
        """See `Part`."""
        await self._needs()
        refuse_taken(self.port)
        identity = await self._nursery.fork(self._request)
        self._pid = identity.pid
        return identity

    async def is_ready(self) -> bool:
        """See `Part`."""
        return await self._ready()

    async def is_alive(self) -> bool:
        """See `Part`."""
        return await self._alive()

    def how_it_ended(self) -> str:
        """See `Part`."""
        return self._nursery.ending_of(self._pid)


def _discard(result: Path) -> None:
    """Remove what an earlier attempt left."""
    result.unlink(missing_ok=True)


def _take(result: Path, failure: str) -> Any:
    """What a task wrote into its result file, which is removed; a task without a result has failed."""
    try:
        answer = json.loads(result.read_text())
    except FileNotFoundError:
        raise TaskFailed(failure) from None
    result.unlink()
    return answer


def forked(
    entry: str,
    arguments: Sequence[Any],
    parts: Sequence[str] | None,
    environment: Mapping[str, str],
    log: Path,
    *,
    keywords: Mapping[str, Any] | None = None,
    result: Path | None = None,
) -> dict[str, Any]:
    """A request to the nursery; see `nursery`."""
    return {
        "entry": entry,
        "arguments": list(arguments),
        "parts": None if parts is None else list(parts),
        "keywords": dict(keywords or {}),
        "environment": dict(environment),
        "log": str(log),
        "result": None if result is None else str(result),
    }

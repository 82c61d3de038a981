"""A whole stack on this machine, from Python: what `crm up` and the tests use.

with Stack.start(tmp_path, services=("identity",)) as stack:
    httpx.get(f"{stack.address}/…")
    stack.kill("identity"); stack.wait_ready()
"""

from __future__ import annotations

import contextlib
import json
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from crm_stack import gateway
from crm_stack.layout import Layout, services_of, workspace, write_private
from crm_stack.options import DEFAULT_ADMINISTRATOR, StackOptions
from crm_stack.ports import LOOPBACK
from crm_stack.process import ProcessIdentity, spawn, tail, wait_until
from crm_stack.service_settings import database_url_file, inherited
from crm_stack.status_file import PartStatus, StackStatus, read_status, running

STOP_SECONDS = 60.0
COMPANY: Mapping[str, str] = {"company": "Pelagic", "time_zone": "UTC", "currency": "USD"}
"""What the first start calls the company, unless told otherwise; administrators change it later."""


class StackDidNotStart(Exception):
    """A stack did not come up; the text says why and where its logs are."""


class StackDidNotStop(Exception):
    """A stack's supervisor was still there after its deadline."""


class Stack:
    """A running stack. It belongs to whoever started it, unless `detached`: then it outlives them."""

    def __init__(self, options: StackOptions, supervisor: ProcessIdentity, process: subprocess.Popen[bytes]) -> None:
        self.options = options
        self.layout: Layout = options.layout
        self._supervisor = supervisor
        self._process = process

    @classmethod
    def start(
        cls,
        folder: Path,
        *,
        port: int = 0,
        broker: Literal["embedded", "kafka"] = "embedded",
        external_kafka: str | None = None,
        split: bool = False,
        services: Sequence[str] | None = None,
        volatile: bool = True,
        environment: Mapping[str, str] | None = None,
        entry: tuple[Path, str] | None = None,
        administrator: tuple[str, str] = (DEFAULT_ADMINISTRATOR, "correct-horse-battery-staple"),
        seconds: float = 120.0,
    ) -> Stack:
        """Start a stack for tests in `folder` and wait until all of it is ready.

        Args:
            port: the gateway's; 0 takes a free one.
            broker: `kafka` uses the broker at `external_kafka` ("host:port") and starts none.
            split: app and worker of each service as two processes.
            services: None takes all of the workspace.
            volatile: False keeps the database durable against power cuts too, as outside of tests. Either way what was
                committed survives `kill`.
            environment: more settings for every service.
            entry: runs the services instead of the product's own: a folder to import from, and "module:function".
            administrator: e-mail and password of the first administrator.

        Raises:
            StackDidNotStart: with the reason.
        """
        if (broker == "kafka") != (external_kafka is not None):
            raise ValueError("broker='kafka' and external_kafka='host:port' go together")
        options = StackOptions(
            folder=str(folder.absolute()),
            port=port,
            services=tuple(services) if services is not None else services_of(workspace()),
            split=split,
            external_kafka=external_kafka,
            volatile=volatile,
            environment=dict(environment or {}),
            import_path=() if entry is None else (str(entry[0]),),
            entry=StackOptions.entry if entry is None else entry[1],
        )
        ask_for_administrator(options.layout, *administrator)
        stack = cls.launch(options)
        try:
            stack.wait_ready(seconds)
        except BaseException:
            stack.stop()
            raise
        return stack

    @classmethod
    def launch(cls, options: StackOptions, *, detached: bool = False) -> Stack:
        """Start the supervisor and return at once; `detached` lets it outlive us."""
        layout = options.layout
        layout.make()
        process = spawn(
            [sys.executable, "-s", "-P", "-m", "crm_stack.supervisor", options.to_json()],
            log=layout.log("supervisor"),
            cwd=layout.folder,
            env=inherited(),
            death_signal=None if detached else signal.SIGTERM,
        )
        supervisor = ProcessIdentity.of(process.pid)
        if supervisor is None:
            raise StackDidNotStart(f"The supervisor ended at once:\n{tail(layout.log('supervisor'))}")
        return cls(options, supervisor, process)

    def wait_ready(self, seconds: float = 120.0, told: Callable[[StackStatus], None] | None = None) -> StackStatus:
        """Wait until every part is ready; `told` is called with each status seen meanwhile.

        Raises:
            StackDidNotStart: the supervisor ended or gave up, or `seconds` passed; the text says why.
        """
        last: list[StackStatus] = []

        def settled() -> bool:
            status = self.status()
            if status is None:
                return not self._supervisor.alive()
            last[:] = [status]
            if told is not None:
                told(status)
            ready = status.phase == "ready" and all(part.state == "ready" for part in status.parts)
            return ready or status.phase == "failed" or not self._supervisor.alive()

        in_time = wait_until(settled, seconds, pause=0.05)
        status = last[0] if last else None
        if in_time and status is not None and status.phase == "ready" and self._supervisor.alive():
            return status
        if status is not None and status.phase == "failed":
            # It has given up and is about to go: whoever starts again at once must not meet it.
            wait_until(lambda: not self._supervisor.alive(), STOP_SECONDS)
        raise StackDidNotStart(self._why(status, seconds))

    def _why(self, status: StackStatus | None, seconds: float) -> str:
        if status is not None and status.phase == "failed":
            return status.doing
        if not self._supervisor.alive():
            return f"The supervisor ended:\n{tail(self.layout.log('supervisor'))}"
        waiting = [] if status is None else [part for part in status.parts if part.state != "ready"]
        told = "\n".join(
            f"{part.name} is {part.state} {part.note}\n{tail(self.layout.log(part.name), 8)}" for part in waiting
        )
        doing = "" if status is None or not status.doing else f" ({status.doing})"
        return f"Not everything was ready within {seconds:.0f} s{doing}:\n{told}"

    def status(self) -> StackStatus | None:
        """What our supervisor told last; None before its first word."""
        status = read_status(self.layout)
        return status if status is not None and status.supervisor == self._supervisor else None

    @property
    def address(self) -> str:
        """The gateway's address."""
        return self._told().address

    @property
    def bootstrap(self) -> str:
        """The broker's address."""
        return self._told().kafka

    def part(self, name: str) -> PartStatus:
        """One part as the supervisor sees it now: its pid, port, state, restarts.

        Raises:
            KeyError: there is none of that name.
        """
        return self._told().part(name)

    def service_address(self, service: str) -> str:
        """A service's own address, past the gateway."""
        return f"http://127.0.0.1:{self.part(service).port}"

    def dsn(self, service: str) -> str:
        """The connection URL of a service's database, as that service uses it."""
        return database_url_file(self.layout, service).read_text()

    def superuser_dsn(self) -> str:
        """The connection URL of PostgreSQL's superuser, to the database `postgres`."""
        password = self.layout.secret("postgres-superuser").read_text()
        return f"postgresql://postgres:{password}@127.0.0.1:{self.part('postgres').port}/postgres"

    def kill(self, name: str) -> None:
        """`kill -9` a part; the supervisor starts it again. Returns when the process is gone."""
        self._signal_away(name, signal.SIGKILL)

    def restart(self, name: str) -> None:
        """End a part by SIGTERM (PostgreSQL: fast shutdown); the supervisor starts it again."""
        self._signal_away(name, signal.SIGINT if name == "postgres" else signal.SIGTERM)

    def hold(self, name: str, seconds: float = 60.0) -> None:
        """End a part and keep it down until `release`."""
        (self.layout.holds / name).touch()
        self._nudge()
        if not wait_until(lambda: self.part(name).state == "held", seconds):
            raise StackDidNotStop(f"{name} was not down within {seconds:.0f} s")

    def release(self, name: str) -> None:
        """Let a part that is held start again."""
        (self.layout.holds / name).unlink(missing_ok=True)
        self._nudge()

    def lead(self, service: str, ports: Sequence[int]) -> None:
        """Have the gateway send a service's requests to these ports of this machine, in turns: replicas, or another version beside ours.

        It holds until the gateway is started anew.
        """
        gateway.update_addresses(self.layout.gateway, service, [(LOOPBACK, port) for port in ports])

    def pause(self, name: str) -> None:
        """Freeze a part's process (SIGSTOP)."""
        self._identity(name).signal(signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """Let a frozen part go on (SIGCONT)."""
        self._identity(name).signal(signal.SIGCONT)

    def wipe_broker(self) -> None:
        """Empty the embedded broker's log: it is killed and comes back with nothing."""
        self.kill("broker")

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """End everything, cleanly.

        Raises:
            StackDidNotStop: the supervisor is still there after `seconds`.
        """
        end_supervisor(self._supervisor, seconds)
        self._process.wait()

    def wait_end(self, seconds: float | None = None) -> int:
        """Wait until the supervisor ends by itself or by a signal; its exit status.

        Raises:
            StackDidNotStop: it is still there after `seconds`.
        """
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired as late:
            raise StackDidNotStop(f"The supervisor is still there after {seconds:.0f} s.") from late

    def kill_supervisor(self) -> None:
        """`kill -9` the supervisor; what it leaves behind is the next start's to clean up."""
        self._supervisor.signal(signal.SIGKILL)
        self._process.wait()

    def again(self, seconds: float = 120.0) -> Stack:
        """Start the same stack in the same folder once more, after `stop` or `kill_supervisor`."""
        stack = Stack.launch(self.options)
        stack.wait_ready(seconds)
        return stack

    def __enter__(self) -> Stack:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _told(self) -> StackStatus:
        status = self.status()
        if status is None:
            raise StackDidNotStart("The supervisor has not told anything yet.")
        return status

    def _identity(self, name: str) -> ProcessIdentity:
        identity = self.part(name).identity
        if identity is None:
            raise StackDidNotStart(f"{name} has no process just now ({self.part(name).state}).")
        return identity

    def _signal_away(self, name: str, number: int) -> None:
        identity = self._identity(name)
        restarts = self.part(name).restarts
        identity.signal(number)
        # Only when the supervisor noticed does its word about readiness mean the next process.
        if not wait_until(lambda: not identity.alive() and self.part(name).restarts > restarts, 30.0):
            raise StackDidNotStop(f"{name} was not gone within 30 s")

    def _nudge(self) -> None:
        self._supervisor.signal(signal.SIGUSR1)


def end_supervisor(supervisor: ProcessIdentity, seconds: float = STOP_SECONDS) -> None:
    """End the stack that `supervisor` owns, cleanly.

    Raises:
        StackDidNotStop: it is still there after `seconds`.
    """
    supervisor.signal(signal.SIGTERM)
    if not wait_until(lambda: not supervisor.alive(), seconds):
        raise StackDidNotStop(f"The supervisor (pid {supervisor.pid}) is still there after {seconds:.0f} s.")


def ask_for_administrator(layout: Layout, email: str, password: str | None, **company: str) -> None:
    """Say who the first administrator shall be, should this start create the company.

    A password that an earlier start made up and nobody has seen yet is kept, unless one is given.
    """
    layout.make()
    wanted: dict[str, Any] = {**COMPANY, **company, "email": email, "password": password}
    if password is None:
        with contextlib.suppress(FileNotFoundError, ValueError, KeyError):
            wanted["password"] = json.loads(layout.first_administrator.read_text())["password"]
        wanted["password"] = wanted["password"] or secrets.token_urlsafe(15)
    write_private(layout.first_administrator, json.dumps(wanted))


def forget_administrator(layout: Layout) -> dict[str, str]:
    """Who was asked for, with the password; the file is gone after this."""
    try:
        wanted: dict[str, str] = json.loads(layout.first_administrator.read_text())
    except FileNotFoundError:
        return {}
    layout.first_administrator.unlink()
    return wanted


__all__ = [
    "Stack",
    "StackDidNotStart",
    "StackDidNotStop",
    "StackOptions",
    "ask_for_administrator",
    "end_supervisor",
    "forget_administrator",
    "running",
]

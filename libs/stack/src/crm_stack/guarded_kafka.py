"""Apache Kafka with users, rights and TLS as the container stack has it, without a container engine: for tests.

The settings are those of `deploy/docker/kafka/server.properties`, the secrets a folder as `deploy/docker/make-secrets` makes it. Only
what a machine has once differs: ports, folders.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from crm_stack.apache_kafka import ApacheKafka
from crm_stack.layout import workspace
from crm_stack.ports import LOOPBACK, free_port

#: Where the container finds its secrets.
_MOUNTED = "/run/secrets"


def container_settings() -> dict[str, str]:
    """What stands in the container's `server.properties`."""
    text = (workspace() / "deploy" / "docker" / "kafka" / "server.properties").read_text(encoding="utf-8")
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return dict(line.partition("=")[::2] for line in lines)


class GuardedKafka(ApacheKafka):
    """One node that lets in whom it knows. `bootstrap`: where services log in; `administration` and `outside` are the others."""

    title = "Apache Kafka with users"

    def __init__(self, folder: Path, secrets: Path, changed: Mapping[str, str] | None = None) -> None:
        """Describe the node. secrets: the folder of them. changed: settings that a test wants otherwise."""
        super().__init__(folder)
        self.secrets = secrets.absolute()
        self._changed = changed or {}
        self.administration = f"{LOOPBACK}:{free_port()}"
        self.outside = f"{LOOPBACK}:{free_port()}"

    def settings(self) -> dict[str, str]:
        """The container's, over those that a small node needs."""
        small = super().settings()
        addresses = {"INTERNAL": self.bootstrap, "SUBSCRIBERS": self.outside, "ADMINISTRATOR": self.administration}
        advertised = ",".join(f"{name}://{address}" for name, address in addresses.items())
        guarded = {name: value.replace(_MOUNTED, str(self.secrets)) for name, value in container_settings().items()}
        own = {
            "listeners": f"{advertised},CONTROLLER://{small['controller.quorum.voters'].partition('@')[2]}",
            "advertised.listeners": advertised,
            "controller.quorum.voters": small["controller.quorum.voters"],
            "log.dirs": small["log.dirs"],
        }
        return {**small, **guarded, **own, **self._changed}

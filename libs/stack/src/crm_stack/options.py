"""What a stack is asked to be; handed from the command line (or a test) to the supervisor as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from crm_stack.layout import Layout, services_of, workspace

DEFAULT_PORT = 8080
DEFAULT_ADMINISTRATOR = "admin@crm.example"


@dataclass(frozen=True)
class StackOptions:
    """One stack. Nothing secret stands here: it is seen in the process list."""

    folder: str
    port: int = DEFAULT_PORT
    """The gateway's; 0 takes any free one."""
    services: tuple[str, ...] = ()
    split: bool = False
    """Run app and worker of each service as two processes, as containers do."""
    external_kafka: str | None = None
    """A broker elsewhere ("host:port"), instead of the embedded one."""
    volatile: bool = False
    """Give up the database's durability for speed; tests only."""
    gateway: bool = True
    routes: str | None = None
    """The file of the route table; None takes the workspace's."""
    broker_cap_mb: int = 1024
    """The embedded broker never frees memory: above this it is started anew, empty."""
    lifeless_seconds: float = 30.0
    """A service that gave no sign of life for so long (its `/livez` fails, or doesn't answer) is started anew."""
    entry: str = "crm_stack.service_entry:run"
    """The function that runs a service: `run(service, parts)`."""
    migrate: str = "crm_database.migrate:upgrade"
    """The function that brings a service's database up to date: `upgrade(service, dsn)`."""
    bootstrap: str = "crm_stack.service_entry:bootstrap"
    """The function that makes company and first administrator (ID-1)."""
    documents: str | None = "crm_web.documents:write"
    """The function that makes the API documents: `write(folder, *services)`; None makes none."""
    import_path: tuple[str, ...] = ()
    """More folders to import from; tests only."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """More settings for every service."""
    rates: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Kinds of rate whose limits at the gateway are others: kind → (burst, requests per second)."""
    beside: Mapping[str, int] = field(default_factory=dict)
    """Services that somebody else runs on this machine, for the gateway to lead to: name → port. Measurements only."""
    log_level: str = "info"

    @property
    def layout(self) -> Layout:
        """The stack's files."""
        return Layout(Path(self.folder))

    def to_json(self) -> str:
        """As one line of JSON."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> StackOptions:
        """From what `to_json` wrote."""
        given = json.loads(text)
        given["services"] = tuple(given["services"])
        given["import_path"] = tuple(given["import_path"])
        return cls(**given)

    @classmethod
    def of_workspace(cls, port: int = DEFAULT_PORT) -> StackOptions:
        """This clone's stack, in `.crm`."""
        root = workspace()
        return cls(folder=str(root / ".crm"), port=port, services=services_of(root))

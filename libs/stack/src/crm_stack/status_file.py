"""What the supervisor tells others: one JSON file, replaced as a whole whenever something changes."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from crm_stack.layout import Layout, write_private
from crm_stack.process import ProcessIdentity

Phase = Literal["starting", "ready", "stopping", "failed"]
State = Literal["waiting", "starting", "ready", "unready", "held", "stopped"]


@dataclass
class PartStatus:
    """One part as the supervisor sees it."""

    name: str
    port: int | None = None
    state: State = "waiting"
    pid: int | None = None
    started: int | None = None
    """The process's start, as in `ProcessIdentity`."""
    since: float | None = None
    """When this process was started, in seconds since 1970."""
    restarts: int = 0
    wipes: int = 0
    """How many of the restarts were planned, to free the embedded broker's memory."""
    note: str = ""
    """Why it waits, or how it ended last."""

    @property
    def identity(self) -> ProcessIdentity | None:
        """The process, if there is one."""
        return None if self.pid is None or self.started is None else ProcessIdentity(self.pid, self.started)


@dataclass
class StackStatus:
    """The whole stack as the supervisor sees it."""

    pid: int
    started: int
    address: str
    since: float
    phase: Phase = "starting"
    doing: str = ""
    """What the start is busy with, or why it failed."""
    kafka: str = ""
    services: tuple[str, ...] = ()
    administrator_created: bool = False
    """Whether this start created the first administrator."""
    parts: list[PartStatus] = field(default_factory=list)

    @property
    def supervisor(self) -> ProcessIdentity:
        """The process that wrote this."""
        return ProcessIdentity(self.pid, self.started)

    def part(self, name: str) -> PartStatus:
        """One part by its name.

        Raises:
            KeyError: there is none of that name.
        """
        for part in self.parts:
            if part.name == name:
                return part
        raise KeyError(name)

    def write(self, layout: Layout) -> None:
        """Replace the status file."""
        write_private(layout.status, json.dumps(dataclasses.asdict(self)), durable=False)


def read_status(layout: Layout) -> StackStatus | None:
    """What the last supervisor wrote, whether it lives or not; None when there never was one."""
    try:
        given = json.loads(layout.status.read_text())
    except (FileNotFoundError, ValueError):
        return None
    given["parts"] = [PartStatus(**part) for part in given["parts"]]
    given["services"] = tuple(given["services"])
    return StackStatus(**given)


def running(folder: Path) -> StackStatus | None:
    """The status of the stack in `folder` while its supervisor lives; else None."""
    status = read_status(Layout(folder))
    return status if status is not None and status.supervisor.alive() else None

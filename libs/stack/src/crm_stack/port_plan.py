"""Which ports a stack uses. They are remembered, so that addresses stay the same from one start to the next."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from crm_stack.layout import write_private
from crm_stack.ports import PortHolder, free_port, holder, is_free

GATEWAY = "gateway"


class PortTaken(Exception):
    """The gateway's port is another process's; `holder` says whose, the text also what to do."""

    def __init__(self, who: PortHolder) -> None:
        super().__init__(
            f"{who}\nStop that process, or choose another port: ./crm up --port {who.port + 1}\n"
            "(Two clones run side by side when each has a port of its own; it is remembered.)"
        )
        self.holder = who


def plan_ports(file: Path, names: Sequence[str], gateway_port: int) -> dict[str, int]:
    """A port for each name: the remembered one if it is free, else another that is; remembered in `file`.

    Call it when nothing of the stack runs any more. The gateway's port was promised to people: it is never exchanged,
    except 0, which asks for any.

    Raises:
        PortTaken: the gateway's port.
    """
    known = remembered(file)
    plan = {}
    for name in names:
        if name == GATEWAY and gateway_port:
            if not is_free(gateway_port):
                raise PortTaken(holder(gateway_port))
            plan[name] = gateway_port
            continue
        port = known.get(name, 0)
        while not port or port in plan.values() or not is_free(port):
            port = free_port()
        plan[name] = port
    if plan != known:
        write_private(file, json.dumps(plan, indent=1))
    return plan


def remembered(file: Path) -> dict[str, int]:
    """The ports of the last start; empty when there was none."""
    try:
        known = json.loads(file.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return {str(name): int(port) for name, port in known.items()}

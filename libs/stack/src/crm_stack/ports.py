"""TCP ports of this machine: a free one, and who holds one that is taken.

Everything here concerns 127.0.0.1, the only address that the parts of a local stack listen on.
"""

from __future__ import annotations

import random
import socket
from dataclasses import dataclass
from pathlib import Path

LOOPBACK = "127.0.0.1"
_LOWEST = 20_000
_LOWEST_OUTGOING = 32_768


@dataclass(frozen=True)
class PortHolder:
    """The process that listens on a port. `pid` is None when the system does not tell us (another user's process)."""

    port: int
    pid: int | None
    name: str
    command: str

    def __str__(self) -> str:
        if self.pid is None:
            return f"port {self.port} is held by a process of another user"
        return f"port {self.port} is held by {self.name} (pid {self.pid}): {self.command}"


def free_port() -> int:
    """A port that nobody uses at this moment, for a server.

    It lies below the range from which the system takes the ports of outgoing connections: a server whose port is in that
    range may find it taken by some client when it starts again.
    """
    below = min(_LOWEST_OUTGOING, _first_outgoing_port())
    for _ in range(200):
        port = random.randrange(_LOWEST, below)  # noqa: S311  (not a secret)
        if is_free(port):
            return port
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        chosen: int = probe.getsockname()[1]
        return chosen


def _first_outgoing_port() -> int:
    try:
        return max(_LOWEST + 1000, int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0]))
    except (OSError, ValueError):
        return _LOWEST_OUTGOING


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen on `port` now. Connections of a server that just ended (TIME_WAIT) do not
    count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def accepts(port: int, host: str = LOOPBACK, timeout: float = 0.5) -> bool:
    """Whether something answers a TCP connection on `port` within `timeout` seconds."""
    try:
        with socket.create_connection((host, port), timeout=timeout):
            return True
    except OSError:
        return False


def holder(port: int) -> PortHolder:
    """Who listens on `port`, as far as the system lets us see it."""
    import psutil

    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        connections = []
    for connection in connections:
        if connection.status != psutil.CONN_LISTEN or not connection.laddr or connection.laddr.port != port:
            continue
        if connection.pid is None:
            break
        try:
            process = psutil.Process(connection.pid)
            command = " ".join(process.cmdline())
            return PortHolder(
                port, connection.pid, process.name(), command if len(command) < 160 else command[:157] + "..."
            )
        except psutil.Error:
            break
    return PortHolder(port, None, "", "")

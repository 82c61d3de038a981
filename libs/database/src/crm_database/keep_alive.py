"""Whether the other side is still there, asked by TCP: a machine or a network that vanished says nothing, for hours unless asked."""

import socket
from typing import Any, Final

#: Seconds of silence before the other side is asked; between questions; questions without an answer.
_IDLE, _INTERVAL, _QUESTIONS = 5, 2, 3
#: Milliseconds that something sent may stay without acknowledgement.
_UNACKNOWLEDGED = 10_000

#: For the server's side of a connection, as settings of the session: somebody who vanished keeps neither locks nor a transaction.
SERVER_SIDE: Final = {
    "tcp_keepalives_idle": str(_IDLE),
    "tcp_keepalives_interval": str(_INTERVAL),
    "tcp_keepalives_count": str(_QUESTIONS),
    "tcp_user_timeout": str(_UNACKNOWLEDGED),
}


def keep_alive(connection: Any) -> None:
    """The same on our side, for a connection of asyncpg's: a server that vanished is noticed within some ten seconds."""
    sock: socket.socket | None = connection._transport.get_extra_info("socket")
    if sock is None or sock.family == getattr(socket, "AF_UNIX", None):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", _IDLE),
        ("TCP_KEEPINTVL", _INTERVAL),
        ("TCP_KEEPCNT", _QUESTIONS),
        ("TCP_USER_TIMEOUT", _UNACKNOWLEDGED),
    ):
        # Not every system has each of them.
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


__all__ = ["SERVER_SIDE", "keep_alive"]

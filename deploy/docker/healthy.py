"""The image's health check: whether this container's process lives and is ready. Bare sockets, because it starts every few seconds.

It prints what the process answers, which `docker inspect` shows. Exit status 0: both are well; 1: one is not, or nobody is there.
"""

import os
import socket
import sys
import time

PATHS = ("/livez", "/readyz")
#: For both together; less than the Dockerfile's --timeout.
_LIMIT_SECONDS = 4.5
#: More than a process has to say.
_LIMIT_BYTES = 65536


def ask(port: int, path: str, deadline: float) -> tuple[bool, str]:
    """Whether the process on this port answers `path` with 200 before the deadline (of time.monotonic), and its words."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=_left(deadline)) as connection:
            connection.sendall(request.encode("ascii"))
            while len(answer) < _LIMIT_BYTES:
                connection.settimeout(_left(deadline))
                part = connection.recv(4096)
                if not part:
                    break
                answer += part
    except OSError as error:
        return False, f"{path}: {type(error).__name__}"
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head.split(b" ", 2)[1:2]
    return status == [b"200"], f"{path}: {body.decode('utf-8', 'replace')}"


def _left(deadline: float) -> float:
    # 0 would mean: don't wait at all.
    return max(0.01, deadline - time.monotonic())


def main(port: int) -> int:
    """Ask for both, and print what was said."""
    deadline = time.monotonic() + _LIMIT_SECONDS
    good = True
    for path in PATHS:
        fine, said = ask(port, path, deadline)
        good = good and fine
        sys.stdout.write(f"{said}\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(int(os.environ["CRM_HTTP_PORT"])))

"""Our route class against a bare FastAPI route with the same SQL: `python libs/web/bench/route.py [--seconds 2] [--repeat 5]`.

Both run on uvicorn with uvloop, one after the other in turns, each in a process of its own, against the same embedded PostgreSQL;
16 connections from a client process. What is counted is requests per second, the server's CPU per request (µs; less noisy on a
shared machine), and that every answer is right. The bare
route has no token, no permission, no refusals: it is the floor that the framework gives.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import psutil
import uvloop

HERE = Path(__file__).resolve()
CONNECTIONS = 16


async def _client(port: int, request: bytes, seconds: float, expected: bytes) -> int:
    """Requests answered in the time, over CONNECTIONS connections; raises when an answer is wrong."""
    done = 0
    end = time.perf_counter() + seconds

    async def one() -> None:
        nonlocal done
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() < end:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            body = await reader.readexactly(length)
            if not head.startswith(b"HTTP/1.1 20") or expected not in body:
                raise SystemExit(f"wrong answer: {head!r} {body!r}")
            done += 1
        writer.close()

    await asyncio.gather(*(one() for _ in range(CONNECTIONS)))
    return done


def _serve(kind: str) -> None:
    """In the server's process: `bare` or `ours`."""
    import uvicorn

    sys.path.insert(0, str(HERE.parent))
    import subjects

    application = subjects.bare() if kind == "bare" else subjects.ours()
    uvicorn.run(
        application,
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
        server_header=False,
    )


async def _ready(port: int) -> None:
    for _ in range(200):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        except OSError:
            await asyncio.sleep(0.05)
    raise SystemExit("the server did not start")


async def _prepare(dsn: str) -> tuple[uuid.UUID, str]:
    sys.path.insert(0, str(HERE.parent))
    import subjects

    return await subjects.prepare(dsn)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--serve", choices=("bare", "ours"))
    chosen = parser.parse_args()
    if chosen.serve:
        _serve(chosen.serve)
        return
    from crm_stack.ports import free_port
    from crm_stack.postgres import PostgresServer

    with tempfile.TemporaryDirectory() as folder, PostgresServer(Path(folder) / "pg", volatile=True) as server:
        dsn = server.create_database("bench", "bench")
        note, token = uvloop.run(_prepare(dsn))
        ports = {"bare": free_port(), "ours": free_port()}
        running = {
            kind: subprocess.Popen(
                [sys.executable, str(HERE), "--serve", kind], env={**os.environ, "PORT": str(port), "DSN": dsn}
            )
            for kind, port in ports.items()
        }
        try:
            for port in ports.values():
                uvloop.run(_ready(port))
            for name, request, expected in (
                ("read", lambda: _get(note, token), str(note).encode()),
                ("write", lambda: _post(token), b'"version":1'),
            ):
                rates: dict[str, list[float]] = {"bare": [], "ours": []}
                costs: dict[str, list[float]] = {"bare": [], "ours": []}
                for turn in range(chosen.repeat + 1):
                    for kind, port in ports.items():
                        before = _cpu(running[kind])
                        count = uvloop.run(_client(port, request(), chosen.seconds, expected))
                        if turn:  # The first turn warms up.
                            rates[kind].append(count / chosen.seconds)
                            costs[kind].append((_cpu(running[kind]) - before) / count * 1e6)
                ratios = [ours / bare for ours, bare in zip(rates["ours"], rates["bare"], strict=True)]
                print(
                    json.dumps(
                        {
                            "name": f"route-{name}",
                            "subject": round(statistics.median(rates["ours"])),
                            "reference": round(statistics.median(rates["bare"])),
                            "ratio": round(statistics.median(ratios), 2),
                            "spread": [round(min(ratios), 2), round(max(ratios), 2)],
                            "cpu_us": [
                                round(statistics.median(costs["ours"])),
                                round(statistics.median(costs["bare"])),
                            ],
                            "n": chosen.repeat,
                        }
                    )
                )
        finally:
            for process in running.values():
                process.terminate()
            for process in running.values():
                process.wait(10)


def _cpu(process: "subprocess.Popen[bytes]") -> float:
    """Seconds of CPU that a process has used: what a request costs, however busy the machine is."""
    used = psutil.Process(process.pid).cpu_times()
    return used.user + used.system


def _get(note: uuid.UUID, token: str) -> bytes:
    return (
        f"GET /api/notes/v1/notes/{note} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00\r\n\r\n"
    ).encode()


def _post(token: str) -> bytes:
    body = b'{"title":"a note","pages":3}'
    head = (
        f"POST /api/notes/v1/notes HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


if __name__ == "__main__":
    main()

"""The load generator: a process of its own, bounded in time and in count. `python -m crm_stack.bench.load < plan > outcome`.

It is a bare HTTP/1.1 client over kept connections: a client library would take more of the machine than what is measured. Every answer
is checked byte by byte; a wrong one ends the run.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Any

#: Nobody's requests are more than this in one run.
MOST_REQUESTS = 200_000
#: An answer must be there by then; seconds.
PATIENCE = 20.0


class WrongAnswer(Exception):
    """A measured thing answered something else than it must; the measurement is worth nothing."""


@dataclass(frozen=True)
class Call:
    """One request, as bytes in text, and what its answer must be.

    status: of the answer. starts: how its body must start, whole and exactly; empty: anything, see `holds`. holds: what stands in
    the body besides.
    """

    request: str
    status: int = 200
    starts: str = ""
    holds: str = ""


@dataclass(frozen=True)
class Plan:
    """Calls made in turn over `connections` for `seconds`, or until `count` are made.

    per_second: open loop at that rate; 0: as fast as it goes.

    keep: return the bodies (of writes: to look for what was acknowledged).
    """

    port: int
    calls: list[Call]
    seconds: float
    connections: int = 16
    count: int = MOST_REQUESTS
    per_second: float = 0.0
    keep: bool = False


@dataclass
class Outcome:
    """What came of it: seconds it took, milliseconds of each answer, bodies when they were kept."""

    seconds: float
    milliseconds: list[float]
    bodies: list[str] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Answers per second."""
        return len(self.milliseconds) / self.seconds


def run_load(plan: Plan) -> Outcome:
    """Run a plan in a process of its own. Raises WrongAnswer."""
    ended = subprocess.run(
        [sys.executable, "-s", "-P", "-m", "crm_stack.bench.load"],
        input=to_json(plan),
        capture_output=True,
        text=True,
        timeout=plan.seconds + 3 * PATIENCE,
        check=False,
    )
    if ended.returncode != 0:
        raise WrongAnswer(ended.stderr.strip()[-2000:])
    return Outcome(**json.loads(ended.stdout))


def to_json(plan: Plan) -> str:
    """The plan as the process reads it."""
    return json.dumps({**vars(plan), "calls": [vars(call) for call in plan.calls]})


async def answer_of(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Status and body of one answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head[9:12])
    lowered = head.lower()
    if b"content-length: " in lowered:
        return status, await reader.readexactly(int(lowered.split(b"content-length: ")[1].split(b"\r\n")[0]))
    body = b""
    while size := int((await reader.readline()).strip(), 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
    return status, body


async def _drive(plan: Plan) -> Outcome:
    calls = [(call.request.encode(), call.status, call.starts.encode(), call.holds.encode()) for call in plan.calls]
    outcome = Outcome(0.0, [])
    started = time.perf_counter()
    end = started + plan.seconds
    made = 0

    async def connection() -> None:
        nonlocal made
        reader, writer = await asyncio.open_connection("127.0.0.1", plan.port, limit=4 * 1024 * 1024)
        while made < plan.count and time.perf_counter() < end:
            number, made = made, made + 1
            begun = time.perf_counter()
            if plan.per_second:
                # Measured from the instant it was due: waiting for a free connection counts.
                begun = started + number / plan.per_second
                if begun >= end:
                    break
                await asyncio.sleep(max(0.0, begun - time.perf_counter()))
            request, status, starts, holds = calls[number % len(calls)]
            writer.write(request)
            async with asyncio.timeout(PATIENCE):
                told, body = await answer_of(reader)
            outcome.milliseconds.append((time.perf_counter() - begun) * 1000)
            if told != status or not body.startswith(starts) or holds not in body:
                raise WrongAnswer(
                    f"{request.splitlines()[0]!r}: {told} {body[:600]!r}, expected {status} {starts[:200]!r} {holds!r}"
                )
            if plan.keep:
                outcome.bodies.append(body.decode())
        writer.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(plan.connections):
            group.create_task(connection())
    outcome.seconds = time.perf_counter() - started
    return outcome


def request(method: str, path: str, token: str, body: Any = None) -> str:
    """A request as it goes over the wire."""
    content = "" if body is None else json.dumps(body)
    length = f"Content-Type: application/json\r\nContent-Length: {len(content.encode())}\r\n" if content else ""
    return f"{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n{length}\r\n{content}"


def main() -> None:
    """The process: a plan on standard input, its outcome on standard output."""
    import uvloop

    given = json.load(sys.stdin)
    plan = Plan(**{**given, "calls": [Call(**call) for call in given["calls"]]})
    try:
        outcome = uvloop.run(_drive(plan))
    except* WrongAnswer as wrong:
        sys.exit(str(wrong.exceptions[0]))
    json.dump(vars(outcome), sys.stdout)


if __name__ == "__main__":
    main()

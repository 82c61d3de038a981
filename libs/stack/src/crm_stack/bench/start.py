"""`start`: a stack that has its data already, from nothing running to everything ready; and the memory that it then takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import httpx

from crm_stack.bench import customers
from crm_stack.bench.bed import bed
from crm_stack.bench.load import WrongAnswer
from crm_stack.bench.result import Result, percentile
from crm_stack.layout import Layout, services_of, workspace
from crm_stack.memory import pss_mb
from crm_stack.status_file import read_status

GOAL = "≤ 10 s; the idle stack's memory (PSS) ≤ 750 MB"
#: Until a stack that nobody asks anything is at rest: connections that the start needed are closed by then
#: (crm_database.PoolSettings.unused_lifetime). What it takes at first stands beside.
AT_FIRST, AT_REST = 3.0, 45.0


def run(size: int, seconds: float, repeats: int) -> Iterator[Result]:
    """One result: seconds of each warm start. The first start, on an empty folder, is told beside it; it downloads nothing here."""
    del seconds
    begun = time.perf_counter()
    with bed(services_of(workspace())) as made:
        cold = time.perf_counter() - begun
        asyncio.run(customers.load(made.stack.dsn("customers"), size))
        taken = []
        for _ in range(repeats):
            made.stack.stop()
            begun = time.perf_counter()
            made.stack = made.stack.again()
            taken.append(time.perf_counter() - begun)
            _check(made.stack.address, made.administrator_token(), size)
        time.sleep(AT_FIRST)
        at_first = _memory(made.stack.layout)
        time.sleep(AT_REST - AT_FIRST)
        memory = _memory(made.stack.layout)
        warm = percentile(taken, 0.5)
        notes = {
            "cold_seconds": round(cold, 2),
            "memory_mb": None if memory is None else round(memory),
            "memory_mb_at_first": None if at_first is None else round(at_first),
            "memory_mb_by_part": _by_part(made.stack.layout),
        }
        met = warm <= 10 and memory is not None and memory <= 750
        milliseconds = [one * 1000 for one in taken]
        yield Result("start", "s", warm, None, [], milliseconds, size, GOAL, met, notes)


def _memory(layout: Layout) -> float | None:
    """Proportional share of the supervisor and all below it, in MB; None when it can't be seen."""
    status = read_status(layout)
    return None if status is None else pss_mb(status.supervisor.pid)


def _by_part(layout: Layout) -> dict[str, int]:
    """MB of each part that has a process; PostgreSQL's with its connections, the nursery's without the services."""
    status = read_status(layout)
    if status is None:
        return {}
    found = {"supervisor": pss_mb(status.supervisor.pid, descendants=False)}
    for part in status.parts:
        if part.identity is not None:
            found[part.name] = pss_mb(part.identity.pid, descendants=part.name != "nursery")
    return {name: round(share) for name, share in found.items() if share is not None}


def _check(address: str, token: str, size: int) -> None:
    """All customers that were loaded and not deleted are there. Raises WrongAnswer."""
    answer = httpx.get(
        f"{address}/api/customers/v1/customers",
        params={"count": "exact", "limit": 1, "deleted": "include"},
        headers={"Authorization": f"Bearer {token}"},
        timeout=60.0,
    )
    if answer.status_code != 200 or answer.json()["count"] != size:
        raise WrongAnswer(f"after a start: {answer.status_code} {answer.text[:300]}")

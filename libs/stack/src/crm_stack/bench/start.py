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
from crm_stack.layout import Layout
from crm_stack.memory import pss_mb
from crm_stack.status_file import read_status

GOAL = "≤ 10 s; the idle stack's memory (PSS) ≤ 750 MB"
IDLE_SECONDS = 3.0


def run(size: int, seconds: float, repeats: int) -> Iterator[Result]:
    """One result: seconds of each warm start. The first start, on an empty folder, is told beside it; it downloads nothing here."""
    del seconds
    begun = time.perf_counter()
    with bed(("identity", "customers", "sales", "analytics")) as made:
        cold = time.perf_counter() - begun
        asyncio.run(customers.load(made.stack.dsn("customers"), size))
        taken = []
        for _ in range(repeats):
            made.stack.stop()
            begun = time.perf_counter()
            made.stack = made.stack.again()
            taken.append(time.perf_counter() - begun)
            _check(made.stack.address, made.administrator_token(), size)
        time.sleep(IDLE_SECONDS)
        memory = _memory(made.stack.layout)
        warm = percentile(taken, 0.5)
        notes = {"cold_seconds": round(cold, 2), "memory_mb": None if memory is None else round(memory)}
        met = warm <= 10 and memory is not None and memory <= 750
        milliseconds = [one * 1000 for one in taken]
        yield Result("start", "s", warm, None, [], milliseconds, size, GOAL, met, notes)


def _memory(layout: Layout) -> float | None:
    """Proportional share of the supervisor and all below it, in MB; None when it can't be seen."""

    status = read_status(layout)
    return None if status is None else pss_mb(status.supervisor.pid)


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

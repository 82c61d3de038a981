"""`list`: the 50 newest customers that a viewer may see, at every width of scope, and the three pages after them."""

from __future__ import annotations

import asyncio
import json
import statistics
from collections.abc import Iterator
from functools import partial
from typing import Any, Literal

import httpx

from crm_stack.bench import customers
from crm_stack.bench.bed import Bed, bed
from crm_stack.bench.load import Call, Plan, WrongAnswer, request, run_load
from crm_stack.bench.reference import PREFIX
from crm_stack.bench.result import Result, percentile
from crm_stack.bench.statements import Statements, for_reference
from crm_stack.bench.turns import in_turns

LIST = "/api/customers/v1/customers"
GOAL = "≥ 0.4 of the rate; database p95 ≤ 3 ms"
PAGES = 4


def run(size: int, seconds: float, repeats: int) -> Iterator[Result]:
    """Two results for each width: the first page, and the pages after it."""
    with bed(("identity", "customers")) as made:
        company = asyncio.run(customers.load(made.stack.dsn("customers"), size))
        for width in (*customers.WIDTHS, customers.ALL):
            yield from _width(made, company, width, size, seconds, repeats)


def _width(
    made: Bed, company: customers.Company, width: int, size: int, seconds: float, repeats: int
) -> Iterator[Result]:
    key = asyncio.run(made.signing_key())
    rule: Literal["all", "subordinates"] = "all" if width == customers.ALL else "subordinates"

    def fresh() -> str:
        return made.token(key, company.viewers[width], rule)

    ran, times, expected = asyncio.run(_prepared(made, key, fresh(), company, width))
    made.serve_reference(statements={f"page{n}": for_reference(*one) for n, one in enumerate(ran)})
    shown = "all" if width == customers.ALL else str(width)
    bodies, paths = checked_pages(made, fresh(), expected, len(ran))
    for name, first, last in ((f"list-{shown}-first", 0, 1), (f"list-{shown}-next", 1, len(ran))):
        if first >= last:
            continue
        token = fresh()
        ours = [Call(request("GET", paths[n], token), starts=bodies[n]) for n in range(first, last)]
        theirs = [
            Call(request("GET", f"{PREFIX}/rows/page{n}", token), starts='{"items":[{') for n in range(first, last)
        ]
        subject, reference = (Plan(made.gateway_port, calls, seconds) for calls in (ours, theirs))
        turns = in_turns(repeats, partial(run_load, subject), partial(run_load, reference))
        taken = [one for n in range(first, last) for one in times[n]]
        database = percentile(taken, 0.95)
        met = statistics.median(turns.ratios) >= 0.4 and database <= 3.0
        notes = {
            "database_p50_ms": round(percentile(taken, 0.5), 2),
            "database_p95_ms": round(database, 2),
            "pages": last - first,
        }
        yield Result(
            name,
            "requests/s",
            turns.rate,
            turns.reference_rate,
            turns.ratios,
            turns.milliseconds,
            size,
            GOAL,
            met,
            notes,
        )


async def _prepared(
    made: Bed, key: Any, token: str, company: customers.Company, width: int
) -> tuple[list[Any], list[list[float]], list[Any]]:
    """The product's statements, the database's times for each, and what must come of them by the plainer SQL."""
    from crm_database import Database

    database = await Database.open(made.stack.dsn("customers"), name="bench")
    try:
        statements = Statements(database, key, made.stack.address)
        ran = await statements.pages(token, PAGES)
        times = [await statements.milliseconds(*one) for one in ran]
        async with database.read() as session:
            expected = await customers.expected_rows(session.connection, company, width, PAGES * 50)
    finally:
        await database.close()
    return ran, times, expected


def checked_pages(made: Bed, token: str, expected: list[Any], pages: int) -> tuple[list[str], list[str]]:
    """Walk the pages once and compare ids and owners; answers how each body starts (all but its cursor) and the paths.

    Raises WrongAnswer.
    """
    bodies, paths, seen = [], [LIST], []
    with httpx.Client(
        base_url=made.stack.address, headers={"Authorization": f"Bearer {token}"}, timeout=30.0
    ) as client:
        for _ in range(pages):
            answer = client.get(paths[-1])
            if answer.status_code != 200:
                raise WrongAnswer(f"{paths[-1]}: {answer.status_code} {answer.text[:500]}")
            body = json.loads(answer.text)
            seen += [(item["id"], item["owner_id"]) for item in body["items"]]
            bodies.append(answer.text[: answer.text.index('],"next":') + 1])
            paths.append(f"{LIST}?cursor={body['next']}")
    wanted = [(str(row["id"]), None if row["owner_id"] is None else str(row["owner_id"])) for row in expected]
    if seen != wanted[: len(seen)] or (len(seen) < len(wanted) and body["next"] is None):
        raise WrongAnswer(f"{len(seen)} rows, {len(wanted)} expected; they are not the same ids and owners")
    return bodies, paths

"""`read`: one customer by id, within a scope of 40 owners."""

from __future__ import annotations

import asyncio
import json
import statistics
from collections.abc import Iterator
from typing import Any

import httpx

from crm_stack.bench import customers
from crm_stack.bench.bed import Bed, bed
from crm_stack.bench.load import Call, Plan, WrongAnswer, request, run_load
from crm_stack.bench.reference import PREFIX
from crm_stack.bench.result import Result, percentile
from crm_stack.bench.statements import Statements, for_reference
from crm_stack.bench.turns import in_turns

WIDTH = 40
RECORDS = 60
GOAL = "≥ 0.4 of the rate"


def run(size: int, seconds: float, repeats: int) -> Iterator[Result]:
    """One result."""
    with bed(("identity", "customers")) as made:
        company = asyncio.run(customers.load(made.stack.dsn("customers"), size))
        key = asyncio.run(made.signing_key())
        token = made.token(key, company.viewers[WIDTH], "subordinates")
        rows, ran, times, hidden = asyncio.run(_prepared(made, key, token, company))
        made.serve_reference(statements={f"one{n}": for_reference(*one) for n, one in enumerate(ran)})
        ours = _checked(made, token, rows, hidden)
        theirs = [
            Call(request("GET", f"{PREFIX}/rows/one{n}", token), starts='{"items":[{', holds=str(row["id"]))
            for n, row in enumerate(rows)
        ]
        port = made.gateway_port
        turns = in_turns(
            repeats, lambda: run_load(Plan(port, ours, seconds)), lambda: run_load(Plan(port, theirs, seconds))
        )
        met = statistics.median(turns.ratios) >= 0.4
        notes = {"database_p95_ms": round(percentile(times, 0.95), 2)}
        yield Result(
            "read",
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
    made: Bed, key: Any, token: str, company: customers.Company
) -> tuple[list[Any], list[Any], list[float], Any]:
    """Records that the viewer reaches, the statements that read them, their times, and a record that the viewer doesn't reach."""
    from crm_database import Database

    database = await Database.open(made.stack.dsn("customers"), name="bench")
    try:
        statements = Statements(database, key, made.stack.address)
        async with database.read() as session:
            rows = await customers.expected_rows(session.connection, company, WIDTH, RECORDS)
            hidden = await session.connection.fetchval(
                "SELECT id FROM customer c WHERE owner_id <> ALL ($1::uuid[]) AND deleted_at IS NULL AND NOT EXISTS ("
                "SELECT FROM record_member m WHERE m.record_id = c.id) LIMIT 1",
                company.groups[WIDTH],
            )
        ran = await statements.single(token, [row["id"] for row in rows])
        times = await statements.milliseconds(*ran[0])
    finally:
        await database.close()
    return rows, ran, times, hidden


def _checked(made: Bed, token: str, rows: list[Any], hidden: Any) -> list[Call]:
    """Read each once and look at id and owner, and that what is out of scope isn't found; answers the calls. Raises WrongAnswer."""
    calls = []
    with httpx.Client(
        base_url=made.stack.address, headers={"Authorization": f"Bearer {token}"}, timeout=30.0
    ) as client:
        if (refused := client.get(f"/api/customers/v1/customers/{hidden}")).status_code != 404:
            raise WrongAnswer(f"a customer out of scope: {refused.status_code} {refused.text[:300]}")
        for row in rows:
            path = f"/api/customers/v1/customers/{row['id']}"
            answer = client.get(path)
            body = json.loads(answer.text)
            if answer.status_code != 200 or (body["id"], body["owner_id"]) != (str(row["id"]), str(row["owner_id"])):
                raise WrongAnswer(f"{path}: {answer.status_code} {answer.text[:500]}")
            calls.append(Call(request("GET", path, token), starts=answer.text))
    return calls

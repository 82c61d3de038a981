"""`write`: a customer created, with row, journal and outbox, acknowledged after the commit."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
import uuid
from collections.abc import Iterator
from typing import Any

import asyncpg
import httpx

from crm_stack.bench import customers
from crm_stack.bench.bed import Bed, bed
from crm_stack.bench.load import Call, Outcome, Plan, WrongAnswer, request, run_load
from crm_stack.bench.reference import PREFIX
from crm_stack.bench.result import Result
from crm_stack.bench.turns import in_turns

PATH = "/api/customers/v1/customers"
GOAL = "≥ 0.4 of the rate"
BODY = {
    "name": "주식회사 한빛",
    "phone": "+821012345678",
    "email": "office@customer.example",
    "country": "대한민국",
    "industry": "Trade",
}
#: How long the relay may take for what one run left behind; seconds.
DRAINED_WITHIN = 90.0


def run(size: int, seconds: float, repeats: int) -> Iterator[Result]:
    """One result."""
    with bed(("identity", "customers")) as made:
        dsn = made.stack.dsn("customers")
        company = asyncio.run(customers.load(dsn, size))
        owner = company.viewers[1]
        token = made.token(asyncio.run(made.signing_key()), owner, "self")
        made.serve_reference(write=_template(made, dsn, token, owner))
        acknowledged: list[str] = []

        def load(path: str, *, keep: bool) -> Outcome:
            plan = Plan(made.gateway_port, [Call(request("POST", path, token, BODY), 201)], seconds, keep=keep)
            outcome = run_load(plan)
            acknowledged.extend(json.loads(body)["id"] for body in outcome.bodies)
            return outcome

        turns = in_turns(
            repeats,
            lambda: load(PATH, keep=True),
            lambda: load(f"{PREFIX}/customers", keep=False),
            # What waits for the relay after one run would be the next one's burden.
            after=lambda: asyncio.run(drained(dsn)),
        )
        asyncio.run(check_acknowledged(dsn, acknowledged, owner))
        met = statistics.median(turns.ratios) >= 0.4
        yield Result(
            "write",
            "requests/s",
            turns.rate,
            turns.reference_rate,
            turns.ratios,
            turns.milliseconds,
            size,
            GOAL,
            met,
            {"acknowledged_and_found": len(acknowledged)},
        )


def _template(made: Bed, dsn: str, token: str, owner: uuid.UUID) -> dict[str, Any]:
    """One real write, for the reference to write the same event. Raises WrongAnswer."""
    headers = {"Authorization": f"Bearer {token}"}
    answer = httpx.post(f"{made.stack.address}{PATH}", json=BODY, headers=headers, timeout=30.0)
    if answer.status_code != 201:
        raise WrongAnswer(f"POST {PATH}: {answer.status_code} {answer.text[:500]}")

    async def event() -> Any:
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetchrow(
                "SELECT topic, type, data::text AS data FROM journal WHERE subject = $1", answer.json()["id"]
            )
        finally:
            await connection.close()

    return {"owner": str(owner), **dict(asyncio.run(event()))}


async def drained(dsn: str) -> None:
    """Wait until the relay has nothing to do. Raises WrongAnswer when it doesn't get there."""
    connection = await asyncpg.connect(dsn)
    try:
        deadline = time.monotonic() + DRAINED_WITHIN
        while waiting := await connection.fetchval("SELECT count(*) FROM outbox"):
            if time.monotonic() > deadline:
                raise WrongAnswer(f"{waiting} events still wait for the relay after {DRAINED_WITHIN:.0f} s")
            await asyncio.sleep(0.1)
    finally:
        await connection.close()


async def check_acknowledged(dsn: str, acknowledged: list[str], owner: uuid.UUID) -> None:
    """Everything acknowledged is there, once, with its owner and exactly one event. Raises WrongAnswer."""
    connection = await asyncpg.connect(dsn)
    try:
        found = await connection.fetchval(
            "SELECT count(*) FROM unnest($1::uuid[]) AS asked(id) JOIN customer c USING (id) WHERE c.owner_id = $2 "
            "AND c.name = $3 AND (SELECT count(*) FROM journal j WHERE j.subject = c.id) = 1",
            acknowledged,
            owner,
            BODY["name"],
        )
    finally:
        await connection.close()
    if found != len(acknowledged) or len(set(acknowledged)) != found:
        raise WrongAnswer(f"{len(acknowledged)} customers were acknowledged, {found} are there as they must be")

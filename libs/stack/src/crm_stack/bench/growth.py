"""`growth`: `list` and `write` on many customers against the same on 10,000, in turns on two stacks."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from crm_stack.bench import customers, lists, write
from crm_stack.bench.bed import Bed, bed
from crm_stack.bench.load import Call, Outcome, Plan, request, run_load
from crm_stack.bench.result import Result, Unfit
from crm_stack.bench.turns import Turns, in_turns

SMALL = 10_000
#: From so many on a size says something about growth; below it figures are shown, and judged by nobody.
JUDGED_FROM = 100 * SMALL
MOST = 1.5
GOAL = "takes ≤ 1.5 times as long as at 10,000"
WIDTH = 40


@dataclass
class Side:
    """One stack with its customers. acknowledged: ids of what was written. Tokens are made for each turn: loading a side, or some turns,
    may take longer than a token lives."""

    made: Bed
    company: customers.Company
    key: Any
    acknowledged: list[str] = field(default_factory=list)

    @classmethod
    def load(cls, made: Bed, size: int) -> Side:
        """Load the customers."""
        company = asyncio.run(customers.load(made.stack.dsn("customers"), size))
        return cls(made, company, asyncio.run(made.signing_key()))

    @property
    def dsn(self) -> str:
        """Of the customers' database."""
        return self.made.stack.dsn("customers")

    @property
    def writer(self) -> uuid.UUID:
        """Who writes: somebody whose records the reader doesn't see."""
        return self.company.viewers[1]

    def read_for(self, seconds: float) -> Outcome:
        """Read as fast as it goes: the first page of somebody who sees 40 owners' records, checked against the plainer SQL. Raises
        WrongAnswer."""
        token = self.made.token(self.key, self.company.viewers[WIDTH], "subordinates")
        expected = asyncio.run(self._newest())
        bodies, paths = lists.checked_pages(self.made, token, expected, 1)
        return run_load(
            Plan(self.made.gateway_port, [Call(request("GET", paths[0], token), starts=bodies[0])], seconds)
        )

    def write_for(self, seconds: float) -> Outcome:
        """Write as fast as it goes."""
        token = self.made.token(self.key, self.writer, "self")
        call = Call(request("POST", write.PATH, token, write.BODY), 201)
        outcome = run_load(Plan(self.made.gateway_port, [call], seconds, keep=True))
        self.acknowledged.extend(json.loads(body)["id"] for body in outcome.bodies)
        # What waits for the relay would be the other's burden.
        asyncio.run(write.drained(self.dsn))
        return outcome

    async def _newest(self) -> list[Any]:
        import asyncpg

        connection = await asyncpg.connect(self.dsn)
        try:
            return list(await customers.expected_rows(connection, self.company, WIDTH, 50))
        finally:
            await connection.close()


def run(size: int, seconds: float, repeats: int) -> Iterator[Result]:
    """Two results, `growth-list` and `growth-write`. The ratio tells how many times as long an answer takes on the larger side.

    Raises Unfit for a size that is no growth.
    """
    if size <= SMALL:
        raise Unfit(f"growth compares with {SMALL:,} customers: --size is to be more, and {JUDGED_FROM:,} to be judged")
    services = ("identity", "customers")
    with bed(services) as one, bed(services) as other:
        small, large = Side.load(one, SMALL), Side.load(other, size)
        read = in_turns(repeats, partial(large.read_for, seconds), partial(small.read_for, seconds))
        yield _result("growth-list", read, size, {})
        written = in_turns(repeats, partial(large.write_for, seconds), partial(small.write_for, seconds))
        for side in (small, large):
            asyncio.run(write.check_acknowledged(side.dsn, side.acknowledged, side.writer))
        notes = {"acknowledged_and_found": len(small.acknowledged) + len(large.acknowledged)}
        yield _result("growth-write", written, size, notes)


def _result(name: str, turns: Turns, size: int, notes: dict[str, Any]) -> Result:
    longer = [1 / ratio for ratio in turns.ratios]
    return Result(
        name,
        "requests/s",
        turns.rate,
        turns.reference_rate,
        longer,
        turns.milliseconds,
        size,
        GOAL,
        verdict(longer, size),
        notes,
    )


def verdict(longer: Sequence[float], size: int) -> bool | None:
    """Whether the goal is met. longer: how many times as long it took, turn by turn. None: the size is too small to tell, or turns
    disagree."""
    if size < JUDGED_FROM or min(longer) <= MOST < max(longer):
        return None
    return max(longer) <= MOST

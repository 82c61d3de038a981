"""`gateway`: what Envoy with its token checks costs on top of a route that does nothing, and on the lightest route of a service."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from crm_stack.bench.bed import Bed, bed
from crm_stack.bench.load import Call, Outcome, Plan, request, run_load
from crm_stack.bench.reference import PREFIX
from crm_stack.bench.result import Result
from crm_stack.bench.turns import in_turns

GOAL = "≥ 0.8 of the rate, ≤ 0.5 ms added at p50"
COMPANY = "/api/identity/v1/company"


def run(size: int, seconds: float, repeats: int) -> Iterator[Result]:
    """Two results: a bare route, and a real one of identity that reads one row."""
    del size
    with bed(("identity", "customers")) as made:
        made.serve_reference()
        for name, path, port, expected in (
            ("gateway-trivial", f"{PREFIX}/trivial", made.reference_port, '{"ok":true}'),
            ("gateway-service", COMPANY, made.stack.part("identity").port or 0, '{"'),
        ):
            yield _one(made, name, path, port, expected, seconds, repeats)


def _one(made: Bed, name: str, path: str, direct: int, starts: str, seconds: float, repeats: int) -> Result:
    token = made.administrator_token()

    def calls(connections: int, port: int) -> Outcome:
        return run_load(Plan(port, [Call(request("GET", path, token), starts=starts)], seconds, connections))

    server = "identity" if name == "gateway-service" else "reference"
    before = {part: made.processor_seconds(part) for part in ("gateway", server)}
    through = answers = 0

    def counted(port: int) -> Outcome:
        nonlocal through, answers
        outcome = calls(16, port)
        answers += len(outcome.milliseconds)
        through += len(outcome.milliseconds) if port == made.gateway_port else 0
        return outcome

    turns = in_turns(repeats, lambda: counted(made.gateway_port), lambda: counted(direct))
    used = {part: made.processor_seconds(part) - before[part] for part in before}
    # What one request waits longer is seen where none waits for another.
    alone = in_turns(repeats, lambda: calls(1, made.gateway_port), lambda: calls(1, direct))
    added = statistics.median(alone.milliseconds) - statistics.median(alone.reference_milliseconds)
    ratio = statistics.median(turns.ratios)
    return Result(
        name,
        "requests/s",
        turns.rate,
        turns.reference_rate,
        turns.ratios,
        turns.milliseconds,
        0,
        GOAL,
        ratio >= 0.8 and added <= 0.5,
        {
            "added_ms_p50": round(added, 3),
            "gateway_cpu_us": round(used["gateway"] / through * 1e6),
            "service_cpu_us": round(used[server] / answers * 1e6),
        },
    )

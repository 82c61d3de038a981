"""`freshness`: how long after the commit in sales an event is in an answer of analytics, while 100 others a second are written."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import httpx

from crm_stack.bench.bed import Bed, bed
from crm_stack.bench.load import Call, Plan, WrongAnswer, request, to_json
from crm_stack.bench.result import Result, percentile
from crm_stack.layout import services_of, workspace

WRITES_PER_SECOND = 100.0
GOAL = "p50 ≤ 50 ms, p99 ≤ 250 ms under 100 writes/s"
OPPORTUNITIES = "/api/sales/v1/opportunities"
EVENTS = "/api/analytics/v1/events"
#: How long one event may take before it counts as lost; seconds.
LOST_AFTER = 30.0
SAMPLES_PER_REPEAT = 20
#: Seconds between two looks; what is measured is too long by half of it.
ASKED_EVERY = 0.005


def run(size: int, seconds: float, repeats: int) -> Iterator[Result]:
    """One result, of SAMPLES_PER_REPEAT events for each repeat. The writes go on for as long as the samples are taken."""
    del size, seconds
    with bed(services_of(workspace())) as made:
        token = made.administrator_token()
        call = Call(request("POST", OPPORTUNITIES, token, {"name": "Written meanwhile"}), 201)
        # Ends with the samples, or by its own bound.
        plan = Plan(made.gateway_port, [call], 120.0, connections=32, per_second=WRITES_PER_SECOND)
        writer = subprocess.Popen(
            [sys.executable, "-s", "-P", "-m", "crm_stack.bench.load"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert writer.stdin is not None
            writer.stdin.write(to_json(plan))
            writer.stdin.close()
            before, begun = _written(made, token), time.monotonic()
            milliseconds = [_sample(made, token, n) for n in range(SAMPLES_PER_REPEAT * repeats)]
            if writer.poll() is not None:
                raise WrongAnswer(f"the writes beside ended: {writer.stderr.read() if writer.stderr else ''}")
            rate = (_written(made, token) - before) / (time.monotonic() - begun)
        finally:
            writer.kill()
            writer.wait()
        p50, p99 = percentile(milliseconds, 0.5), percentile(milliseconds, 0.99)
        met = p50 <= 50 and p99 <= 250 and rate >= 0.95 * WRITES_PER_SECOND
        yield Result(
            "freshness", "ms", p50, None, [], milliseconds, 0, GOAL, met, {"writes_per_second_achieved": round(rate, 1)}
        )


def _client(made: Bed, token: str) -> httpx.Client:
    return httpx.Client(base_url=made.stack.address, headers={"Authorization": f"Bearer {token}"}, timeout=30.0)


def _written(made: Bed, token: str) -> int:
    """The opportunities that are there."""
    with _client(made, token) as client:
        found: int = client.get(OPPORTUNITIES, params={"limit": 1, "count": "exact"}).json()["count"]
        return found


def _sample(made: Bed, token: str, number: int) -> float:
    """Milliseconds from the answer to a write until analytics answers with it. Raises WrongAnswer when it stays away."""
    with _client(made, token) as client:
        name = f"Sample {number}"
        created = client.post(OPPORTUNITIES, json={"name": name})
        # The answer comes after the commit: what the way back takes isn't counted, at most a few milliseconds.
        committed = time.perf_counter()
        if created.status_code != 201:
            raise WrongAnswer(f"POST {OPPORTUNITIES}: {created.status_code} {created.text[:300]}")
        subject = created.json()["id"]
        while time.perf_counter() < committed + LOST_AFTER:
            # Who asks without a pause takes a processor of their own, here one of few.
            time.sleep(ASKED_EVERY)
            answer = client.get(EVENTS, params={"subject": subject})
            if answer.status_code != 200:
                raise WrongAnswer(f"GET {EVENTS}: {answer.status_code} {answer.text[:300]}")
            if items := answer.json()["items"]:
                taken = (time.perf_counter() - committed) * 1000
                if len(items) != 1 or items[0]["subject"] != subject or name not in answer.text:
                    raise WrongAnswer(f"another event than the one asked for: {answer.text[:500]}")
                return taken
    raise WrongAnswer(f"the event of {subject} was not there after {LOST_AFTER:.0f} s")

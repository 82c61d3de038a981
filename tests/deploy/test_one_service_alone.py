"""One service is stopped, migrated and started in its next version, and taken back, while the others serve.

The runbook: docs/runbooks/deploy-one-service.md.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from journeys.company import ADMINISTRATOR, Company, usd
from journeys.next_version import REVISION, TITLE, NextVersion
from journeys.person import Person
from journeys.reconciling import every_event_is_applied
from journeys.waiting import A_SECOND, PATIENCE, until

from crm_stack.local import Stack
from crm_web.health import migrations

#: One cheap request of each service that is not deployed; the first one writes.
OTHERS = (
    ("POST", "customers/customers"),
    ("GET", "customers/customers?limit=1"),
    ("GET", "identity/me"),
    ("GET", "billing/contracts?limit=1"),
    ("GET", "support/tickets?limit=1"),
    ("GET", "analytics/reports/sales-brief?from=2026-01-01&to=2026-01-31"),
)


class Colleagues:
    """Somebody who goes on working with the other services, until left; every answer is counted, every failure kept."""

    def __init__(self, person: Person) -> None:
        self.answered: Counter[str] = Counter()
        self.failures: list[str] = []
        self._person = person
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="colleagues")

    def __enter__(self) -> "Colleagues":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def all_answered_since(self, before: Counter[str]) -> bool:
        """Whether every one of the others has answered since."""
        return all(self.answered[path] > before[path] for _, path in OTHERS) or bool(self.failures)

    def _work(self) -> None:
        turn = 0
        while not self._stop.is_set():
            for method, path in OTHERS:
                options = {"json": {"name": f"Meanwhile {turn}"}} if method == "POST" else {}
                try:
                    answer = self._person.send(method, path, **options)  # type: ignore[arg-type]
                except httpx.HTTPError as failed:
                    self.failures.append(f"{method} {path}: {failed!r}")
                    continue
                if answer.status_code >= 300:
                    self.failures.append(f"{method} {path}: {answer.status_code} {answer.text}")
                self.answered[path] += 1
            turn += 1
            self._stop.wait(0.1)  # The pace of people; nothing is waited for.


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    """A company on a stack of its own, app and worker of each service apart."""
    with Company.alone(tmp_path / "stack", split=True) as made:
        yield made


@pytest.fixture
def next_version(company: Company, tmp_path: Path) -> Iterator[NextVersion]:
    """The next version of sales, not running."""
    made = NextVersion(company.stack, tmp_path / "next")
    try:
        yield made
    finally:
        made.kill()


def title(stack: Stack) -> str:
    """What the sales that answers now calls itself; empty when nothing answers."""
    try:
        answer = httpx.get(f"{stack.service_address('sales')}/openapi.json", timeout=60)
    except httpx.TransportError:
        return ""
    return str(answer.json()["info"]["title"])


def readiness(stack: Stack, part: str) -> tuple[int, str]:
    """Status and text of `/readyz`; 0 when nothing answers."""
    try:
        answer = httpx.get(f"{stack.service_address(part)}/readyz", timeout=60)
    except httpx.TransportError as error:
        return 0, repr(error)
    return answer.status_code, answer.text


def await_ready(stack: Stack, said: object = "") -> None:
    """Both parts of sales are ready."""
    for part in ("sales", "sales-worker"):
        until(lambda part=part: readiness(stack, part)[0] == 200, 30 * PATIENCE, f"{part} is ready {said}")  # type: ignore[misc]


@pytest.mark.requirement("PL-50", "PL-46", "PL-23")
def test_one_service_is_replaced_and_taken_back_while_the_others_serve(
    company: Company, next_version: NextVersion
) -> None:
    stack, admin = company.stack, company.administrator
    first = admin.post("customers/customers", {"name": "Before"})
    admin.post("sales/opportunities", {"name": "Before", "customer_id": first["id"]}, after=first.consistency)
    until(lambda: title(stack) == "Sales", 30 * PATIENCE, "this version says its name")

    with Colleagues(company.person(*ADMINISTRATOR).sign_in()) as colleagues:
        # Stop. The worker first, so that a fact waits in the outbox; this is the hardest order.
        stack.hold("sales-worker")
        unsent = admin.post("sales/opportunities", {"name": "Not sent yet", "customer_id": first["id"]})
        stack.hold("sales")

        # Its own requests are refused in a form that clients understand, and nobody else's.
        before = Counter(colleagues.answered)
        refused = admin.call("GET", "sales/opportunities")
        assert (refused.status, refused.code) == (503, "service.unavailable")
        created_meanwhile = admin.post("customers/customers", {"name": "While sales was away"})
        until(lambda: colleagues.all_answered_since(before), 10 * PATIENCE, "the others go on answering")

        # Started before its migration it lives, but is not ready: no orchestrator would send it requests.
        next_version.start()
        until(lambda: "migrations" in readiness(stack, "sales")[1], 30 * PATIENCE, "it says what is missing")
        assert readiness(stack, "sales")[0] == 503
        assert REVISION in readiness(stack, "sales")[1]
        next_version.migrate()
        await_ready(stack, next_version.said())
        until(lambda: title(stack) == TITLE, 30 * PATIENCE, "the next version says its name")

        # It serves through the same gateway, and catches up on both sides.
        until(lambda: admin.call("GET", "sales/opportunities").status == 200, A_SECOND * 5, "the gateway finds it")
        body = {"name": "First of the next version", "customer_id": created_meanwhile["id"], "value": usd("12.50")}
        made = admin.post("sales/opportunities", body, after=created_meanwhile.consistency)
        assert admin.get(f"sales/opportunities/{unsent['id']}")["name"] == "Not sent yet"
        until(lambda: known_to_analytics(stack, unsent["id"]), 30 * PATIENCE, "what waited in the outbox is sent")

        # Taken back: the older code finds a database that is newer, and takes it.
        before = Counter(colleagues.answered)
        next_version.stop()
        for part in ("sales", "sales-worker"):
            stack.release(part)
        await_ready(stack)
        until(lambda: title(stack) == "Sales", 30 * PATIENCE, "the older version says its name")
        until(lambda: admin.call("GET", "sales/opportunities").status == 200, A_SECOND * 5, "the gateway finds it")
        assert admin.get(f"sales/opportunities/{made['id']}")["value"] == usd("12.50")
        until(lambda: colleagues.all_answered_since(before), 10 * PATIENCE, "the others go on answering")

    assert colleagues.failures == []
    assert migrations("sales")[0] != REVISION
    found = every_event_is_applied(stack, 30 * PATIENCE)
    assert found.events > 0
    print(f"{colleagues.answered.total()} requests at the others, none failed; {found.events} events applied")


def known_to_analytics(stack: Stack, opportunity: str) -> bool:
    """Whether analytics has applied a fact of this opportunity."""
    import asyncio

    import asyncpg

    async def ask() -> bool:
        connection = await asyncpg.connect(stack.dsn("analytics"))
        try:
            count = await connection.fetchval("SELECT count(*) FROM event_log WHERE subject = $1::uuid", opportunity)
            return bool(count)
        finally:
            await connection.close()

    return asyncio.run(ask())

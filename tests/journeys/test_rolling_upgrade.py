"""Old and new version of a service side by side under load, an expanding migration before and a contracting one after: no request fails.

The runbook: docs/runbooks/deploy-one-service.md. The normal run does it with two services, on Apache Kafka where it can run;
`CRM_TEST_FULL=1` with all six, on the embedded broker too.
"""

import json
import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from crm_stack.apache_kafka import ApacheKafka, why_unavailable
from crm_stack.local import Stack
from crm_stack.ports import free_port

from .company import ADMINISTRATOR, Company, usd
from .next_version import NextVersion
from .person import Person
from .reconciling import every_event_is_applied
from .waiting import PATIENCE, until

FULL = os.environ.get("CRM_TEST_FULL") == "1"
ROLLED = ("identity", "customers", "sales", "billing", "support", "analytics") if FULL else ("customers", "sales")
WRITERS = 3
KINDS = ("apache-kafka", "embedded-broker")


class Callers:
    """People who read and write at all services, until left. Nobody sends anything again: every answer is counted, every failure kept."""

    def __init__(self, company: Company, customer: str) -> None:
        self.answered: Counter[str] = Counter()
        self.failures: list[str] = []
        #: What is done to which service while they work; it stands with each failure.
        self.meanwhile = ""
        self._customer = customer
        self._people = [company.person(*ADMINISTRATOR).sign_in() for _ in range(WRITERS)]
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(person,)) for person in self._people]

    def __enter__(self) -> "Callers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(90)
        assert not any(thread.is_alive() for thread in self._threads)

    def more(self, service: str, requests: int = 40) -> None:
        """Wait until so many more requests of a service were answered."""
        wanted = self.answered[service] + requests
        until(
            lambda: self.answered[service] >= wanted or self.failures, 60 * PATIENCE, f"{requests} answers of {service}"
        )

    def _work(self, person: Person) -> None:
        while not self._stop.is_set():
            made = self._ask(person, "POST", "customers/customers", {"name": "While it is rolled"})
            if made is not None:
                # Their own write at another service (PL-13): 2 s for the event to arrive, also while relays change hands.
                self._sell(person, made.json()["id"], made.headers["consistency-token"])
                self._ask(person, "PATCH", f"customers/customers/{made.json()['id']}", {"description": "changed"})
            self._ask(person, "POST", "support/tickets", {"subject": "Meanwhile", "customer_id": self._customer})
            self._ask(person, "GET", "billing/contracts?limit=1")
            self._ask(person, "GET", "identity/me")
            self._ask(person, "GET", "analytics/reports/sales-brief?from=2026-01-01&to=2026-01-31")

    def _sell(self, person: Person, customer: str, after: str) -> None:
        body = {"name": "While it is rolled", "customer_id": customer, "value": usd("10.00")}
        deal = self._ask(person, "POST", "sales/opportunities", body, after=after)
        if deal is not None:
            self._ask(person, "POST", f"sales/opportunities/{deal.json()['id']}/win", {})

    def _ask(
        self, person: Person, method: str, path: str, body: Any = None, *, after: str | None = None
    ) -> httpx.Response | None:
        if self._stop.is_set():
            return None
        options: dict[str, Any] = {} if body is None else {"json": body}
        try:
            answer = person.send(method, path, after=after, **options)
        except httpx.HTTPError as failed:
            self.failures.append(f"{self.meanwhile}: {method} {path}: {failed!r}")
            return None
        self.answered[path.partition("/")[0]] += 1
        if answer.status_code >= 300:
            self.failures.append(f"{self.meanwhile}: {method} {path}: {answer.status_code} {answer.text}")
            return None
        return answer


class Gateway:
    """What the gateway knows of a service's replicas, at its administration interface."""

    def __init__(self, stack: Stack) -> None:
        ports = json.loads((stack.layout.state / "ports.json").read_text())
        self._clusters = f"http://127.0.0.1:{ports['gateway-admin']}/clusters"

    def taken(self, service: str, port: int) -> int | None:
        """How many requests a replica was given; None: the gateway leads nobody there."""
        start = f"service_{service}::127.0.0.1:{port}::rq_total::"
        lines = httpx.get(self._clusters, timeout=30).text.splitlines()
        found = [int(line.removeprefix(start)) for line in lines if line.startswith(start)]
        return found[0] if found else None


@pytest.fixture(params=KINDS if FULL or why_unavailable() is not None else KINDS[:1])
def rolled(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Company]:
    """A company on a stack of its own, app and worker of each service apart."""
    with ExitStack() as closing:
        options = {}
        if request.param == "apache-kafka":
            if (reason := why_unavailable()) is not None:
                pytest.skip(f"Apache Kafka can't run here: {reason}")
            kafka = closing.enter_context(ApacheKafka(tmp_path / "kafka"))
            options = {"broker": "kafka", "external_kafka": kafka.bootstrap}
        yield closing.enter_context(Company.alone(tmp_path / "stack", split=True, **options))


@pytest.fixture
def versions() -> Iterator[list[NextVersion]]:
    """The next versions that run."""
    made: list[NextVersion] = []
    yield made
    for one in made:
        one.kill()


def roll(company: Company, callers: Callers, service: str, folder: Path, versions: list[NextVersion]) -> None:
    """Exchange a service."""
    stack, gateway = company.stack, Gateway(company.stack)
    old, new = stack.part(service).port, free_port()
    assert old is not None
    worker = free_port()
    beside = NextVersion(stack, folder, service, {"app": new, "worker": worker})
    versions.append(beside)
    callers.meanwhile = f"{service} is migrated"
    # Expand; the old version goes on over the newer database.
    beside.migrate()
    callers.more(service)
    callers.meanwhile = f"both versions of {service} serve"
    # The new one beside it, and both in turns.
    beside.start()
    for port in (new, worker):
        until(lambda port=port: is_ready(port), 30 * PATIENCE, f"the next version of {service} is ready")  # type: ignore[misc]
    before = gateway.taken(service, old) or 0
    stack.lead(service, [old, new])

    def both_are_asked() -> bool:
        return (gateway.taken(service, new) or 0) > 10 and (gateway.taken(service, old) or 0) > before + 10

    until(lambda: both_are_asked() or callers.failures, 60 * PATIENCE, f"both versions of {service} are asked")
    callers.meanwhile = f"the old version of {service} goes"
    # The old one is left out, and ends when nothing is under way there any more.
    stack.lead(service, [new])
    until(lambda: gateway.taken(service, old) is None, 10 * PATIENCE, f"nobody is led to the old version of {service}")
    callers.more(service)
    for part in (service, f"{service}-worker"):
        stack.hold(part)
    callers.more(service)
    until(lambda: "relay leads" in (folder / "worker.log").read_text(), 30 * PATIENCE, f"the next {service} relays")
    callers.meanwhile = f"{service} is contracted"
    # Contract: what only the old version needed goes.
    beside.contract()
    callers.more(service)


def is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=60).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.requirement("PL-47", "PL-50")
def test_services_are_exchanged_one_after_the_other_and_no_request_fails(
    rolled: Company, versions: list[NextVersion], tmp_path: Path
) -> None:
    stack, admin = rolled.stack, rolled.administrator
    customer = admin.post("customers/customers", {"name": "The customer"})
    # Every service knows it before the load begins.
    admin.post("sales/opportunities", {"name": "First", "customer_id": customer["id"]}, after=customer.consistency)
    admin.post("support/tickets", {"subject": "First", "customer_id": customer["id"]}, after=customer.consistency)
    with Callers(rolled, customer["id"]) as callers:
        for service in ROLLED:
            folder = tmp_path / service
            folder.mkdir()
            roll(rolled, callers, service, folder, versions)
    assert callers.failures == [], "\n".join(callers.failures)
    found = every_event_is_applied(stack, 60 * PATIENCE)
    print(f"{dict(callers.answered)} answered, none failed; {found.events} events applied")
    for version in versions:
        version.stop()

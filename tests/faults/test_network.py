"""The network between services, databases and broker fails while people work: far away, cut off, half-open.

The gateway stays reachable, so every request is answered, by a success or a problem document, and nobody waits for longer than his
client does. Once the network is back, all goes on without a process being started anew, and what was answered is true (`judged`).
"""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path as Folder
from typing import Any

import httpx
import pytest
from journeys.company import ADMINISTRATOR, Company
from journeys.victim import KINDS, SERVICES, Victim
from journeys.waiting import until

from crm_stack.apache_kafka import ApacheKafka, why_unavailable
from crm_stack.broker import EmbeddedBroker
from crm_stack.local import Stack
from crm_stack.port_plan import remembered
from crm_stack.ports import free_port
from crm_testing.network import Path

from .detour import PORTS
from .gate import FULL, held
from .load import Load
from .test_kills import SECONDS, judged

#: Answered writes between two faults; cuts in a row.
BETWEEN, CUTS = (400, 100) if FULL else (20, 10)
WRITERS = 16 if FULL else 4
#: Failures after which a silent network has outlasted every limit: those of a statement (15 s), then those of log-ins (5 s).
FAILURES = 3 * WRITERS
#: What `/readyz` says of a broker that doesn't answer, and of identity's missing heartbeat.
_SILENT, _DEAF = "the broker can't be reached", "identity was not heard"
#: What a network that fails may be answered with.
EXPECTED = {
    "service.unavailable",
    "service.busy",
    "service.timeout",
    "service.outcome_unknown",
    "idempotency.running",
    # Of a service that hears nothing: it waits for what another one wrote, and takes fresh tokens only.
    "consistency_token.not_applied",
    "token.stale",
}


@dataclass(frozen=True)
class Far:
    """A company whose services reach their databases and the broker over networks that fail."""

    victim: Victim
    databases: dict[str, Path]
    broker: Path

    @property
    def restarts(self) -> dict[str, int]:
        """How often each process of ours was started anew."""
        return {
            name: self.victim.company.stack.part(name).restarts
            for name in (part.name for part in self.victim.company.stack._told().parts)
        }

    def warnings(self, service: str) -> str:
        """What a service says is wrong around it."""
        answer = httpx.get(f"{self.victim.company.stack.service_address(service)}/readyz", timeout=10)
        return "; ".join(answer.json()["warnings"])


@pytest.fixture(scope="module", params=KINDS if FULL else KINDS[:1])
def far(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Far]:
    """On a stack of its own, on each broker at full size."""
    with ExitStack() as closing:
        folder = tmp_path_factory.mktemp("stack-far")
        postgres = "postgres"

        def port() -> int:
            return remembered(folder / "state" / "ports.json")[postgres]

        databases = {service: closing.enter_context(Path(port)) for service in SERVICES}
        broker_port = free_port()
        broker = closing.enter_context(Path.to(broker_port))
        kind: type[ApacheKafka | EmbeddedBroker] = EmbeddedBroker
        if request.param == "apart-apache-kafka":
            if (reason := why_unavailable()) is not None:
                pytest.skip(f"Apache Kafka can't run here: {reason}")
            kind = ApacheKafka
        behind = closing.enter_context(
            kind(tmp_path_factory.mktemp("broker-far"), broker_port, advertised=broker.address)
        )
        kafka = behind if isinstance(behind, ApacheKafka) else None
        stack = Stack.start(
            folder,
            administrator=ADMINISTRATOR,
            split=kafka is not None,
            broker="kafka",
            external_kafka=broker.address,
            environment={
                PORTS: json.dumps({service: path.port for service, path in databases.items()}),
                "CRM_KAFKA_IDEMPOTENCE": "false" if kafka is None else "true",
            },
            entry=(Folder(__file__).parent, "detour:to_database"),
        )
        closing.enter_context(stack)
        company = Company(stack)
        closing.callback(company.close)
        yield Far(Victim(company, kafka), databases, broker)


def afflict(far: Far, load: Load) -> dict[str, float]:
    """Every fault on each of the ways, under load; seconds that each took, healing and going on included."""
    took: dict[str, float] = {}

    def over(what: str, began: float) -> None:
        load.more(BETWEEN, SECONDS)
        took[what] = round(time.monotonic() - began, 1)

    def fails(times: int) -> None:
        before = load.answered.again
        until(lambda: load.answered.again >= before + times or load.failed, 4 * SECONDS, f"{times} writes fail")

    load.more(BETWEEN, SECONDS)
    # One whose answers are waited for, and one that is only told of what happens.
    for service in ("customers", "analytics"):
        way, waited_for = far.databases[service], service == "customers"
        began = time.monotonic()
        way.delay(0.2, jitter=0.05)
        load.more(BETWEEN, 3 * SECONDS)
        way.heal()
        over(f"{service}: database far away", began)
        began = time.monotonic()
        for _ in range(CUTS):
            load.more(2, SECONDS)
            way.cut()
        over(f"{service}: database cut off", began)
        for ways in (("to_server", "to_client"), ("to_client",)):
            began = time.monotonic()
            way.freeze(ways=ways)  # type: ignore[arg-type]
            if waited_for:
                fails(FAILURES)
            else:
                load.more(BETWEEN, SECONDS)
            way.heal()
            over(f"{service}: database silent {' and '.join(ways)}", began)
    began = time.monotonic()
    far.broker.delay(0.2, jitter=0.05)
    load.more(BETWEEN, 3 * SECONDS)
    far.broker.heal()
    over("broker far away", began)
    began = time.monotonic()
    for _ in range(CUTS):
        load.more(2, SECONDS)
        far.broker.cut()
    over("broker cut off", began)
    began = time.monotonic()
    far.broker.freeze()
    # Longer than any request to a broker is waited for; identity itself needs no heartbeat.
    for service in SERVICES:
        what = _SILENT if service == "identity" else _DEAF
        until(lambda service=service, what=what: what in far.warnings(service), 90, f"{service} says: {what}")  # type: ignore[misc]
    far.broker.heal()
    over("broker silent", began)
    for service in SERVICES:
        until(lambda service=service: not far.warnings(service), 90, f"{service} has nothing to say")  # type: ignore[misc]
    return took


@pytest.mark.requirement("PL-8", "PL-46", "PL-51")
def test_whatever_the_network_does_nothing_hangs_and_nothing_that_was_answered_is_lost(far: Far) -> None:
    company = far.victim.company
    decider = company.hire("Decider", "super_administrator", company.root)
    before = far.restarts
    began = time.monotonic()
    with Load(company.administrator, decider, WRITERS) as load:
        took = afflict(far, load)
    seconds = time.monotonic() - began
    answered = load.answered
    assert not load.failed, load.failed
    assert answered.silent == [], "the gateway answers in time"
    assert answered.malformed == []
    assert answered.failures.keys() <= EXPECTED, answered.failures
    assert answered.again > 0, "somebody noticed the faults"
    company.stack.wait_ready()
    assert far.restarts == before, "no process had to be started anew"
    found: dict[str, Any] = judged(far.victim, answered)
    held(
        "network",
        broker="embedded broker" if far.victim.kafka is None else "Apache Kafka",
        seconds=round(seconds),
        slowest_answer_seconds=round(answered.slowest, 1),
        failures=dict(sorted(answered.failures.items())),
        took_seconds=took,
        **found,
    )

"""`kill -9` of every part, and a broker that forgets everything, while people work (G1): nothing answered is lost, doubled or miscounted.

The normal run kills each part once and wipes the broker's log twice, a minute's worth; `CRM_TEST_FULL=1` kills services twenty times,
PostgreSQL five times and the broker ten times, under more than 100,000 writes.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from journeys.company import ADMINISTRATOR, Company
from journeys.waiting import PATIENCE

from crm_stack.local import Stack
from crm_testing.kafka import ApacheKafka, why_unavailable

from . import proof
from .load import Load

FULL = os.environ.get("CRM_TEST_FULL") == "1"
SERVICES = ("identity", "customers", "sales", "analytics")
#: Answered writes between two faults.
BETWEEN = 1500 if FULL else 20
ROUNDS = 20 if FULL else 1
#: Of these rounds PostgreSQL and the broker are killed in every fourth.
SELDOM = 4
#: Seconds for BETWEEN writes, a part's coming back included.
SECONDS = (60.0 if FULL else 6.0) * PATIENCE


@dataclass(frozen=True)
class Victim:
    """A company, and how its broker is killed and emptied; everything else is the stack's to kill."""

    company: Company
    kafka: ApacheKafka | None

    @property
    def processes(self) -> list[str]:
        """The parts that are programs of ours: a service, or its app and its worker."""
        return [part.name for part in self.company.stack.wait_ready().parts if part.name.split("-")[0] in SERVICES]

    def kill(self, part: str) -> None:
        """`kill -9`; what the stack doesn't start again by itself comes back here."""
        if part == "broker" and self.kafka is not None:
            self.kafka.kill()
            self.kafka.start()
        else:
            self.company.stack.kill(part)

    def wipe_broker(self) -> None:
        """The broker comes back with an empty log."""
        if self.kafka is not None:
            self.kafka.wipe()
        else:
            self.company.stack.wipe_broker()


@pytest.fixture(scope="module", params=["together-embedded-broker", "apart-apache-kafka"])
def victim(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    """A company on a stack of its own, on each broker; app and worker apart where the broker is Apache Kafka."""
    with ExitStack() as closing:
        kafka = None
        if request.param == "apart-apache-kafka":
            if (reason := why_unavailable()) is not None:
                pytest.skip(f"Apache Kafka can't run here: {reason}")
            kafka = closing.enter_context(ApacheKafka(tmp_path_factory.mktemp("kafka-faults")))
        stack = Stack.start(
            tmp_path_factory.mktemp("stack-faults"),
            administrator=ADMINISTRATOR,
            split=kafka is not None,
            broker="embedded" if kafka is None else "kafka",
            external_kafka=None if kafka is None else kafka.bootstrap,
        )
        closing.enter_context(stack)
        company = Company(stack)
        closing.callback(company.close)
        yield Victim(company, kafka)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker of pytest-xdist for the stack."""
    for item in items:
        if Path(__file__) == item.path:
            item.add_marker(pytest.mark.xdist_group("faults"))


def afflict(victim: Victim, load: Load) -> list[str]:
    """Let everything die under load, the broker's log too, which then regrows past where it was; answers what died."""
    died = []
    load.more(BETWEEN, SECONDS)
    processes = victim.processes
    for round_ in range(ROUNDS):
        seldom = round_ % SELDOM == 0
        if seldom:
            victim.wipe_broker()
            died.append("broker's log")
            # So many writes again as there were: the new log grows past the positions that were read in the old one.
            load.more(load.answered.writes if round_ == 0 else BETWEEN, SECONDS)
        for part in (*processes, *(["postgres", "broker"] if seldom else [])):
            victim.kill(part)
            died.append(part)
            load.more(BETWEEN, SECONDS)
    return died


@pytest.mark.requirement("PL-13", "PL-23", "PL-51", "PL-8")
def test_whatever_dies_nothing_that_was_answered_is_lost_doubled_or_miscounted(victim: Victim) -> None:
    stack, admin = victim.company.stack, victim.company.administrator
    with Load(admin) as load:
        died = afflict(victim, load)
    answered = load.answered
    assert not load.failed, load.failed
    assert set(died) == {*victim.processes, "postgres", "broker", "broker's log"}
    stack.wait_ready()
    print(f"{answered.writes} writes, {answered.again} tries again, died: {died}")
    assert answered.refused == []
    assert answered.again > 0, "somebody noticed the faults"

    deals = proof.everything_answered_is_readable(admin, answered)
    found = proof.every_event_is_applied(stack, 60.0)
    assert found.events > answered.writes
    assert proof.every_effect_is_there_once_and_in_order(stack) >= answered.writes
    proof.the_figures_are_a_recount(admin, deals)
    proof.winners_are_customers(admin, deals)
    proof.a_rebuild_changes_nothing(stack, admin)

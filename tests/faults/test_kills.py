"""G1: `kill -9` of every part, and a broker that forgets everything, while people work: nothing answered is lost, doubled or miscounted.

The normal run kills each part once and wipes the broker's log once, a minute's worth. Full size (`./crm bench faults --gate G1 --full`):
each service twenty times, PostgreSQL and the broker five times, the log wiped twice, under 100,000 writes.
"""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from journeys.reconciling import every_event_is_applied
from journeys.victim import KINDS, Victim, victim_of
from journeys.waiting import PATIENCE

from . import proof
from .gate import FULL, held
from .load import Answered, Load

#: Answered writes between two faults.
BETWEEN = 780 if FULL else 20
ROUNDS = 20 if FULL else 1
#: Of these rounds PostgreSQL and the broker are killed in every fourth, and the log is wiped in every tenth.
SELDOM, WIPED = 4, 10
WRITERS = 16 if FULL else 4
#: Seconds for BETWEEN writes, a part's coming back included.
SECONDS = (60.0 if FULL else 6.0) * PATIENCE


@pytest.fixture(scope="module", params=KINDS)
def victim(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    """A company on a stack of its own, on each broker."""
    with victim_of(request.param, tmp_path_factory) as found:
        yield found


def afflict(victim: Victim, load: Load) -> list[str]:
    """Let everything die under load, the broker's log too, which then regrows past where it was; answers what died."""
    died = []
    load.more(BETWEEN, SECONDS)
    processes = victim.processes
    for round_ in range(ROUNDS):
        if round_ % WIPED == 0:
            victim.wipe_broker()
            died.append("broker's log")
            if round_ == 0:
                # So many writes again as there were: the new log grows past the positions that were read in the old one. After the
                # next one the remaining half of the load does the same.
                load.more(load.answered.writes, SECONDS)
        for part in (*processes, *(["postgres", "broker"] if round_ % SELDOM == 0 else [])):
            victim.kill(part)
            died.append(part)
            load.more(BETWEEN, SECONDS)
    return died


def judged(victim: Victim, answered: Answered, drain: float = 60.0) -> dict[str, Any]:
    """All that must hold, against the writers' own list, the databases, the topics and a rebuild; what was found. drain: seconds."""
    stack, admin = victim.company.stack, victim.company.administrator
    assert answered.refused == []
    ended = time.monotonic()
    found = every_event_is_applied(stack, drain)
    drained = time.monotonic() - ended
    deals = proof.everything_answered_is_readable(admin, answered)
    proof.money_is_exact(admin, answered)
    proof.each_ticket_was_answered_once(admin, answered)
    assert found.events > answered.writes
    assert proof.every_effect_is_there_once_and_in_order(stack) >= answered.writes
    records = proof.every_topic_tells_in_order(stack.bootstrap)
    proof.the_figures_are_a_recount(admin, deals)
    proof.winners_are_customers(admin, deals)
    proof.a_rebuild_changes_nothing(stack, admin)
    return {
        "writes": answered.writes,
        "tried_again": answered.again,
        "refused": len(answered.refused),
        "drained_within_seconds": round(drained, 1),
        "events": found.events,
        "records_on_the_topics": records,
    }


@pytest.mark.requirement("PL-13", "PL-23", "PL-51", "PL-8")
def test_whatever_dies_nothing_that_was_answered_is_lost_doubled_or_miscounted(victim: Victim) -> None:
    company = victim.company
    decider = company.hire("Decider", "super_administrator", company.root)
    began = time.monotonic()
    with Load(company.administrator, decider, WRITERS) as load:
        died = afflict(victim, load)
    seconds = time.monotonic() - began
    assert not load.failed, load.failed
    assert set(died) == {*victim.processes, "postgres", "broker", "broker's log"}
    company.stack.wait_ready()
    assert load.answered.again > 0, "somebody noticed the faults"
    assert load.answered.writes >= (100_000 if FULL else BETWEEN)
    held(
        "G1",
        broker="embedded broker" if victim.kafka is None else "Apache Kafka",
        seconds=round(seconds),
        writes_a_second=round(load.answered.writes / seconds, 1),
        killed=dict(sorted(Counter(died).items())),
        **judged(victim, load.answered),
    )


@pytest.mark.parametrize("guard", ["without_outbox", "without_inbox"])
def test_the_gate_notices_a_guard_that_is_taken_out(guard: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The same load on services that lack one guard each, and nothing is killed; order and hold-back: test_gate_outbox.py."""
    with victim_of(KINDS[0], tmp_path_factory, (Path(__file__).parent, f"sabotage:{guard}")) as victim:
        decider = victim.company.hire("Decider", "super_administrator", victim.company.root)
        with Load(victim.company.administrator, decider) as load:
            load.more(6 * BETWEEN, SECONDS)
        assert not load.failed, load.failed
        with pytest.raises((AssertionError, pytest.fail.Exception), match="every event is in the inbox of every group"):
            judged(victim, load.answered, drain=15.0)

"""`kill -9` of every part, and a broker that forgets everything, while people work (G1): nothing answered is lost, doubled or miscounted.

The normal run kills each part once and wipes the broker's log twice, a minute's worth; `CRM_TEST_FULL=1` kills services twenty times,
PostgreSQL five times and the broker ten times, under more than 100,000 writes.
"""

import os
from collections.abc import Iterator

import pytest
from journeys.reconciling import every_event_is_applied
from journeys.victim import KINDS, Victim, victim_of
from journeys.waiting import PATIENCE

from . import proof
from .load import Load

FULL = os.environ.get("CRM_TEST_FULL") == "1"
#: Answered writes between two faults.
BETWEEN = 1500 if FULL else 20
ROUNDS = 20 if FULL else 1
#: Of these rounds PostgreSQL and the broker are killed in every fourth.
SELDOM = 4
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
    decider = victim.company.hire("Decider", "super_administrator", victim.company.root)
    with Load(admin, decider) as load:
        died = afflict(victim, load)
    answered = load.answered
    assert not load.failed, load.failed
    assert set(died) == {*victim.processes, "postgres", "broker", "broker's log"}
    stack.wait_ready()
    print(f"{answered.writes} writes, {answered.again} tries again, died: {died}")
    assert answered.refused == []
    assert answered.again > 0, "somebody noticed the faults"

    deals = proof.everything_answered_is_readable(admin, answered)
    proof.money_is_exact(admin, answered)
    proof.each_ticket_was_answered_once(admin, answered)
    found = every_event_is_applied(stack, 60.0)
    assert found.events > answered.writes
    assert proof.every_effect_is_there_once_and_in_order(stack) >= answered.writes
    proof.the_figures_are_a_recount(admin, deals)
    proof.winners_are_customers(admin, deals)
    proof.a_rebuild_changes_nothing(stack, admin)

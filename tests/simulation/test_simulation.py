"""The rules hold in random histories."""

import pytest

from crm_events.relay import rules as relay

from .history import first_failure
from .producer import Broken, Relay
from .take_over import take_overs
from .warm_start import warm_starts


def test_every_fact_is_applied_once_and_in_order_whatever_fails() -> None:
    """2,000 histories with crashes, lock loss, lost and late answers, wipes, restored logs and databases, poison, zombies."""
    failure = first_failure(range(2_000))
    assert failure is None, str(failure)


def test_a_restored_producer_database_starts_a_new_numbering_and_loses_nothing_recorded_since() -> None:
    """Rule 12: the producer's database goes back to a backup, and groups have applied more than it knows."""
    failure = first_failure(range(1_000), producer_restores=True)
    assert failure is None, str(failure)


def test_a_warm_start_sends_only_what_the_slowest_group_lacks() -> None:
    """Rule 9 with an empty broker."""
    warm_starts(range(500))


def test_sending_before_the_reports_turns_a_warm_start_into_a_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same without rule 9: it must be noticed."""
    monkeypatch.setattr(relay, "may_send", lambda partition, now: True)
    with pytest.raises(Broken, match="on the warm start"):
        warm_starts(range(500))


def test_who_stood_by_goes_on_at_once_and_sends_nothing_again() -> None:
    """Rule 9 when a leader leaves: the groups that were heard meanwhile need not be heard once more."""
    take_overs(range(500))


def test_who_stood_by_and_takes_nothing_from_it_makes_everybody_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same when only reports after the lock count: it must be noticed."""
    monkeypatch.setattr(relay, "still_counts", lambda heard_at, now, gate_seconds: False)
    with pytest.raises(Broken, match="who stood by waits"):
        take_overs(range(20))


def test_reports_that_outlive_their_connection_turn_a_warm_start_into_a_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kept in the database, say, they would be fresh when a machine is switched on again."""

    def forget(self: Relay) -> None:
        self.partitions, self.pending, self.mail = {}, [], []
        if self.database.holder is self:
            self.database.holder = None

    def told(self: Relay, slot: tuple[str, int], reported: relay.Report, now: float) -> None:
        self.kept[reported.group, slot] = (now + self.skew, reported)
        if self.leads:
            self.mail.append((slot, reported))

    monkeypatch.setattr(Relay, "forget", forget)
    monkeypatch.setattr(Relay, "told", told)
    with pytest.raises(Broken, match="on the warm start"):
        warm_starts(range(500))

"""The rules hold in random histories."""

import pytest

from crm_events.relay import rules as relay

from .history import first_failure
from .producer import Broken
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

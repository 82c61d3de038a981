"""When a delivery is tried again, and what is sent next."""

import datetime as dt
import uuid
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_analytics.webhook import rules
from crm_analytics.webhook.rules import Attempt, LeaseLost, Waiting

NOW = dt.datetime(2026, 11, 23, 3, tzinfo=dt.UTC)
SECOND, HOUR, DAY = dt.timedelta(seconds=1), dt.timedelta(hours=1), dt.timedelta(days=1)


def _waiting(seq: int, next_at: dt.datetime = NOW) -> Waiting:
    return Waiting(uuid.uuid4(), uuid.uuid4(), seq, 0, 0, None, next_at)


@pytest.mark.requirement("PL-43")
def test_the_pauses_grow_from_seconds_to_half_a_day() -> None:
    expected = [5, 30, 120, 600, 3600, 10800, 21600, 43200, 43200]
    assert [rules.pause(n).total_seconds() for n in range(1, 10)] == expected


@pytest.mark.requirement("PL-43")
def test_an_event_is_tried_for_three_days_and_a_last_time_when_they_end() -> None:
    assert rules.next_attempt(1, NOW, NOW, None) == NOW + 5 * SECOND
    assert rules.next_attempt(9, NOW, NOW + 3 * DAY - HOUR, None) == NOW + 3 * DAY
    assert rules.next_attempt(9, NOW, NOW + 3 * DAY, None) is None


def test_a_receiver_may_ask_for_more_time_but_not_for_any() -> None:
    assert rules.next_attempt(1, NOW, NOW, 60 * SECOND) == NOW + 60 * SECOND
    assert rules.next_attempt(3, NOW, NOW, 60 * SECOND) == NOW + 120 * SECOND
    assert rules.next_attempt(1, NOW, NOW, 30 * DAY) == NOW + 12 * HOUR


@given(st.integers(1, 40), st.floats(0, 80), st.none() | st.integers(0, 10**6))
def test_the_next_attempt_lies_ahead_and_never_behind_the_patience(
    failures: int, hours: float, wish: int | None
) -> None:
    now = NOW + hours * HOUR
    at = rules.next_attempt(failures, NOW, now, None if wish is None else wish * SECOND)
    if now >= NOW + 3 * DAY:
        assert at is None
    else:
        assert at is not None
        assert now < at <= NOW + 3 * DAY


def test_first_comes_what_stands_first_and_no_more_than_may_be_sent_at_once() -> None:
    heads = [_waiting(seq) for seq in (9, 2, 7, 4, 5)]
    later = _waiting(1, NOW + HOUR)
    choice = rules.choose([*heads, later], NOW, most=3)
    assert [one.seq for one in choice.now] == [2, 4, 5]
    failing = replace(heads[1], failures=1)
    assert [one.seq for one in rules.choose([failing, *heads[2:]], NOW, most=2).now] == [4, 5], (
        "what failed comes behind"
    )
    assert rules.choose([later], NOW) == rules.Choice([], NOW + HOUR)
    assert rules.choose([], NOW) == rules.Choice([], None)


def test_a_webhook_rests_for_a_minute_at_most() -> None:
    assert [rules.rest(n).total_seconds() for n in (1, 2, 3, 9)] == [5, 30, 60, 60]


def test_what_is_older_than_the_webhook_or_than_thirty_days_is_not_sent_by_itself() -> None:
    assert rules.oldest_sent(NOW - HOUR, NOW) == NOW - HOUR - dt.timedelta(minutes=5)
    assert rules.oldest_sent(NOW - 90 * DAY, NOW) == NOW - 30 * DAY


def test_deliveries_are_kept_longer_than_events_are_sent_by_themselves() -> None:
    assert NOW - rules.oldest_sent(NOW - 90 * DAY, NOW) < rules.KEPT + rules.KEPT_MORE


def test_a_request_is_over_before_its_lease_is() -> None:
    from crm_analytics.webhook.sending import TIME_LIMIT

    assert rules.BEGIN_WITHIN + dt.timedelta(seconds=TIME_LIMIT) < rules.LEASE


def test_only_2xx_is_success_and_410_is_the_end() -> None:
    for status, succeeded, gone in ((200, True, False), (204, True, False), (302, False, False), (410, False, True)):
        attempt = Attempt(NOW, 0.1, status)
        assert (attempt.succeeded, attempt.gone) == (succeeded, gone)
    assert not Attempt(NOW, 0.1, error="none").succeeded


def test_another_ones_lease_does_not_count() -> None:
    mine = uuid.uuid4()
    rules.require_held(mine, mine)
    for held in (uuid.uuid4(), None):
        with pytest.raises(LeaseLost):
            rules.require_held(held, mine)

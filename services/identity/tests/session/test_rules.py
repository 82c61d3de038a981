import datetime as dt
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_identity.session.rules import Guard, GuardLimits, SessionLife, admit, judge_refresh

NOW = dt.datetime(2026, 3, 1, 9, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)
LIMITS = GuardLimits(free=5)
LIFE = SessionLife()


def test_the_first_attempts_are_free_and_then_there_is_a_wait() -> None:
    guard = Guard()
    for _ in range(5):
        answer = admit(guard, LIMITS, NOW)
        assert isinstance(answer, Guard)
        guard = answer
    assert admit(guard, LIMITS, NOW) == dt.timedelta(seconds=30)
    assert admit(guard, LIMITS, NOW + 29 * SECOND) == SECOND


def test_each_failure_after_a_wait_doubles_the_next_up_to_a_limit() -> None:
    guard, now, waits = Guard(4, NOW), NOW, []
    for _ in range(8):
        answer = admit(guard, LIMITS, now)
        assert isinstance(answer, Guard)
        assert answer.blocked_until is not None
        waits.append((answer.blocked_until - now).total_seconds())
        guard, now = answer, answer.blocked_until
    assert waits == [30, 60, 120, 240, 480, 900, 900, 900]


def test_failures_are_forgotten_after_an_hour() -> None:
    answer = admit(Guard(9, NOW, NOW + 60 * SECOND), LIMITS, NOW + dt.timedelta(hours=1, seconds=1))
    assert answer == Guard(1, NOW + dt.timedelta(hours=1, seconds=1), None)


@given(st.lists(st.integers(0, 120), max_size=200))
def test_guessing_all_day_evaluates_few_guesses(pauses: list[int]) -> None:
    """However the guesses are spread: beyond the free ones, no two are evaluated within the first lock."""
    guard, now, evaluated = Guard(), NOW, []
    for pause in pauses:
        now += pause * SECOND
        answer = admit(guard, LIMITS, now)
        if isinstance(answer, Guard):
            guard = answer
            evaluated.append(now)
    locked = evaluated[LIMITS.free - 1 :]
    assert all(later - earlier >= LIMITS.first_lock for earlier, later in itertools.pairwise(locked))


@pytest.mark.parametrize(
    ("used", "expires", "session_expires", "ended", "verdict"),
    [
        (None, 60, 60, False, "rotate"),
        (-9, 60, 60, False, "rotate"),
        (-10, 60, 60, False, "rotate"),
        (-11, 60, 60, False, "reuse"),
        (-11, -60, 60, False, "reuse"),
        (None, 0, 60, False, "expired"),
        (None, 60, 0, False, "expired"),
        (None, 60, 60, True, "expired"),
        (-11, 60, 60, True, "expired"),
    ],
)
def test_what_a_refresh_token_is_worth(
    used: int | None, expires: int, session_expires: int, ended: bool, verdict: str
) -> None:
    assert (
        judge_refresh(
            now=NOW,
            used_at=None if used is None else NOW + used * SECOND,
            token_expires_at=NOW + expires * SECOND,
            session_expires_at=NOW + session_expires * SECOND,
            ended=ended,
            life=LIFE,
        )
        == verdict
    )

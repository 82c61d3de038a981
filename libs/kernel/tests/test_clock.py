import datetime as dt

import pytest

from crm_kernel import Clock, FixedClock, SystemClock


def test_the_system_clock_tells_the_present_in_utc() -> None:
    clock: Clock = SystemClock()
    before = dt.datetime.now(dt.UTC)
    now = clock.now()
    assert now.tzinfo is dt.UTC
    assert before <= now <= dt.datetime.now(dt.UTC)


def test_a_fixed_clock_stands_until_it_is_moved() -> None:
    noon = dt.datetime(2017, 3, 5, 12, tzinfo=dt.UTC)
    clock = FixedClock(noon)
    assert clock.now() == clock.now() == noon
    clock.advance(dt.timedelta(minutes=5))
    assert clock.now() == noon + dt.timedelta(minutes=5)


def test_a_fixed_clock_refuses_an_instant_without_a_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        FixedClock(dt.datetime(2017, 3, 5, 12))  # noqa: DTZ001

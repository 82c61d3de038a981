import datetime as dt
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_kernel import FIRST_DAY, LAST_DAY, DayOutOfRange, EndsBeforeStart, Period, PeriodKind

DAY = dt.timedelta(days=1)
NAMED = [kind for kind in PeriodKind if kind is not PeriodKind.RANGE]
named = st.sampled_from(NAMED)
days = st.dates(dt.date(1600, 1, 1), dt.date(2400, 12, 31))


def free(first: str, last: str) -> Period:
    return Period(PeriodKind.RANGE, dt.date.fromisoformat(first), dt.date.fromisoformat(last))


@pytest.mark.requirement("AN-3")
@pytest.mark.parametrize(
    ("kind", "day", "first", "last", "key"),
    [
        (PeriodKind.DAY, "2017-03-05", "2017-03-05", "2017-03-05", "2017-03-05"),
        (PeriodKind.WEEK, "2017-03-05", "2017-02-27", "2017-03-05", "2017-W09"),
        (PeriodKind.WEEK, "2016-01-01", "2015-12-28", "2016-01-03", "2015-W53"),
        (PeriodKind.WEEK, "2018-12-31", "2018-12-31", "2019-01-06", "2019-W01"),
        (PeriodKind.MONTH, "2017-03-05", "2017-03-01", "2017-03-31", "2017-03"),
        (PeriodKind.MONTH, "2016-02-29", "2016-02-01", "2016-02-29", "2016-02"),
        (PeriodKind.QUARTER, "2017-03-31", "2017-01-01", "2017-03-31", "2017-Q1"),
        (PeriodKind.QUARTER, "2017-10-01", "2017-10-01", "2017-12-31", "2017-Q4"),
        (PeriodKind.YEAR, "2017-12-31", "2017-01-01", "2017-12-31", "2017"),
    ],
)
def test_the_period_around_a_day(kind: PeriodKind, day: str, first: str, last: str, key: str) -> None:
    period = Period.containing(kind, dt.date.fromisoformat(day))
    assert (period.first.isoformat(), period.last.isoformat(), period.key) == (first, last, key)


@given(named, days)
def test_every_day_is_in_exactly_one_period_of_a_kind(kind: PeriodKind, day: dt.date) -> None:
    period = Period.containing(kind, day)
    assert day in period
    assert period.first - DAY not in period
    assert period.last + DAY not in period
    assert Period.containing(kind, period.first) == Period.containing(kind, period.last) == period


@given(named, days)
def test_previous_and_following_touch_and_lead_back(kind: PeriodKind, day: dt.date) -> None:
    period = Period.containing(kind, day)
    assert period.previous().last + DAY == period.first
    assert period.following().first - DAY == period.last
    assert period.previous().following() == period.following().previous() == period


@given(named, days, st.integers(0, 800))
def test_iterating_covers_the_range_with_whole_periods_without_gap(kind: PeriodKind, first: dt.date, more: int) -> None:
    last = first + dt.timedelta(days=more)
    periods = list(Period.iterate(kind, first, last))
    assert first in periods[0]
    assert last in periods[-1]
    assert all(earlier.last + DAY == later.first for earlier, later in pairwise(periods))
    assert all(period == Period.containing(kind, period.first) for period in periods)
    keys = [period.key for period in periods]
    assert keys == sorted(set(keys))


def test_iterating_takes_whole_periods_at_both_ends() -> None:
    months = Period.iterate(PeriodKind.MONTH, dt.date(2017, 1, 31), dt.date(2017, 3, 1))
    assert [(month.key, month.days) for month in months] == [("2017-01", 31), ("2017-02", 28), ("2017-03", 31)]


def test_iterating_reaches_the_last_day_there_is() -> None:
    last_days = Period.iterate(PeriodKind.DAY, LAST_DAY - DAY, LAST_DAY)
    assert [period.first for period in last_days] == [LAST_DAY - DAY, LAST_DAY]


def test_a_bad_range_is_refused_before_the_first_period_is_asked_for() -> None:
    with pytest.raises(EndsBeforeStart) as refusal:
        Period.iterate(PeriodKind.MONTH, dt.date(2017, 3, 2), dt.date(2017, 3, 1))
    assert refusal.value.code == "calendar.ends_before_start"
    with pytest.raises(DayOutOfRange):
        Period.iterate(PeriodKind.YEAR, dt.date(2017, 1, 1), dt.date.max)
    with pytest.raises(ValueError, match="free range"):
        Period.iterate(PeriodKind.RANGE, dt.date(2017, 1, 1), dt.date(2017, 1, 2))


@pytest.mark.requirement("AN-3")
@pytest.mark.parametrize(
    ("kind", "day", "expected"),
    [
        (PeriodKind.DAY, "2017-03-05", "2016-03-05"),
        (PeriodKind.DAY, "2016-02-29", "2015-02-28"),
        (PeriodKind.WEEK, "2017-03-05", "2016-W09"),
        (PeriodKind.WEEK, "2020-12-31", "2019-W52"),  # 2020 has a week 53, 2019 has none
        (PeriodKind.WEEK, "2021-01-04", "2020-W01"),
        (PeriodKind.WEEK, "2021-01-01", "2019-W52"),  # is in 2020-W53
        (PeriodKind.MONTH, "2017-02-10", "2016-02"),
        (PeriodKind.QUARTER, "2017-12-31", "2016-Q4"),
        (PeriodKind.YEAR, "2017-06-01", "2016"),
    ],
)
def test_the_same_period_a_year_ago(kind: PeriodKind, day: str, expected: str) -> None:
    assert Period.containing(kind, dt.date.fromisoformat(day)).year_before().key == expected


@given(named, days)
def test_a_year_ago_is_of_the_same_kind_and_about_a_year_away(kind: PeriodKind, day: dt.date) -> None:
    period = Period.containing(kind, day)
    before = period.year_before()
    assert before.kind is kind
    assert 357 <= (period.first - before.first).days <= 371


def test_a_free_range_is_compared_with_as_many_days_before_and_the_same_dates_a_year_ago() -> None:
    campaign = free("2017-03-05", "2017-03-20")
    assert (campaign.key, campaign.days) == ("2017-03-05/2017-03-20", 16)
    assert campaign.previous() == free("2017-02-17", "2017-03-04")
    assert campaign.following() == free("2017-03-21", "2017-04-05")
    assert campaign.year_before() == free("2016-03-05", "2016-03-20")
    assert free("2016-02-29", "2016-02-29").year_before() == free("2015-02-28", "2015-02-28")


def test_a_range_of_one_day_is_not_the_day() -> None:
    day = Period.containing(PeriodKind.DAY, dt.date(2017, 3, 5))
    assert free("2017-03-05", "2017-03-05") != day
    assert free("2017-03-05", "2017-03-05").key != day.key


def test_a_range_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(EndsBeforeStart):
        free("2017-03-05", "2017-03-04")


def test_days_that_are_no_whole_period_are_a_programming_error() -> None:
    for kind, last in [(PeriodKind.MONTH, 30), (PeriodKind.DAY, 2), (PeriodKind.WEEK, 7)]:
        with pytest.raises(ValueError, match="is not one"):
            Period(kind, dt.date(2017, 3, 1), dt.date(2017, 3, last))


@pytest.mark.parametrize("day", [dt.date.min, FIRST_DAY - DAY, LAST_DAY + DAY, dt.date.max])
@pytest.mark.parametrize("kind", NAMED)
def test_days_outside_the_supported_years_are_refused(kind: PeriodKind, day: dt.date) -> None:
    with pytest.raises(DayOutOfRange) as refusal:
        Period.containing(kind, day)
    assert refusal.value.code == "calendar.day_out_of_range"
    with pytest.raises(DayOutOfRange):
        Period(PeriodKind.RANGE, min(day, FIRST_DAY), max(day, LAST_DAY))


def test_neighbours_beyond_the_supported_years_are_refused() -> None:
    first, last = Period.containing(PeriodKind.YEAR, FIRST_DAY), Period.containing(PeriodKind.YEAR, LAST_DAY)
    for step in (first.previous, first.year_before, last.following):
        with pytest.raises(DayOutOfRange):
            step()

"""Days against real time zones, with the oddest changes of clocks that the time zone database knows."""

import datetime as dt
import pickle
import subprocess
import sys
import zoneinfo
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crm_kernel import (
    FIRST_DAY,
    LAST_DAY,
    CompanyCalendar,
    DayOutOfRange,
    FixedClock,
    Period,
    PeriodKind,
    UnknownTimeZone,
)

DAY = dt.timedelta(days=1)
HOUR = dt.timedelta(hours=1)
MICROSECOND = dt.timedelta(microseconds=1)

# Zones whose clocks changed at or across midnight, moved across the date line, or use odd offsets.
ODD = [
    "America/Sao_Paulo", "America/Havana", "America/St_Johns", "America/Toronto", "America/Juneau", "America/Asuncion",
    "Africa/Cairo", "Asia/Beirut", "Asia/Gaza", "Asia/Amman", "Asia/Kathmandu", "Asia/Manila", "Asia/Seoul", "Asia/Shanghai",
    "Atlantic/Azores", "Australia/Lord_Howe", "Europe/Moscow", "Pacific/Apia", "Pacific/Kiritimati", "Pacific/Kwajalein",
    "Antarctica/Troll", "Africa/Monrovia", "America/Godthab", "Europe/Dublin", "Africa/Casablanca",
]  # fmt: skip
ALL = resources.files("tzdata").joinpath("zones").read_text(encoding="ascii").split()
zones = st.one_of(st.sampled_from(ODD), st.sampled_from(ALL))
days = st.dates(dt.date(1840, 1, 1), dt.date(2100, 12, 31))


def pinned(name: str) -> zoneinfo.ZoneInfo:
    """The zone as our calendars see it; the machine's own database differs from it here and there."""
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return zoneinfo.ZoneInfo.from_file(file, key=name)


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


# --- where days begin ----------------------------------------------------------------------------------------------


@pytest.mark.requirement("PL-10")
@pytest.mark.parametrize(
    ("zone", "day", "start", "hours"),
    [
        ("UTC", "2017-03-05", "2017-03-05T00:00", 24),
        ("Asia/Seoul", "2017-03-05", "2017-03-04T15:00", 24),
        ("Asia/Kathmandu", "2017-03-05", "2017-03-04T18:15", 24),
        ("Europe/Berlin", "2017-03-26", "2017-03-25T23:00", 23),
        ("Europe/Berlin", "2017-10-29", "2017-10-28T22:00", 25),
        ("Australia/Lord_Howe", "2017-04-02", "2017-04-01T13:00", 24.5),
        # Midnight does not exist: clocks went from 00:00 to 01:00.
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00", 23),
        ("Asia/Beirut", "2017-03-26", "2017-03-25T22:00", 23),
        # Midnight does not exist and is not where the gap begins: from 23:30 to 00:30.
        ("America/Toronto", "1919-03-31", "1919-03-31T04:30", 23.5),
        # Midnight came twice on the same day (01:00 back to 00:00): the first.
        ("America/Havana", "2017-11-05", "2017-11-05T04:00", 25),
        ("Atlantic/Azores", "2017-10-29", "2017-10-29T00:00", 25),
        # The hour before midnight came twice: the longer day is the one that ends.
        ("America/Sao_Paulo", "2018-02-17", "2018-02-17T02:00", 25),
        ("America/Sao_Paulo", "2018-02-18", "2018-02-18T03:00", 24),
        # At 00:01 back to 23:01 of the day before: the day begins at the second midnight.
        ("America/St_Johns", "2010-11-06", "2010-11-06T02:30", 25),
        ("America/St_Johns", "2010-11-07", "2010-11-07T03:30", 24),
        # Over the date line: a day that was skipped, and one that came twice.
        ("Pacific/Apia", "2011-12-29", "2011-12-29T10:00", 24),
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00", 0),
        ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00", 24),
    ],
)
def test_a_day_begins_and_lasts_as_the_zone_says(zone: str, day: str, start: str, hours: float) -> None:
    calendar = CompanyCalendar(zone)
    date = dt.date.fromisoformat(day)
    assert calendar.start_of(date) == utc(start)
    assert calendar.start_of(date).tzinfo is dt.UTC
    assert calendar.start_of(date + DAY) - calendar.start_of(date) == hours * HOUR


def test_the_day_that_came_twice_when_alaska_changed_sides_is_one_long_day() -> None:
    calendar = CompanyCalendar("America/Juneau")
    friday = dt.date(1867, 10, 18)
    assert calendar.start_of(friday + DAY) - calendar.start_of(friday) == 48 * HOUR


@given(zones, days)
@example("Pacific/Apia", dt.date(2011, 12, 30))
@example("America/St_Johns", dt.date(2010, 11, 7))
@example("America/Toronto", dt.date(1919, 3, 31))
@settings(max_examples=500)
def test_a_day_begins_where_the_date_on_the_wall_first_leaves_the_day_before_for_good(zone: str, day: dt.date) -> None:
    start = CompanyCalendar(zone).start_of(day)
    local = pinned(zone)
    assert (start - MICROSECOND).astimezone(local).date() < day
    assert all((start + quarter * HOUR / 4).astimezone(local).date() >= day for quarter in range(4 * 30))


# --- tiling --------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("AN-3")
@given(zones, days, st.integers(0, 400), st.sampled_from([kind for kind in PeriodKind if kind is not PeriodKind.RANGE]))
def test_periods_tile_the_time_line(zone: str, first: dt.date, more: int, kind: PeriodKind) -> None:
    calendar = CompanyCalendar(zone)
    last = first + dt.timedelta(days=more)
    previous_end: dt.datetime | None = None
    for period in Period.iterate(kind, first, last):
        start, end = calendar.bounds(period)
        assert start <= end
        assert previous_end is None or start == previous_end
        previous_end = end
    assert previous_end == calendar.start_of(Period.containing(kind, last).last + DAY)


instants = st.datetimes(utc("1840-01-01").replace(tzinfo=None), utc("2100-01-01").replace(tzinfo=None)).map(
    lambda naive: naive.replace(tzinfo=dt.UTC)
)


@pytest.mark.requirement("AN-3")
@given(zones, instants)
@example("America/St_Johns", utc("2010-11-07T02:30:30"))  # the wall says the 7th, for a minute
@example("America/St_Johns", utc("2010-11-07T03:00"))  # and then the 6th again
@example("America/Juneau", utc("1867-10-19T00:15"))
@example("America/Juneau", utc("1867-10-19T12:00"))
@settings(max_examples=500)
def test_an_instant_is_on_the_one_day_whose_bounds_hold_it(zone: str, instant: dt.datetime) -> None:
    calendar = CompanyCalendar(zone)
    day = calendar.day_of(instant)
    for kind in (PeriodKind.DAY, PeriodKind.WEEK, PeriodKind.MONTH, PeriodKind.QUARTER, PeriodKind.YEAR):
        start, end = calendar.bounds(Period.containing(kind, day))
        assert start <= instant < end


@given(zones, days)
@settings(max_examples=300)
def test_bounds_are_half_open(zone: str, day: dt.date) -> None:
    calendar = CompanyCalendar(zone)
    start = calendar.start_of(day)
    assert calendar.day_of(start - MICROSECOND) < day
    assert calendar.day_of(start) >= day


@pytest.mark.requirement("PL-10")
def test_an_instant_in_any_zone_is_on_the_companys_day() -> None:
    calendar = CompanyCalendar("Asia/Seoul")
    evening_in_new_york = dt.datetime(2017, 3, 4, 20, tzinfo=dt.timezone(-5 * HOUR))
    assert calendar.day_of(evening_in_new_york) == dt.date(2017, 3, 5)
    assert CompanyCalendar("America/New_York").day_of(evening_in_new_york) == dt.date(2017, 3, 4)


def test_today_is_the_clocks_day_in_the_company() -> None:
    clock = FixedClock(utc("2017-03-04T14:59:59.999999"))
    calendar = CompanyCalendar("Asia/Seoul")
    assert calendar.today(clock.now()) == dt.date(2017, 3, 4)
    clock.advance(MICROSECOND)
    assert calendar.today(clock.now()) == dt.date(2017, 3, 5)


# --- refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("PL-10")
@pytest.mark.parametrize(
    "name",
    [
        "", "Asia/Atlantis", "asia/seoul", "America", "America/", "/Asia/Seoul", "Asia//Seoul", " Asia/Seoul", "Asia/Seoul\n",
        "../zones", "Asia/../Asia/Seoul", "/etc/passwd", "zone.tab", "tzdata.zi", "__init__.py", "Asia/Seoul\0", "서울", "x" * 10_000,
        "localtime", "posixrules", "+09:00", "KST",
    ],
)  # fmt: skip
def test_what_is_not_the_name_of_a_zone_is_refused(name: str) -> None:
    with pytest.raises(UnknownTimeZone) as refusal:
        CompanyCalendar(name)
    assert (refusal.value.code, refusal.value.status) == ("calendar.unknown_time_zone", 422)


def test_every_zone_of_the_database_is_known() -> None:
    assert len(ALL) > 500
    for name in ALL:
        assert CompanyCalendar(name).time_zone == name


def test_an_instant_without_a_zone_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="time zone"):
        CompanyCalendar("UTC").day_of(dt.datetime(2017, 3, 5))  # noqa: DTZ001


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_what_lies_outside_the_supported_years_is_refused_never_an_overflow(zone: str) -> None:
    calendar = CompanyCalendar(zone)
    for day in (dt.date.min, FIRST_DAY - DAY, LAST_DAY + DAY, dt.date.max):
        with pytest.raises(DayOutOfRange):
            calendar.start_of(day)
    for instant in (dt.datetime.min, dt.datetime.max, dt.datetime(999, 12, 30), dt.datetime(9001, 1, 2)):  # noqa: DTZ001, DTZ901
        with pytest.raises(DayOutOfRange):
            calendar.day_of(instant.replace(tzinfo=dt.UTC))
    start, end = calendar.bounds(Period(PeriodKind.RANGE, FIRST_DAY, LAST_DAY))
    assert start < end


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_the_first_and_the_last_day_are_usable_to_their_ends(zone: str) -> None:
    calendar = CompanyCalendar(zone)
    start, end = calendar.bounds(Period(PeriodKind.RANGE, FIRST_DAY, LAST_DAY))
    assert calendar.day_of(start) == FIRST_DAY
    assert calendar.day_of(end - MICROSECOND) == LAST_DAY
    for outside in (start - MICROSECOND, end):
        with pytest.raises(DayOutOfRange):
            calendar.day_of(outside)


# --- what it is made of --------------------------------------------------------------------------------------------


def test_calendars_of_one_zone_are_equal_and_travel_between_processes() -> None:
    calendar = CompanyCalendar("Asia/Seoul")
    assert calendar == CompanyCalendar("Asia/Seoul") != CompanyCalendar("Asia/Tokyo")
    assert pickle.loads(pickle.dumps(calendar)) == calendar


def test_days_do_not_depend_on_the_zones_that_the_machine_has(tmp_path: Path) -> None:
    (tmp_path / "Asia").mkdir()
    los_angeles = resources.files("tzdata").joinpath("zoneinfo", "America", "Los_Angeles").read_bytes()
    (tmp_path / "Asia" / "Seoul").write_bytes(los_angeles)
    program = (
        "import datetime, crm_kernel, zoneinfo;"
        "print(crm_kernel.CompanyCalendar('Asia/Seoul').start_of(datetime.date(2017, 3, 5)).isoformat(),"
        "datetime.datetime(2017, 3, 5, tzinfo=zoneinfo.ZoneInfo('Asia/Seoul')).utcoffset())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONTZPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    # The machine's own database, here a wrong one, is what plain zoneinfo believes.
    assert done.stdout.strip() == "2017-03-04T15:00:00+00:00 -1 day, 16:00:00"

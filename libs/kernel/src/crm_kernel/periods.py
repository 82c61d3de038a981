"""Periods: whole days, ISO weeks, months, quarters, years and free ranges, by which figures are grouped (AN-3).

A period is dates only. When its days begin and end is the company's time zone's affair: `crm_kernel.calendar`.
"""

import calendar
import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from crm_kernel.errors import Invalid

# Leaves room on both sides of what datetime can hold for time zones, the next period and the one before.
FIRST_DAY: Final = dt.date(1000, 1, 1)
LAST_DAY: Final = dt.date(9000, 12, 31)
_DAY: Final = dt.timedelta(days=1)


class DayOutOfRange(Invalid):
    """422: a day, or an instant, before FIRST_DAY or after LAST_DAY."""

    code = "calendar.day_out_of_range"
    title = "The date is outside the years 1000 to 9000"


class EndsBeforeStart(Invalid):
    """422: a range whose last day is before its first."""

    code = "calendar.ends_before_start"
    title = "The last day is before the first"


class PeriodKind(StrEnum):
    """How long a period is; `week` is Monday to Sunday (ISO 8601), `range` any days in a row."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"
    RANGE = "range"


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days in a row.

    kind: what it is called by. first, last: its first and last day, both part of it.

    `Period.containing` makes the calendar's periods; free ranges are `Period(PeriodKind.RANGE, first, last)`.
    Raises EndsBeforeStart, DayOutOfRange; ValueError for days that are not a whole period of that kind (a programming
    error, not input).
    """

    kind: PeriodKind
    first: dt.date
    last: dt.date

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise EndsBeforeStart
        require_in_range(self.first)
        require_in_range(self.last)
        if self.kind is not PeriodKind.RANGE and (self.first, self.last) != _whole(self.kind, self.first):
            raise ValueError(f"{self.first} to {self.last} is not one {self.kind}")

    @classmethod
    def containing(cls, kind: PeriodKind, day: dt.date) -> "Period":
        """The one period of a kind that a day is in; for `range`, which does not follow from a day, ValueError.

        Raises DayOutOfRange.
        """
        require_in_range(day)
        return cls(kind, *_whole(kind, day))

    @classmethod
    def iterate(cls, kind: PeriodKind, first: dt.date, last: dt.date) -> Iterator["Period"]:
        """The periods that together cover `first` to `last`, in order, without gap or overlap.

        They are whole, never clipped: the first one may begin before `first` and the last one end after `last`.
        Raises EndsBeforeStart, DayOutOfRange, and ValueError for `range`, all before the first period.
        """
        if last < first:
            raise EndsBeforeStart
        final = cls.containing(kind, last)
        return cls.containing(kind, first)._up_to(final)

    @property
    def key(self) -> str:
        """Its name in data and charts: "2017-03-05", "2017-W09", "2017-03", "2017-Q1", "2017", "2017-03-05/2017-03-20".

        Unique among all periods; of one kind other than range, text order is time order. The year of a week is its ISO
        year: 2016-01-01 is in "2015-W53".
        """
        match self.kind:
            case PeriodKind.DAY:
                return self.first.isoformat()
            case PeriodKind.WEEK:
                year, week, _ = self.first.isocalendar()
                return f"{year:04}-W{week:02}"
            case PeriodKind.MONTH:
                return f"{self.first.year:04}-{self.first.month:02}"
            case PeriodKind.QUARTER:
                return f"{self.first.year:04}-Q{_quarter(self.first)}"
            case PeriodKind.YEAR:
                return f"{self.first.year:04}"
            case PeriodKind.RANGE:
                return f"{self.first.isoformat()}/{self.last.isoformat()}"

    @property
    def days(self) -> int:
        """How many days it has; at least 1."""
        return (self.last - self.first).days + 1

    def __contains__(self, day: dt.date) -> bool:
        return self.first <= day <= self.last

    def previous(self) -> "Period":
        """The period right before: of the same kind; before a range, as many days.

        Raises DayOutOfRange.
        """
        if self.kind is PeriodKind.RANGE:
            length = dt.timedelta(days=self.days)
            return Period(PeriodKind.RANGE, self.first - length, self.first - _DAY)
        return Period.containing(self.kind, self.first - _DAY)

    def following(self) -> "Period":
        """The period right after: of the same kind; after a range, as many days.

        Raises DayOutOfRange.
        """
        if self.kind is PeriodKind.RANGE:
            length = dt.timedelta(days=self.days)
            return Period(PeriodKind.RANGE, self.last + _DAY, self.last + length)
        return Period.containing(self.kind, self.last + _DAY)

    def year_before(self) -> "Period":
        """The same period of the year before, for comparison.

        Day, month, quarter, year: the same by name. Week: the same ISO week number; week 53 is compared with
        week 52, for the year before a year with a week 53 has none. Range: both of its days by name. 29 February becomes the 28th.

        Raises DayOutOfRange.
        """
        if self.kind is PeriodKind.RANGE:
            return Period(PeriodKind.RANGE, _year_before(self.first), _year_before(self.last))
        if self.kind is PeriodKind.WEEK:
            year, week, _ = self.first.isocalendar()
            # Two years with a week 53 are at least five years apart: the year before never has one.
            return Period.containing(PeriodKind.WEEK, dt.date.fromisocalendar(year - 1, min(week, 52), 1))
        return Period.containing(self.kind, _year_before(self.first))

    def _up_to(self, final: "Period") -> Iterator["Period"]:
        period = self
        while period != final:
            yield period
            period = period.following()
        yield final


def require_in_range(day: dt.date) -> None:
    """Raises DayOutOfRange for a day that periods and calendars do not reckon with."""
    if not FIRST_DAY <= day <= LAST_DAY:
        raise DayOutOfRange


def _whole(kind: PeriodKind, day: dt.date) -> tuple[dt.date, dt.date]:
    """First and last day of the period around a day."""
    match kind:
        case PeriodKind.DAY:
            return day, day
        case PeriodKind.WEEK:
            monday = day - dt.timedelta(days=day.weekday())
            return monday, monday + dt.timedelta(days=6)
        case PeriodKind.MONTH:
            return day.replace(day=1), _end_of_month(day.year, day.month)
        case PeriodKind.QUARTER:
            last_month = _quarter(day) * 3
            return dt.date(day.year, last_month - 2, 1), _end_of_month(day.year, last_month)
        case PeriodKind.YEAR:
            return dt.date(day.year, 1, 1), dt.date(day.year, 12, 31)
        case PeriodKind.RANGE:
            raise ValueError("a free range does not follow from a day")


def _quarter(day: dt.date) -> int:
    return (day.month + 2) // 3


def _end_of_month(year: int, month: int) -> dt.date:
    return dt.date(year, month, calendar.monthrange(year, month)[1])


def _year_before(day: dt.date) -> dt.date:
    leap_day = (day.month, day.day) == (2, 29)
    return day.replace(year=day.year - 1, day=28 if leap_day else day.day)

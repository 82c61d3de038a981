"""The company's calendar: which day an instant is on, and when days and periods begin (PL-10, AN-3).

Instants are stored and compared in UTC; this is the only place that turns them into days and back.
"""

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Final
from zoneinfo import ZoneInfo

from crm_kernel.errors import Invalid
from crm_kernel.periods import FIRST_DAY, LAST_DAY, DayOutOfRange, EndsBeforeStart, Period, PeriodKind, require_in_range

__all__ = ["CompanyCalendar", "DayOutOfRange", "EndsBeforeStart", "Period", "PeriodKind", "UnknownTimeZone"]

_DAY: Final = dt.timedelta(days=1)
_SECOND: Final = dt.timedelta(seconds=1)
_MICROSECOND: Final = dt.timedelta(microseconds=1)


class UnknownTimeZone(Invalid):
    """422: not the name of a zone of the IANA time zone database, as it is written there."""

    code = "calendar.unknown_time_zone"
    title = "The time zone is not known"


@dataclass(frozen=True)
class CompanyCalendar:
    """Days in one time zone, the company's.

    time_zone: IANA name, "Asia/Seoul". Raises UnknownTimeZone.

    Days tile the time line: each begins where the one before ends, and every instant is on exactly the day whose bounds
    hold it. Most days have 24 hours; with clock changes 23 or 25, or odd minutes. The day that a zone skipped when it
    moved across the date line (Apia, 2011-12-30) is there and empty.
    """

    time_zone: str

    def __post_init__(self) -> None:
        _zone(self.time_zone)

    def today(self, now: dt.datetime) -> dt.date:
        """The day that it is in the company at the instant `now` (as a Clock tells it)."""
        return self.day_of(now)

    def day_of(self, instant: dt.datetime) -> dt.date:
        """The day that an instant is on. Raises DayOutOfRange; ValueError for an instant without a time zone."""
        if instant.tzinfo is None:
            raise ValueError("an instant needs a time zone")
        if not FIRST_DAY.year - 1 <= instant.year <= LAST_DAY.year + 1:
            # Before any conversion: next to the ends of datetime it would overflow.
            raise DayOutOfRange
        day = instant.astimezone(_zone(self.time_zone)).date()
        # Where clocks went back across midnight, the wall showed the new date, the old one, and the new one again.
        if instant < self._start(day):
            day -= _DAY
        require_in_range(day)
        return day

    def start_of(self, day: dt.date) -> dt.datetime:
        """The instant (UTC) at which a day begins: mostly, but not always, the company's midnight.

        Where midnight does not exist (clocks went forward over it) it is the moment of the change. Where it exists twice,
        it is the first one, unless the date on the wall fell back to the day before: then it is the second one, for a
        day begins when the one before is over.

        Raises DayOutOfRange.
        """
        require_in_range(day)
        return self._start(day)

    def bounds(self, period: Period) -> tuple[dt.datetime, dt.datetime]:
        """The instants (UTC) at which a period begins and the next one begins: `start <= instant < end`."""
        return self._start(period.first), self._start(period.last + _DAY)

    def _start(self, day: dt.date) -> dt.datetime:
        zone = _zone(self.time_zone)
        midnight = dt.datetime(day.year, day.month, day.day, tzinfo=zone)
        # PEP 495: fold chooses between the offsets before (0) and after (1) a change of clocks that midnight falls into.
        before, after = (midnight.replace(fold=fold).astimezone(dt.UTC) for fold in (0, 1))
        if before == after:
            return before
        if before < after:  # Clocks went back: midnight came twice.
            fell_back = (after - _MICROSECOND).astimezone(zone).date() < day
            return after if fell_back else before
        # Clocks went forward over midnight at some second in (after, before]: the first one that is on the day or later.
        early, late = after, before
        while late - early > _SECOND:
            middle = early + (late - early) // _SECOND // 2 * _SECOND
            if middle.astimezone(zone).date() < day:
                early = middle
            else:
                late = middle
        return late


@lru_cache(maxsize=1)
def _zone_names() -> frozenset[str]:
    """All zones of the `tzdata` package."""
    names = resources.files("tzdata").joinpath("zones").read_text(encoding="ascii")
    return frozenset(names.split())


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    """A zone of the pinned `tzdata` package, whatever the machine has installed: days are equal on every machine.

    Only listed names reach the file system: a name is a path there.
    """
    if name not in _zone_names():
        raise UnknownTimeZone
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)

"""When things happened: on working days, in office hours of the place, never after the plan's last day."""

import datetime as dt
import zoneinfo
from dataclasses import dataclass
from random import Random

from crm_stack.demo.company.words import Language

#: How far back the story goes: eighteen months.
PERIOD_DAYS = 548


@dataclass(frozen=True)
class Moments:
    """day: the plan's. What has happened, happened on the day before or earlier, wherever the company's midnight is."""

    day: dt.date

    @property
    def first(self) -> dt.date:
        """The first day of the story."""
        return self.day - dt.timedelta(days=PERIOD_DAYS)

    @property
    def last(self) -> dt.date:
        """The last day on which something happened."""
        return self.day - dt.timedelta(days=2)

    def at(self, language: Language, day: dt.date, rng: Random) -> dt.datetime:
        """Some time in the office hours of that day, or of the working day before."""
        if day.weekday() >= 5:
            day -= dt.timedelta(days=day.weekday() - 4)
        zone = zoneinfo.ZoneInfo(language.time_zone)
        local = dt.datetime.combine(day, dt.time(9 + rng.randint(0, 8), rng.randint(0, 59)), zone)
        return local.astimezone(dt.UTC)

    def within(self, moment: dt.datetime) -> bool:
        """Whether it has happened by the plan's day."""
        return moment.date() <= self.last

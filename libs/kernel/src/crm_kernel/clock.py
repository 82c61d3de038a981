"""Time as an argument: whoever needs the present asks a clock, so that tests can choose it."""

import datetime as dt
from typing import Protocol


class Clock(Protocol):
    """Answers what time it is; an instant in UTC."""

    def now(self) -> dt.datetime: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC)


class FixedClock:
    """A clock that stands still until it is moved; for rules and tests."""

    def __init__(self, instant: dt.datetime) -> None:
        if instant.tzinfo is None:
            raise ValueError("an instant needs a time zone")
        self._instant = instant

    def now(self) -> dt.datetime:
        return self._instant

    def advance(self, by: dt.timedelta) -> None:
        """Move the clock forward."""
        self._instant += by

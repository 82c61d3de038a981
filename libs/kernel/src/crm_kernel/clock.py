"""Time as an argument: whoever needs the present asks a clock, so that tests can choose it."""

import datetime as dt
import time
from typing import Protocol


class Clock(Protocol):
    """Answers what time it is, an instant in UTC, and how much passes, in seconds from any point on: that never jumps."""

    def now(self) -> dt.datetime: ...

    def elapsed(self) -> float: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC)

    def elapsed(self) -> float:
        return time.monotonic()


class FixedClock:
    """A clock that stands still until it is moved; for rules and tests."""

    def __init__(self, instant: dt.datetime) -> None:
        if instant.tzinfo is None:
            raise ValueError("an instant needs a time zone")
        self._instant = instant
        self._elapsed = 0.0

    def now(self) -> dt.datetime:
        return self._instant

    def elapsed(self) -> float:
        return self._elapsed

    def advance(self, by: dt.timedelta) -> None:
        """Let time pass; less than nothing, for a test that begins earlier than the last one ended."""
        self._instant += by
        self._elapsed += by.total_seconds()

    def jump(self, by: dt.timedelta) -> None:
        """Set the clock, forward or back, while no time passes."""
        self._instant += by

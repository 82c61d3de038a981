"""Waiting for something to become true, with a deadline; never a sleep for a fixed time."""

import os
import time
from collections.abc import Callable
from typing import TypeVar

import pytest

T = TypeVar("T")

#: How many times the promised second a change may take here: the machine does other work too. `CRM_TEST_PATIENCE=1` takes the promise
#: at its word, as the benchmark of freshness does.
PATIENCE = float(os.environ.get("CRM_TEST_PATIENCE", "10"))
#: Within what a committed change is in force, and in the figures, everywhere (ID-24, AN-15: one second); seconds.
A_SECOND = 1.0 * PATIENCE
_PAUSE = 0.02


def until(condition: Callable[[], T], seconds: float, what: str) -> T:
    """Ask `condition` until its answer is true, and return that answer. Fails the test after `seconds`, saying what was waited for."""
    deadline = time.monotonic() + seconds
    while True:
        asked_at = time.monotonic()
        answer = condition()
        if answer:
            return answer
        # What is asked at the deadline or later would be a later truth than the one that was promised.
        if asked_at >= deadline:
            pytest.fail(f"not within {seconds:g} s: {what}; the last answer was {answer!r}")
        time.sleep(_PAUSE)

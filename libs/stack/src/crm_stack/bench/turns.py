"""Subject and reference in turns, so that what else happens on the machine meets both."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol


class Ran(Protocol):
    """What came of one run."""

    milliseconds: list[float]

    @property
    def rate(self) -> float:
        """How many a second."""
        ...


@dataclass
class Counted:
    """So many things done in so many seconds, without a time of each."""

    count: int
    seconds: float
    milliseconds: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """How many a second."""
        return self.count / self.seconds


@dataclass
class Turns:
    """Answers per second of both, turn by turn, and the subject's times."""

    subject: list[float] = field(default_factory=list)
    reference: list[float] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)
    reference_milliseconds: list[float] = field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        """Subject to reference, of each turn."""
        return [ours / theirs for ours, theirs in zip(self.subject, self.reference, strict=True)]

    @property
    def rate(self) -> float:
        """The subject's median."""
        return statistics.median(self.subject)

    @property
    def reference_rate(self) -> float:
        """The reference's median."""
        return statistics.median(self.reference)


def in_turns(
    repeats: int,
    subject: Callable[[], Ran],
    reference: Callable[[], Ran],
    after: Callable[[], None] = lambda: None,
) -> Turns:
    """Run both `repeats` times, after one turn that warms up. after: called after each run, before the next."""
    turns = Turns()
    for turn in range(repeats + 1):
        # Who begins alternates: the second of a pair finds caches warmer and the other's work not quite done.
        order = ("reference", "subject") if turn % 2 else ("subject", "reference")
        outcomes = {}
        for who in order:
            outcomes[who] = subject() if who == "subject" else reference()
            after()
        if turn:
            turns.subject.append(outcomes["subject"].rate)
            turns.reference.append(outcomes["reference"].rate)
            turns.milliseconds += outcomes["subject"].milliseconds
            turns.reference_milliseconds += outcomes["reference"].milliseconds
    return turns

"""What a measurement found, and how it is written down."""

from __future__ import annotations

import json
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from crm_stack.layout import workspace


class Unfit(ValueError):
    """What was asked for can't be measured; says why."""


@dataclass(frozen=True)
class Result:
    """One line of the table.

    subject, reference: medians in `unit`. ratios: one per turn. p50, p95, p99: of the subject's answers, in milliseconds; None where
    only a whole was timed. n: answers of the subject that were checked. goal: in words; met: None when no goal is set. notes: further
    figures of the run.
    """

    name: str
    unit: str
    subject: float
    reference: float | None
    ratios: Sequence[float]
    milliseconds: Sequence[float]
    size: int
    goal: str
    met: bool | None
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """The median of the turns' ratios."""
        return statistics.median(self.ratios) if self.ratios else None

    def percentile(self, share: float) -> float:
        """Milliseconds that so many (0 to 1) of the answers took at most."""
        return percentile(self.milliseconds, share)

    def line(self) -> str:
        """One line of JSON."""
        return json.dumps(
            {
                "name": self.name,
                "unit": self.unit,
                "subject": round(self.subject, 2),
                "reference": None if self.reference is None else round(self.reference, 2),
                "ratio": None if self.ratio is None else round(self.ratio, 3),
                "spread": [round(min(self.ratios), 3), round(max(self.ratios), 3)] if self.ratios else None,
                **{f"p{p}": round(self.percentile(p / 100), 2) if self.milliseconds else None for p in (50, 95, 99)},
                "n": len(self.milliseconds),
                "size": self.size,
                "goal": self.goal,
                "met": self.met,
                **self.notes,
                "commit": revision(),
            },
            ensure_ascii=False,
        )


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0 to 1) of `values` don't exceed; 0 of none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def revision() -> str:
    """The commit that was measured, with `+` when files differ from it."""

    def git(*words: str) -> str:
        ended = subprocess.run(
            ["git", "-C", str(workspace()), *words], capture_output=True, text=True, timeout=30, check=False
        )
        return ended.stdout.strip()

    return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain") else "")

"""How long a part that died waits before its next start. Pure: times come in as arguments."""

from __future__ import annotations

from dataclasses import dataclass

_DELAYS = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
HEALTHY_AFTER = 60.0
"""Seconds that a part must have run for its earlier deaths to be forgotten."""


@dataclass(frozen=True)
class Backoff:
    """How many times in a row a part died early."""

    deaths: int = 0

    def died(self, ran_for: float) -> Backoff:
        """After a death that came `ran_for` seconds after the start."""
        return Backoff(1 if ran_for >= HEALTHY_AFTER else self.deaths + 1)

    @property
    def delay(self) -> float:
        """Seconds to wait before the next start; nothing before the first."""
        return 0.0 if self.deaths == 0 else _DELAYS[min(self.deaths, len(_DELAYS)) - 1]

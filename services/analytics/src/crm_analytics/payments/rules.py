"""What a row of the report says."""

from dataclasses import dataclass, field
from typing import Any

from crm_analytics.report.tally import Tally


@dataclass
class Figures:
    """What came in."""

    received: Tally = field(default_factory=Tally)

    def add(self, kind: str, currency: str | None, count: int, minor: int | None) -> None:  # noqa: ARG002  (there is one kind)
        """Take one counted row."""
        self.received.add(currency, count, minor)

    def answer(self, company_currency: str) -> dict[str, Any]:
        """As the report shows it."""
        return {"received": self.received.answer(company_currency)}

"""What a row of the report says."""

from dataclasses import dataclass, field
from typing import Any

from crm_analytics.report.tally import Tally


@dataclass
class Figures:
    """What was signed; and of that, what was ended before its time since."""

    signed: Tally = field(default_factory=Tally)
    terminated: Tally = field(default_factory=Tally)

    def add(self, kind: str, currency: str | None, count: int, minor: int | None) -> None:
        """Take one counted row. kind: the contracts' present status, `active` or `terminated`."""
        self.signed.add(currency, count, minor)
        if kind == "terminated":
            self.terminated.add(currency, count, minor)

    def answer(self, company_currency: str) -> dict[str, Any]:
        """As the report shows it."""
        return {
            "signed": self.signed.answer(company_currency),
            "terminated": self.terminated.answer(company_currency),
        }

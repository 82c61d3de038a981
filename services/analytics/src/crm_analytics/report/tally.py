"""How many, and what they come to."""

from dataclasses import dataclass, field
from typing import Any

from crm_analytics.report.value import value_of


@dataclass
class Tally:
    """A number of records and their value. value: currency → minor units."""

    count: int = 0
    value: dict[str, int] = field(default_factory=dict)

    def add(self, currency: str | None, count: int, minor: int | None) -> None:
        """Take some more."""
        self.count += count
        if currency is not None and minor is not None:
            self.value[currency] = self.value.get(currency, 0) + minor

    def answer(self, company_currency: str) -> dict[str, Any]:
        """As reports show it."""
        return {"count": self.count, **value_of(self.value, company_currency)}

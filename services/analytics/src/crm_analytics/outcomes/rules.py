"""What a row of the report says."""

from dataclasses import dataclass, field
from typing import Any, Literal

from crm_analytics.report.value import value_of

GroupBy = Literal["department", "user", "product", "pipeline", "source", "day", "week", "month", "quarter", "year"]


@dataclass
class Figures:
    """Won, lost and open of one row. value: currency → minor units of what was won."""

    won: int = 0
    lost: int = 0
    open: int = 0
    value: dict[str, int] = field(default_factory=dict)

    def add(self, kind: str, currency: str | None, count: int, minor: int | None) -> None:
        """Take one counted row. kind: `won`, `lost` or `open`."""
        setattr(self, kind, getattr(self, kind) + count)
        if kind == "won" and currency is not None and minor is not None:
            self.value[currency] = self.value.get(currency, 0) + minor

    def answer(self, company_currency: str) -> dict[str, Any]:
        """As the report shows it."""
        return {
            "won": {"count": self.won, **value_of(self.value, company_currency)},
            "lost": {"count": self.lost},
            "open": {"count": self.open},
        }

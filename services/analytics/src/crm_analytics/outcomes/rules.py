"""Folding counted rows into the report."""

import datetime as dt
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from crm_analytics.report.value import value_of
from crm_kernel import Period, PeriodKind

GroupBy = Literal["department", "user", "product", "pipeline", "source", "day", "week", "month", "quarter", "year"]
PERIODS: Final = frozenset({"day", "week", "month", "quarter", "year"})


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


def fold(counted: Iterable[Mapping[str, Any]]) -> tuple[dict[Any, Figures], Figures]:
    """Figures per key, and the total. counted: `is_total`, `key`, `kind`, `currency`, `count`, `minor`."""
    groups: dict[Any, Figures] = {}
    total = Figures()
    for row in counted:
        figures = total if row["is_total"] else groups.setdefault(row["key"], Figures())
        minor = None if row["minor"] is None else int(row["minor"])
        figures.add(row["kind"], row["currency"], row["count"], minor)
    return groups, total


def shown_key(group_by: GroupBy, key: uuid.UUID | dt.date | str | None) -> str | None:
    """A row's key: an id, a source's name, or a period's key ("2017-03"); None: belongs to none."""
    if isinstance(key, dt.date):
        return Period.containing(PeriodKind(group_by), key).key
    return None if key is None else str(key)


def report(
    group_by: GroupBy,
    groups: Mapping[Any, Figures],
    total: Figures,
    *,
    company_currency: str,
    label: Callable[[Any], str | None],
) -> dict[str, Any]:
    """`rows` and `total`: periods in their order, other rows by label with those of nobody last."""
    rows = []
    for key, figures in groups.items():
        shown = shown_key(group_by, key)
        named = shown if group_by in PERIODS else label(key)
        rows.append({"key": shown, "label": named, **figures.answer(company_currency)})
    rows.sort(key=lambda row: (row["key"] is None, str(row["label"]).casefold(), str(row["key"])))
    return {"rows": rows, "total": total.answer(company_currency)}

"""Counted rows become the rows of a report, whatever it counts."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeVar

from crm_analytics.report import parameters
from crm_analytics.report.grouping_store import PERIODS, shown_key
from crm_kernel import FieldError, Invalid


class TooManyRows(Invalid):
    """422: more rows than a report answers."""

    code = "report.too_many_rows"
    title = "The report would have too many rows"


class Figures(Protocol):
    """What one row of a report says."""

    def add(self, kind: str, currency: str | None, count: int, minor: int | None) -> None:
        """Take one counted row."""

    def answer(self, company_currency: str) -> dict[str, Any]:
        """As the report shows it."""


FiguresT = TypeVar("FiguresT", bound=Figures)


def fold(counted: Iterable[Mapping[str, Any]], new: Callable[[], FiguresT]) -> tuple[dict[Any, FiguresT], FiguresT]:
    """Figures per key, and the total. counted: see `counting`, which tells of one key too many at most. new: figures of which nothing is
    known yet. Raises TooManyRows."""
    groups: dict[Any, FiguresT] = {}
    total = new()
    for row in counted:
        figures = total if row["is_total"] else groups.setdefault(row["key"], new())
        minor = None if row["minor"] is None else int(row["minor"])
        figures.add(row["kind"], row["currency"], row["count"], minor)
    if len(groups) > parameters.MAX_ROWS:
        detail = f"More than {parameters.MAX_ROWS} rows: ask for less, or group by something else"
        raise TooManyRows(detail, errors=[FieldError("query:group_by", TooManyRows.code, detail)])
    return groups, total


def report(
    group_by: str,
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

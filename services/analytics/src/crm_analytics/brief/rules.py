"""Folding counted rows into the brief."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from crm_analytics.report.value import value_of

#: Figure → the record type whose data scope (and read permission) it obeys.
FIGURES: Final[Mapping[str, str]] = {
    "new_customers": "customers.customer",
    "dealt_customers": "customers.customer",
    "new_contacts": "customers.contact",
    "new_opportunities": "sales.opportunity",
    "won": "sales.opportunity",
    "lost": "sales.opportunity",
}


def fold(
    counted: Iterable[Mapping[str, Any]], readable: Collection[str], company_currency: str
) -> dict[str, dict[str, Any] | None]:
    """Figures: `current` and `before` each; None for record types that the caller may not read.

    counted: `figure`, `is_current`, `currency`, `count`, `minor`.
    """
    counts: dict[tuple[str, bool], int] = {}
    values: dict[bool, dict[str, int]] = {True: {}, False: {}}
    for row in counted:
        key = (row["figure"], row["is_current"])
        counts[key] = counts.get(key, 0) + row["count"]
        if row["figure"] == "won" and row["currency"] is not None:
            values[row["is_current"]][row["currency"]] = int(row["minor"])

    def one(figure: str, is_current: bool) -> dict[str, Any]:
        shown: dict[str, Any] = {"count": counts.get((figure, is_current), 0)}
        return shown | value_of(values[is_current], company_currency) if figure == "won" else shown

    return {
        figure: {"current": one(figure, True), "before": one(figure, False)} if record_type in readable else None
        for figure, record_type in FIGURES.items()
    }

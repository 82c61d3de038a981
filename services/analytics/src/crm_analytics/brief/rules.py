"""Folding counted rows into the brief."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from crm_analytics.report.tally import Tally

#: Figure → the record type whose data scope (and read permission) it obeys.
FIGURES: Final[Mapping[str, str]] = {
    "new_customers": "customers.customer",
    "dealt_customers": "customers.customer",
    "new_contacts": "customers.contact",
    "new_opportunities": "sales.opportunity",
    "won": "sales.opportunity",
    "lost": "sales.opportunity",
    "contracts": "billing.contract",
    "payments": "billing.payment",
    "activities": "sales.activity",
}
#: Figures that say what they come to, too.
VALUED: Final = frozenset({"won", "contracts", "payments"})


def fold(
    counted: Iterable[Mapping[str, Any]], readable: Collection[str], company_currency: str
) -> dict[str, dict[str, Any] | None]:
    """Figures: `current` and `before` each; None for record types that the caller may not read.

    counted: `figure`, `is_current`, `currency`, `count`, `minor`.
    """
    tallies = {(figure, is_current): Tally() for figure in FIGURES for is_current in (True, False)}
    for row in counted:
        minor = None if row["minor"] is None else int(row["minor"])
        tallies[row["figure"], row["is_current"]].add(row["currency"], row["count"], minor)

    def one(figure: str, is_current: bool) -> dict[str, Any]:
        tally = tallies[figure, is_current]
        return tally.answer(company_currency) if figure in VALUED else {"count": tally.count}

    return {
        figure: {"current": one(figure, True), "before": one(figure, False)} if record_type in readable else None
        for figure, record_type in FIGURES.items()
    }

"""What the published sales history says, read from its files by the csv module alone and counted here: the oracle of the journeys.

It knows nothing of the loader. What the files call `GTXPro` is the product `GTX Pro`; days are YYYY-MM-DD or M/D/YYYY.
"""

import csv
import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

PERIOD = (dt.date(2016, 10, 1), dt.date(2017, 12, 31))


@dataclass(frozen=True)
class Deal:
    """A row of the pipeline. manager, office: of its agent."""

    ref: str
    agent: str
    manager: str
    office: str
    product: str
    account: str
    stage: str
    engaged: dt.date | None
    closed: dt.date | None
    value: int


@dataclass(frozen=True)
class RawHistory:
    """The files in a folder."""

    folder: Path

    def rows(self, name: str) -> list[dict[str, str]]:
        """A file's rows as they are."""
        with (self.folder / name).open(encoding="utf-8-sig", newline="") as stream:
            return list(csv.DictReader(stream))

    @cached_property
    def teams(self) -> dict[str, tuple[str, str]]:
        """Agent → manager, office."""
        return {row["sales_agent"]: (row["manager"], row["regional_office"]) for row in self.rows("sales_teams.csv")}

    @cached_property
    def managers(self) -> dict[str, str]:
        """Manager → office."""
        return dict(self.teams.values())

    @cached_property
    def deals(self) -> list[Deal]:
        """All opportunities."""
        return [
            Deal(
                ref=row["opportunity_id"],
                agent=row["sales_agent"],
                manager=self.teams[row["sales_agent"]][0],
                office=self.teams[row["sales_agent"]][1],
                product="GTX Pro" if row["product"] == "GTXPro" else row["product"],
                account=row["account"],
                stage=row["deal_stage"],
                engaged=_day(row["engage_date"]),
                closed=_day(row["close_date"]),
                value=int(row["close_value"] or 0),
            )
            for row in self.rows("sales_pipeline.csv")
        ]

    @cached_property
    def account_owners(self) -> dict[str, str]:
        """Account → the agent with the most rows of it; the first by name among several."""
        counts = Counter((deal.account, deal.agent) for deal in self.deals)
        found: dict[str, str] = {}
        for account in {row["account"] for row in self.rows("accounts.csv")}:
            most = max(count for (of, _), count in counts.items() if of == account)
            found[account] = min(agent for (of, agent), count in counts.items() if of == account and count == most)
        return found


def _day(text: str) -> dt.date | None:
    if not text:
        return None
    if "/" in text:
        month, day, year = (int(part) for part in text.split("/"))
        return dt.date(year, month, day)
    return dt.date(*(int(part) for part in text.split("-")))


def _month(day: dt.date) -> str:
    return f"{day.year}-{day.month:02}"


#: What a row of the report is called, from the deal and the day that counts for it.
LABELS: dict[str, Callable[[Deal, dt.date], str]] = {
    "user": lambda deal, _: deal.agent,
    "product": lambda deal, _: deal.product,
    "department": lambda deal, _: f"Team {deal.manager}",
    "office": lambda deal, _: deal.office,
    "month": lambda _, day: _month(day),
}


def outcomes(deals: Iterable[Deal], first: dt.date, last: dt.date, group_by: str) -> dict[str, Any]:
    """The figures of the report `opportunity-outcomes`: label → [won, value, lost, open], and `total`.

    Won and lost count by their closing day; open is what was engaged in the period and not closed by its end. A prospect has no
    day in the files: the load dates it, years later.
    """
    rows: dict[str, list[int]] = {}
    total = [0, 0, 0, 0]

    def count(deal: Deal, day: dt.date, column: int) -> None:
        row = rows.setdefault(LABELS[group_by](deal, day), [0, 0, 0, 0])
        for figures in (row, total):
            figures[column] += 1
            if column == 0:
                figures[1] += deal.value

    for deal in deals:
        if deal.closed is not None and first <= deal.closed <= last:
            count(deal, deal.closed, 0 if deal.stage == "Won" else 2)
        if deal.engaged is not None and first <= deal.engaged <= last and (deal.closed is None or deal.closed > last):
            count(deal, deal.engaged, 3)
    return {"rows": rows, "total": total}

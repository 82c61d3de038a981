"""The published data set "CRM Sales Opportunities", read from its CSV files as it is: its dirt is known and named here.

Dirt: product `GTXPro` is `GTX Pro`; rows without an account stay without a customer; rows without dates have none. Two
editions exist, with dates as YYYY-MM-DD or M/D/YYYY; both are read.
"""

import csv
import datetime as dt
import re
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

FILES = ("accounts.csv", "products.csv", "sales_teams.csv", "sales_pipeline.csv")
STAGES = ("Prospecting", "Engaging", "Won", "Lost")
PRODUCT_ALIASES = {"GTXPro": "GTX Pro"}
_US_DATE = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})")


class UnreadableData(ValueError):
    """The folder is not this data set; says which file and line."""


@dataclass(frozen=True)
class Agent:
    """A sales agent with their manager and regional office."""

    name: str
    manager: str
    office: str


@dataclass(frozen=True)
class Account:
    """A company. revenue: millions of USD. owner: the agent with most rows of it, the first by name among equals; None: no rows."""

    name: str
    sector: str
    founded: int | None
    revenue: Decimal | None
    employees: int | None
    country: str
    parent: str | None
    owner: str | None


@dataclass(frozen=True)
class Product:
    """A product with its list price in USD."""

    name: str
    series: str
    price: Decimal


@dataclass(frozen=True)
class Opportunity:
    """A row of the pipeline. value: what a won or lost one was closed at, in USD."""

    id: str
    agent: str
    product: str
    account: str | None
    stage: str
    engaged: dt.date | None
    closed: dt.date | None
    value: Decimal | None


@dataclass(frozen=True)
class SalesHistory:
    """The whole data set."""

    agents: tuple[Agent, ...]
    accounts: tuple[Account, ...]
    products: tuple[Product, ...]
    opportunities: tuple[Opportunity, ...]

    @property
    def managers(self) -> dict[str, str]:
        """Manager → office, by name."""
        return dict(sorted({agent.manager: agent.office for agent in self.agents}.items()))

    @property
    def offices(self) -> list[str]:
        return sorted({agent.office for agent in self.agents})


def email_of(name: str) -> str:
    """`first.last@demo.example`: under which name a person of the data set logs in."""
    return ".".join(re.sub(r"[^a-z ]", "", name.lower()).split()) + "@demo.example"


def read(folder: Path) -> SalesHistory:
    """Read the four files. Raises UnreadableData when one is missing or a row can't be understood."""
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise UnreadableData(f"{folder} has no {', '.join(missing)}")
    opportunities = tuple(_opportunity(row, place) for place, row in _rows(folder / "sales_pipeline.csv"))
    agents = tuple(
        Agent(row["sales_agent"], row["manager"], row["regional_office"])
        for _, row in _rows(folder / "sales_teams.csv")
    )
    products = tuple(
        Product(row["product"], row["series"], _decimal(row["sales_price"], place) or Decimal(0))
        for place, row in _rows(folder / "products.csv")
    )
    owners = _owners(opportunities)
    accounts = tuple(
        Account(
            name=row["account"],
            sector=row["sector"],
            founded=int(row["year_established"]) if row["year_established"] else None,
            revenue=_decimal(row["revenue"], place),
            employees=int(row["employees"]) if row["employees"] else None,
            country=row["office_location"],
            parent=row["subsidiary_of"] or None,
            owner=owners.get(row["account"]),
        )
        for place, row in _rows(folder / "accounts.csv")
    )
    history = SalesHistory(agents, accounts, products, opportunities)
    _check(history)
    return history


def _rows(path: Path) -> list[tuple[str, dict[str, str]]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        return [
            (f"{path.name} line {number}", {key: (value or "").strip() for key, value in row.items() if key})
            for number, row in enumerate(reader, 2)
        ]


def _opportunity(row: dict[str, str], place: str) -> Opportunity:
    if row.get("deal_stage") not in STAGES:
        raise UnreadableData(f"{place}: deal_stage {row.get('deal_stage')!r} is none of {', '.join(STAGES)}")
    return Opportunity(
        id=row["opportunity_id"],
        agent=row["sales_agent"],
        product=PRODUCT_ALIASES.get(row["product"], row["product"]),
        account=row["account"] or None,
        stage=row["deal_stage"],
        engaged=_date(row["engage_date"], place),
        closed=_date(row["close_date"], place),
        value=_decimal(row["close_value"], place),
    )


def _date(text: str, place: str) -> dt.date | None:
    if not text:
        return None
    try:
        american = _US_DATE.fullmatch(text)
        if american:
            month, day, year = (int(part) for part in american.groups())
            return dt.date(year, month, day)
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise UnreadableData(f"{place}: {text!r} is no date") from error


def _decimal(text: str, place: str) -> Decimal | None:
    if not text:
        return None
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise UnreadableData(f"{place}: {text!r} is no number") from error


def _owners(opportunities: tuple[Opportunity, ...]) -> dict[str, str]:
    counts: dict[str, Counter[str]] = {}
    for row in opportunities:
        if row.account:
            counts.setdefault(row.account, Counter())[row.agent] += 1
    return {account: min(agents, key=lambda a: (-agents[a], a)) for account, agents in counts.items()}


def _check(history: SalesHistory) -> None:
    agents = {agent.name for agent in history.agents}
    products = {product.name for product in history.products}
    accounts = {account.name for account in history.accounts}
    for row in history.opportunities:
        if row.agent not in agents:
            raise UnreadableData(f"opportunity {row.id}: unknown agent {row.agent!r}")
        if row.product not in products:
            raise UnreadableData(f"opportunity {row.id}: unknown product {row.product!r}")
        if row.account is not None and row.account not in accounts:
            raise UnreadableData(f"opportunity {row.id}: unknown account {row.account!r}")

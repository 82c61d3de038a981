"""The published sales history on a running stack: loaded by the product's own loader, seen by the people in it."""

import datetime as dt
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from crm_stack.demo.api import Api
from crm_stack.demo.load_sales_opportunities import Loaded, load
from crm_stack.demo.sales_opportunities import read
from crm_stack.layout import services_of, workspace
from crm_stack.local import Stack

from .company import ADMINISTRATOR, PASSWORD
from .person import Person
from .raw_sales_history import Deal, RawHistory
from .waiting import until

EXECUTIVE = "executive@demo.example"
LIST = "sales/opportunities"


def data_folder(edition: str) -> Path:
    """The folder of `iso_dates` or `us_dates`, beside the repository; the test is skipped where it is not."""
    folder = Path(__file__).resolve().parents[3] / "shared" / "data" / "crm_sales_opportunities" / edition
    if not folder.is_dir():
        pytest.skip(f"the published sales history is not there: ../shared/data/crm_sales_opportunities/{edition}")
    return folder


@dataclass
class History:
    """The stack, what the raw files say, and everybody's log-ins."""

    stack: Stack
    folder: Path
    loads: list[Loaded] = field(default_factory=list)
    _people: dict[str, Person] = field(default_factory=dict)

    @cached_property
    def raw(self) -> RawHistory:
        """The oracle."""
        return RawHistory(self.folder)

    def login(self, email: str, password: str = PASSWORD) -> Person:
        """Somebody, logged in; the same log-in each time."""
        if email not in self._people:
            self._people[email] = Person(self.stack.address, email, password).sign_in()
        return self._people[email]

    @property
    def executive(self) -> Person:
        """Who sees all."""
        return self.login(EXECUTIVE)

    def named(self, name: str) -> Person:
        """An agent or manager of the files."""
        words = re.sub("[^a-z ]", "", name.lower()).split()
        return self.login(f"{'.'.join(words)}@demo.example")

    def seers(self) -> list[tuple[Person, list[Deal]]]:
        """Everybody who works in the sales teams, with what they must see: agents their own, managers their agents', the executive all."""
        deals = self.raw.deals
        found = [(self.named(agent), [d for d in deals if d.agent == agent]) for agent in self.raw.teams]
        found += [(self.named(name), [d for d in deals if d.manager == name]) for name in self.raw.managers]
        return [*found, (self.executive, deals)]

    @cached_property
    def ids(self) -> dict[str, str]:
        """External reference → id of every opportunity, as the executive sees them."""
        return {item["external_ref"]["id"]: item["id"] for item in self.executive.pages(LIST, fields="external_ref")}

    def figures(self, person: Person, group_by: str, first: dt.date, last: dt.date) -> dict[str, Any]:
        """The report in the oracle's form: label → [won, value, lost, open], and `total`."""
        told = self.report(person, group_by, first, last)
        assert len({row["key"] for row in told["rows"]}) == len(told["rows"])
        return {"rows": {row["label"]: _columns(row) for row in told["rows"]}, "total": _columns(told["total"])}

    def report(self, person: Person, group_by: str, first: dt.date, last: dt.date) -> Any:
        """The report as it is answered. group_by `office`: departments at level 1."""
        level = {"level": 1} if group_by == "office" else {}
        asked = {"from": first.isoformat(), "to": last.isoformat(), **level}
        asked["group_by"] = "department" if group_by == "office" else group_by
        return person.get("analytics/reports/opportunity-outcomes", params=asked)

    async def journalled(self) -> int:
        """Events in the journals of all services, but for log-ins."""
        found = 0
        for service in services_of(workspace()):
            connection = await asyncpg.connect(self.stack.dsn(service))
            try:
                if await connection.fetchval("SELECT to_regclass('journal') IS NOT NULL"):
                    sql = "SELECT count(*) FROM journal WHERE type NOT LIKE 'crm.identity.session.%'"
                    found += await connection.fetchval(sql)
            finally:
                await connection.close()
        return found

    def close(self) -> None:
        """Give connections back and end the stack."""
        for person in self._people.values():
            person.close()
        self.stack.stop()


def load_history(history: History) -> Loaded:
    """Load the files as `./crm demo load` does, and wait until the figures have them."""
    administrator = history.login(*ADMINISTRATOR)
    form = {"username": administrator.login, "password": administrator.password, "client_id": "crm"}
    session = administrator.token(grant_type="password", **form).json()
    api = Api(history.stack.address, session["refresh_token"])
    try:
        loaded = load(api, read(history.folder), password=PASSWORD, progress=lambda what, done, total: None)
    finally:
        api.close()
    history.loads.append(loaded)
    until(lambda: caught_up(history), 60.0, "the figures have what was loaded")
    return loaded


def caught_up(history: History) -> bool:
    """Whether the figures count as many opportunities as there are records: of all days, whatever their outcome."""
    count: int = history.executive.get(LIST, params={"count": "exact", "limit": 1})["count"]
    total = history.report(history.executive, "year", dt.date(2000, 1, 1), dt.date(2040, 12, 31))["total"]
    closed = history.executive.get(
        LIST, params={"count": "exact", "limit": 1, "filter": '{"field":"outcome","op":"in","value":["won","lost"]}'}
    )["count"]
    told = {name: total[name]["count"] for name in ("won", "lost", "open")}
    return sum(told.values()) == count and bool(told["won"] + told["lost"] == closed)


def _columns(figures: Any) -> list[int]:
    value = figures["won"]["value"]
    assert value["currency"] == "USD"
    whole, _, cents = value["amount"].partition(".")
    assert cents == "00"
    return [figures["won"]["count"], int(whole), figures["lost"]["count"], figures["open"]["count"]]

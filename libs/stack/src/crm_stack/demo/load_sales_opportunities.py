"""Loads the data set "CRM Sales Opportunities" through the public API's batch routes; a second load adds nothing.

Offices are departments, a team under its office per manager; agents have their manager as superior. Everything carries an external
reference, and every batch is an upsert: a load that was interrupted is completed by the next one.
"""

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from crm_stack.demo.api import Api
from crm_stack.demo.progress import Progress
from crm_stack.demo.sales_opportunities import Opportunity, SalesHistory, email_of

SYSTEM = "crm-sales-opportunities"
EXECUTIVE = "Executive"
PIPELINE = "Sales"


@dataclass(frozen=True)
class Loaded:
    """What a load found and did: rows sent, and how many of them were new or changed."""

    rows: dict[str, int]
    written: dict[str, int]


def load(api: Api, history: SalesHistory, *, password: str, progress: Progress) -> Loaded:
    """Load everything. password: of users who are new. Raises LoadRefused."""
    return _Load(api, history, password, progress).run()


class _Load:
    def __init__(self, api: Api, history: SalesHistory, password: str, progress: Progress) -> None:
        self.api = api
        self.history = history
        self.password = password
        self.progress = progress
        self.sent: dict[str, int] = {}
        self.written: dict[str, int] = {}

    def run(self) -> Loaded:
        self._departments({})
        users = self._users()
        self._departments(users)
        customers = self._customers(users)
        products = self._products()
        self._opportunities(users, customers, products)
        self._outcomes()
        return Loaded(self.sent, self.written)

    def _rows(self, what: str, path: str, rows: Sequence[Mapping[str, Any]], **body: Any) -> list[Any]:
        finished = 0

        def done(count: int) -> None:
            nonlocal finished
            finished += count
            self.progress(what, finished, len(rows))

        self.progress(what, 0, len(rows))
        answers = self.api.rows(path, rows, done, **body)
        self.sent[what] = len(rows)
        self.written[what] = sum(1 for row in answers if row["done"] != "unchanged")
        return answers

    def _departments(self, users: Mapping[str, str]) -> None:
        """Offices and teams; with their managers once the users are there."""
        rows: list[dict[str, Any]] = [
            {"external_ref": _ref(f"office/{office}"), "name": office, "business_area": "sales"}
            for office in self.history.offices
        ]
        for manager, office in self.history.managers.items():
            team = {
                "external_ref": _ref(f"team/{manager}"),
                "name": f"Team {manager}",
                "business_area": "sales",
                "parent_ref": _ref(f"office/{office}"),
            }
            if users:
                team["manager_id"] = users[manager]
            rows.append(team)
        self._rows("teams" if users else "departments", "/api/identity/v1/departments/batch", rows)

    def _users(self) -> dict[str, str]:
        roles = {
            role["shipped"]: role["id"] for role in self.api.get("/api/identity/v1/roles")["items"] if role["shipped"]
        }
        root = next(d for d in self.api.pages("/api/identity/v1/departments") if d["parent_id"] is None)
        rows = [
            self._user(EXECUTIVE, roles["executive"], email="executive@demo.example", department_id=root["id"]),
            *(
                self._user(
                    manager,
                    roles["supervisor"],
                    department_ref=_ref(f"team/{manager}"),
                    superior_ref=_ref(f"user/{EXECUTIVE}"),
                )
                for manager in self.history.managers
            ),
            *(
                self._user(
                    agent.name,
                    roles["sales_representative"],
                    department_ref=_ref(f"team/{agent.manager}"),
                    superior_ref=_ref(f"user/{agent.manager}"),
                )
                for agent in self.history.agents
            ),
        ]
        answers = self._rows("users", "/api/identity/v1/users/batch", rows)
        return {row["name"]: answer["id"] for row, answer in zip(rows, answers, strict=True)}

    def _user(self, name: str, role_id: str, email: str | None = None, **place: Any) -> dict[str, Any]:
        return {
            "external_ref": _ref(f"user/{name}"),
            "name": name,
            "email": email or email_of(name),
            "role_ids": [role_id],
            "status": "active",
            "password": self.password,
            **place,
        }

    def _customers(self, users: Mapping[str, str]) -> dict[str, str]:
        found: dict[str, str] = {}
        # Parents first: a customer may only name one that is there.
        accounts = sorted(self.history.accounts, key=lambda account: account.parent is not None)
        for level in ([a for a in accounts if a.parent is None], [a for a in accounts if a.parent is not None]):
            rows = []
            for account in level:
                row: dict[str, Any] = {
                    "external_ref": _ref(account.name),
                    "name": account.name,
                    "industry": account.sector,
                    "country": account.country,
                    "employees": account.employees,
                    "founded_year": account.founded,
                }
                if account.revenue is not None:
                    # The file has millions of USD.
                    row["annual_revenue"] = _usd(account.revenue * 1_000_000)
                if account.owner is not None:
                    row["owner_id"] = users[account.owner]
                if account.parent is not None:
                    row["parent_id"] = found[account.parent]
                rows.append(row)
            what = "customers" if not found else "subsidiaries"
            answers = self._rows(what, "/api/customers/v1/customers/batch", rows, mode="upsert")
            found |= {account.name: answer["id"] for account, answer in zip(level, answers, strict=True)}
        return found

    def _products(self) -> dict[str, str]:
        rows = [
            {
                "external_ref": _ref(product.name),
                "code": re.sub(r"[^A-Z0-9]+", "-", product.name.upper()),
                "name": product.name,
                "category": product.series,
                "list_price": _usd(product.price),
            }
            for product in self.history.products
        ]
        answers = self._rows("products", "/api/sales/v1/products/batch", rows, mode="upsert")
        return {product.name: answer["id"] for product, answer in zip(self.history.products, answers, strict=True)}

    def _opportunities(
        self, users: Mapping[str, str], customers: Mapping[str, str], products: Mapping[str, str]
    ) -> None:
        pipeline = next(p for p in self.api.get("/api/sales/v1/pipelines")["items"] if p["is_default"])
        stages = {stage["name"]: stage["id"] for stage in pipeline["stages"]}
        rows = []
        for one in self.history.opportunities:
            row: dict[str, Any] = {
                "external_ref": _ref(one.id),
                "name": f"{one.product} for {one.account}" if one.account else one.product,
                "pipeline_id": pipeline["id"],
                # What was won or lost had been engaged before; the file tells when.
                "stage_id": stages["Prospecting" if one.stage == "Prospecting" else "Engaging"],
                "product_ids": [products[one.product]],
                "owner_id": users[one.agent],
            }
            if one.account:
                row["customer_id"] = customers[one.account]
            if one.engaged:
                row["opened_on"] = one.engaged.isoformat()
                row["occurred_at"] = _noon(one.engaged)
            rows.append(row)
        self._rows("opportunities", "/api/sales/v1/opportunities/batch", rows, mode="upsert")

    def _outcomes(self) -> None:
        closed = [one for one in self.history.opportunities if one.stage in ("Won", "Lost")]
        self._rows("outcomes", "/api/sales/v1/opportunities/outcomes", [_outcome(one) for one in closed])


def _outcome(one: Opportunity) -> dict[str, Any]:
    row: dict[str, Any] = {"external_ref": _ref(one.id), "outcome": one.stage.lower()}
    if one.closed:
        row["closed_on"] = one.closed.isoformat()
        row["occurred_at"] = _noon(one.closed)
    if one.stage == "Won" and one.value is not None:
        row["value"] = _usd(one.value)
    if one.stage == "Lost":
        row["reason"] = "Not recorded in the source"
    return row


def _ref(name: str) -> dict[str, str]:
    return {"system": SYSTEM, "id": name}


def _usd(amount: Decimal) -> dict[str, str]:
    return {"amount": f"{amount:.2f}", "currency": "USD"}


def _noon(day: dt.date) -> str:
    """The file has days without times: noon UTC is that day in nearly every time zone."""
    return f"{day.isoformat()}T12:00:00Z"

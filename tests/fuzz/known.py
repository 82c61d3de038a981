"""Records that exist, so that made-up requests get beyond "there is none of that id"."""

import datetime as dt
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from journeys.company import Company, usd
from journeys.person import Person
from journeys.waiting import until

#: Of each kind so many: requests that delete or dismiss leave some for the others.
EACH = 6
_SEGMENT = re.compile(r"/([a-z-]+)/\{(\w+)\}")
#: The collection that a member of a body or of a path, called `<name>_id` or in a list `<name>_ids`, points into.
_POINTS_TO = {
    "customer": "customers",
    "parent": "customers",
    "contact": "contacts",
    "product": "products",
    "pipeline": "pipelines",
    "stage": "stages",
    "pool": "pools",
    "owner": "users",
    "user": "users",
    "to_user": "users",
    "superior": "users",
    "manager": "users",
    "member_user": "users",
    "administrator": "users",
    "opportunity": "opportunities",
    "contract": "contracts",
    "instalment": "instalments",
    "member_department": "departments",
    "department": "departments",
    "role": "roles",
}
#: The collection that a link of this type points into.
_LINKS = {
    "customers.customer": "customers",
    "customers.contact": "contacts",
    "sales.opportunity": "opportunities",
    "billing.contract": "contracts",
    "support.ticket": "tickets",
}


@dataclass(frozen=True)
class Known:
    """ids: collection, as it is called in paths → ids."""

    ids: Mapping[str, list[str]]

    @classmethod
    def make(cls, company: Company) -> "Known":
        """Fill a company with a few of everything."""
        admin = company.administrator
        until(lambda: {status for status, _ in admin.everywhere()} == {200}, 30.0, "every service knows the company")
        departments = [company.department(f"Office {n}") for n in range(EACH)]
        emails = [f"fuzz.{n}@crm.example" for n in range(EACH)]
        roles = [
            admin.post("identity/roles", {"name": f"Fuzz {n}", "permissions": ["customers.customer:read"]})["id"]
            for n in range(EACH)
        ]
        users = [
            admin.post(
                "identity/users",
                {"name": "Fuzz", "email": email, "department_id": departments[0], "role_ids": [roles[0]]},
            )["id"]
            for email in emails
        ]
        sets = [
            admin.post(
                "identity/department-sets", {"name": f"Set {n}", "subtrees": [], "departments": departments[:1]}
            )["id"]
            for n in range(EACH)
        ]
        made = [admin.post("customers/customers", {"name": f"Customer {n}"}) for n in range(EACH)]
        customers, last = [one["id"] for one in made], made[-1].consistency
        contacts = [
            admin.post("customers/contacts", {"name": f"Contact {n}", "customer_id": customers[n]})["id"]
            for n in range(EACH)
        ]
        products = [company.product(f"Product {n}", "10.00")["id"] for n in range(EACH)]
        opportunities = [
            admin.post(
                "sales/opportunities",
                {"name": f"Opportunity {n}", "value": usd("10.00"), "customer_id": customers[n]},
                after=last,
            )["id"]
            for n in range(EACH)
        ]
        return cls(
            {
                "departments": departments,
                "users": users,
                "roles": roles,
                "department-sets": sets,
                "customers": customers,
                "contacts": contacts,
                "products": products,
                "opportunities": opportunities,
                **_agreed(company, customers, opportunities, last),
                **_asked(company, customers, last),
                "pipelines": [company.pipeline["id"]],
                "stages": [stage["id"] for stage in company.pipeline["stages"]],
                "pools": [pool["id"] for pool in admin.get("customers/pools")["items"]],
            }
        )

    def in_path(self, path: str, chance: random.Random) -> dict[str, str]:
        """Parameters of a path template that can be filled with what exists."""
        pairs = [(name, collection) for collection, name in _SEGMENT.findall(path)]
        pairs = [(name, "users" if name == "user_id" else collection) for name, collection in pairs]
        return {name: chance.choice(self.ids[found]) for name, found in pairs if found in self.ids}

    def in_body(self, value: Any, chance: random.Random, name: str = "") -> Any:
        """A body in which half of the ids are of records that exist."""
        if isinstance(value, dict):
            link = _LINKS.get(str(value.get("type"))) if set(value) == {"type", "id"} else None
            if link is not None and chance.random() < 0.5:
                return {**value, "id": chance.choice(self.ids[link])}
            return {key: self.in_body(item, chance, key) for key, item in value.items()}
        if isinstance(value, list):
            return [self.in_body(item, chance, name.removesuffix("s")) for item in value]
        found = _POINTS_TO.get(name.removesuffix("_id"))
        if isinstance(value, str) and name.endswith("_id") and found is not None and chance.random() < 0.5:
            return chance.choice(self.ids[found])
        return value


def _agreed(company: Company, customers: list[str], won: list[str], after: str) -> dict[str, list[str]]:
    """Drafts, contracts that wait, and active ones with payments that wait and that count. won: opportunities; the last is won."""
    admin = company.administrator
    office = company.department("Agreed", area="collections")
    # Nobody decides on their own: what the administrator is to decide on in the fuzz, another one submits, and the other way round.
    other = company.hire("Other Administrator", "super_administrator", office)
    today = dt.datetime.now(dt.UTC).date()
    admin.post(f"sales/opportunities/{won[-1]}/win", {})
    contracts, payments, approvals = [], [], []

    def waiting(person: Person, subject: str) -> str:
        found = person.pages("billing/approvals", role="to_decide")
        return next(str(one["id"]) for one in found if one["subject_id"] == subject)

    for n in range(3 * EACH):
        body = {"name": f"Contract {n}", "customer_id": customers[n % EACH], "value": usd("100.00")}
        # Nor on what is theirs.
        owner = other if EACH <= n < 2 * EACH else admin
        contract = owner.post("billing/contracts", body, after=after)["id"]
        contracts.append(contract)
        if n < EACH:
            continue
        owner.post(f"billing/contracts/{contract}/submit", {})
        approvals.append(waiting(admin if n < 2 * EACH else other, contract))
        if n < 2 * EACH:
            continue
        other.post(f"billing/approvals/{approvals[-1]}/approve", {})
        body = {"contract_id": contract, "amount": usd("10.00"), "paid_on": str(today)}
        payments += [person.post("billing/payments", body)["id"] for person in (admin, other)]
        approvals.append(waiting(other, payments[-2]))
        if n % 2:
            other.post(f"billing/approvals/{approvals[-1]}/approve", {})
    approvals += [one["id"] for one in admin.pages("billing/approvals", role="to_decide")]
    instalments = [
        part["id"] for one in contracts[-EACH:] for part in admin.get(f"billing/contracts/{one}/instalments")["items"]
    ]
    found = {"contracts": contracts, "payments": payments, "instalments": instalments}
    return {**found, "approvals": list(dict.fromkeys(approvals))}


def _asked(company: Company, customers: list[str], after: str) -> dict[str, list[str]]:
    """Tickets that wait, that somebody sees to, and solved ones; queues; activities."""
    admin = company.administrator
    tickets = []
    for n in range(3 * EACH):
        body = {"subject": f"Ticket {n}", "customer_id": customers[n % EACH]}
        tickets.append(admin.post("support/tickets", body, after=after)["id"])
        path = f"support/tickets/{tickets[-1]}"
        if n >= EACH:
            admin.post(f"{path}/claim")
            admin.post(f"{path}/replies", {"text": "Seen"})
        if n >= 2 * EACH:
            admin.post(f"{path}/move", {"status": "solved"})
    for n in range(EACH):
        admin.post("support/queues", {"key": f"queue-{n}", "name": f"Queue {n}", "open_to_all": True})
    queues = [queue["id"] for queue in admin.get("support/queues")["items"]]
    links = [{"type": "customers.customer", "id": customers[0]}]
    activities = [
        admin.post("sales/activities", {"kind": "call", "subject": f"Call {n}", "links": links})["id"]
        for n in range(EACH)
    ]
    return {"tickets": tickets, "queues": queues, "activities": activities}

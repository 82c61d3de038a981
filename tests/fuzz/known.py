"""Records that exist, so that made-up requests get beyond "there is none of that id"."""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from journeys.company import Company, usd
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
    "department": "departments",
    "role": "roles",
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
        customers = [admin.post("customers/customers", {"name": f"Customer {n}"})["id"] for n in range(EACH)]
        contacts = [
            admin.post("customers/contacts", {"name": f"Contact {n}", "customer_id": customers[n]})["id"]
            for n in range(EACH)
        ]
        products = [company.product(f"Product {n}", "10.00")["id"] for n in range(EACH)]
        opportunities = [
            admin.post("sales/opportunities", {"name": f"Opportunity {n}", "value": usd("10.00")})["id"]
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
            return {key: self.in_body(item, chance, key) for key, item in value.items()}
        if isinstance(value, list):
            return [self.in_body(item, chance, name.removesuffix("s")) for item in value]
        found = _POINTS_TO.get(name.removesuffix("_id"))
        if isinstance(value, str) and name.endswith("_id") and found is not None and chance.random() < 0.5:
            return chance.choice(self.ids[found])
        return value

"""A company on a running stack: its administrator, and the departments and people that a journey needs."""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from crm_stack.local import Stack

from .person import Person
from .waiting import A_SECOND, until

ADMINISTRATOR = ("admin@crm.example", "correct-horse-battery-staple")
PASSWORD = "seven-quiet-herons-fishing"


@dataclass
class Company:
    """stack: what it runs on. Departments and people of different journeys have nothing to do with each other."""

    stack: Stack
    #: What people are when they come: patient ones, where parts of the stack die.
    kind: type[Person] = Person
    _people: list[Person] = field(default_factory=list)

    @classmethod
    @contextmanager
    def alone(cls, folder: Path, **options: Any) -> Iterator[Self]:
        """One on a stack of its own, which ends with it. options: of `Stack.start`."""
        with Stack.start(folder, administrator=ADMINISTRATOR, **options) as stack:
            made = cls(stack)
            try:
                yield made
            finally:
                made.close()

    @cached_property
    def administrator(self) -> Person:
        """The first super administrator (ID-1), logged in."""
        found = self.person(*ADMINISTRATOR).sign_in()
        # A stack that says it is ready knows its first user in every service.
        assert {status for status, _ in found.everywhere()} == {200}
        found.id = found.get("identity/me")["user"]["id"]
        return found

    @cached_property
    def root(self) -> str:
        """The root department's id."""
        departments = self.administrator.pages("identity/departments")
        return str(next(d["id"] for d in departments if d["parent_id"] is None))

    @cached_property
    def roles(self) -> dict[str, str]:
        """Key of a shipped role → id."""
        return {r["shipped"]: r["id"] for r in self.administrator.get("identity/roles")["items"] if r["shipped"]}

    @cached_property
    def pipeline(self) -> dict[str, Any]:
        """The default pipeline with its stages."""
        found = self.administrator.get("sales/pipelines")["items"]
        return next(pipeline for pipeline in found if pipeline["is_default"])

    def person(self, login: str, password: str = PASSWORD, **known: str) -> Person:
        """Somebody with a log-in, not logged in."""
        self._people.append(self.kind(self.stack.address, login, password, **known))
        return self._people[-1]

    def department(self, name: str, parent: str | None = None, area: str = "sales") -> str:
        """A new department's id; below the root unless said otherwise."""
        body = {"name": f"{name} {_unique()}", "parent_id": parent or self.root, "business_area": area}
        found: str = self.administrator.post("identity/departments", body)["id"]
        return found

    def hire(
        self, name: str, role: str, department: str, superior: Person | None = None, also: Sequence[str] = ()
    ) -> Person:
        """A new user with a shipped role, and those in `also`, active and logged in, known to every service."""
        email = f"{name.lower().replace(' ', '.')}.{_unique()}@crm.example"
        body = {
            "name": name,
            "email": email,
            "department_id": department,
            "superior_id": superior.id if superior else None,
            "role_ids": [self.roles[key] for key in (role, *also)],
        }
        made = self.administrator.post("identity/users", body)
        self.administrator.post(f"identity/users/{made['id']}/activate", {"password": PASSWORD})
        person = self.person(email, id=made["id"], name=name).sign_in()
        until(
            lambda: {status for status, _ in person.everywhere()} <= {200, 403},
            2 * A_SECOND,
            f"every service knows {name}",
        )
        return person

    def product(self, name: str, price: str, **more: Any) -> Any:
        """A new product, with its list price in USD."""
        body = {"code": f"P-{_unique()}", "name": name, "list_price": usd(price), **more}
        return self.administrator.post("sales/products", body).body

    def close(self) -> None:
        """Give all connections back."""
        for person in self._people:
            person.close()


def usd(amount: str) -> dict[str, str]:
    """An amount in US dollars, as the API has it."""
    return {"amount": amount, "currency": "USD"}


def _unique() -> str:
    return uuid.uuid4().hex[:10]

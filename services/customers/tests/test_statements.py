"""How many statements the customers service's most used requests send."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from services.customers.tests.conftest import make_contact, make_customer
from services.customers.tests.timeline.stories import told

from crm_contracts.sales import OPPORTUNITY_EVENTS
from crm_kernel import new_id
from crm_testing.service import Caller, Running
from crm_testing.statements import noting_statements, statements_of


@pytest.fixture(autouse=True)
def noted() -> Iterator[None]:
    with noting_statements():
        yield


async def test_requests_need_few_statements(customers: Running, rep: Caller, manager: Caller) -> None:
    made = await make_customer(rep)
    other = await make_customer(rep, name="Other")
    await make_contact(rep, made)
    await customers.hear(
        told(OPPORTUNITY_EVENTS.created, id=new_id(), version=1, owner=customers.people.rep, customer_id=made["id"])
    )
    path = f"/customers/{made['id']}"
    member = f"{path}/members/{customers.people.stranger.id}"
    fresh = iter(range(1000))
    requests: list[tuple[str, int, Callable[[], Awaitable[Any]]]] = [
        ("read", 1, lambda: rep.done("GET", path)),
        ("list", 1, lambda: rep.done("GET", "/customers")),
        ("list with count, of a department", 2, lambda: manager.done("GET", "/customers", params={"count": "exact"})),
        ("search", 1, lambda: rep.done("GET", "/customers", params={"q": "예시"})),
        ("create", 3, lambda: rep.done("POST", "/customers", json={"name": f"New {next(fresh)}"})),
        ("change", 4, lambda: rep.done("PATCH", path, json={"industry": f"Trade {next(fresh)}"})),
        (
            "share",
            5,
            lambda: rep.done(
                "PUT", member, json={"right": "read", "expires_at": f"2027-01-01T00:00:{next(fresh):02}Z"}
            ),
        ),
        ("create contact", 3, lambda: make_contact(rep, other, name=f"Contact {next(fresh)}")),
        ("timeline", 2, lambda: rep.done("GET", f"{path}/timeline")),
        ("timeline of one kind", 2, lambda: rep.done("GET", f"{path}/timeline", params={"types": "sales.opportunity"})),
    ]
    found = {name: await statements_of(request) for name, _, request in requests}
    assert {name: len(sent) for name, sent in found.items()} == {name: count for name, count, _ in requests}, found

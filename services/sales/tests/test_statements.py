"""How many statements the sales service's most used requests send.

A record alone takes 3 for a creation and 4 for a change. An opportunity takes 2 more for the pipelines with their stages (always read:
they may have changed), 1 for the lock that holds them still, and 1 for each kind of thing that it names: customer, products, own lines.
An activity takes 1 for each kind of record that it is about and 1 for whose they are; unless they are customers, 1 for the lock that
keeps it so and 1 for whether the customers are still there.
"""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from services.sales.tests.activity.stand import link, note
from services.sales.tests.conftest import Stages, make_customer, make_opportunity, make_product

from crm_testing.service import Caller, Running
from crm_testing.statements import noting_statements, statements_of


@pytest.fixture(autouse=True)
def noted() -> Iterator[None]:
    with noting_statements():
        yield


async def test_requests_need_few_statements(sales: Running, rep: Caller, admin: Caller, stages: Stages) -> None:
    customer = await make_customer(sales, sales.people.rep)
    product = await make_product(admin)
    line = {"product_id": product["id"], "quantity": "2"}
    made = await make_opportunity(rep, customer_id=customer, lines=[line])
    path = f"/opportunities/{made['id']}"
    fresh = iter(range(1000))
    names = iter(["Engaging", "Proposal"])

    async def create(**more: Any) -> Any:
        return await make_opportunity(rep, f"Sale {next(fresh)}", customer_id=customer, **more)

    requests: list[tuple[str, int, Callable[[], Awaitable[Any]]]] = [
        ("read", 2, lambda: rep.done("GET", path)),
        ("list", 1, lambda: rep.done("GET", "/opportunities")),
        ("create", 7, create),
        ("create with lines", 9, lambda: create(lines=[line])),
        ("change", 7, lambda: rep.done("PATCH", path, json={"name": f"Sale {next(fresh)}"})),
        ("advance", 9, lambda: rep.done("POST", f"{path}/advance", json={"stage_id": stages[next(names)]})),
        ("note an activity", 7, lambda: note(rep, link("opportunity", made["id"]))),
    ]
    found = {name: await statements_of(request) for name, _, request in requests}
    assert {name: len(sent) for name, sent in found.items()} == {name: count for name, count, _ in requests}, found

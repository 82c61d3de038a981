"""How many statements the support service's most used requests send.

Reading tickets takes 1 more for the customers of all that are shown. A reply is a change of its ticket (4, it may be the first response)
with its place in the conversation and its own row.
"""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from services.support.tests.conftest import general, make_customer, make_ticket

from crm_testing.service import Caller, Running
from crm_testing.statements import noting_statements, statements_of


@pytest.fixture(autouse=True)
def noted() -> Iterator[None]:
    with noting_statements():
        yield


async def test_requests_need_few_statements(support: Running, agent: Caller, admin: Caller) -> None:
    customer = await make_customer(support, support.people.rep)
    queue = await general(admin)
    made = await make_ticket(agent, customer_id=customer, owner_id=str(support.people.agent.id))
    for _ in range(3):
        await make_ticket(agent, customer_id=customer)
    path = f"/tickets/{made['id']}"
    fresh = iter(range(1000))
    status = iter(["pending", "open"])

    async def reply(**more: Any) -> Any:
        return await agent.done("POST", f"{path}/replies", json={"text": f"We look at it ({next(fresh)}).", **more})

    requests: list[tuple[str, int, Callable[[], Awaitable[Any]]]] = [
        ("read", 2, lambda: agent.done("GET", path)),
        ("list", 2, lambda: agent.done("GET", "/tickets")),
        ("tickets of a queue", 3, lambda: agent.done("GET", f"/queues/{queue['id']}/tickets")),
        ("tickets of my queues", 3, lambda: agent.done("GET", "/queues/mine/tickets")),
        ("create", 5, lambda: make_ticket(agent, customer_id=customer, owner_id=str(support.people.agent.id))),
        ("reply", 6, reply),
        ("reply internally", 6, lambda: reply(visibility="internal")),
        ("replies", 2, lambda: agent.done("GET", f"{path}/replies")),
        ("move", 4, lambda: agent.done("POST", f"{path}/move", json={"status": next(status)})),
    ]
    found = {name: await statements_of(request) for name, _, request in requests}
    assert {name: len(sent) for name, sent in found.items()} == {name: count for name, count, _ in requests}, found

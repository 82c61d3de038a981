"""How many statements the billing service's most used requests send.

A record alone takes 3 for a creation and 4 for a change. What is more belongs to several records that change as one: a payment locks its
contract (2) and reads what is open on it (3), is created with its parts (4), and an approval is asked for (9, itself a record, with the
subject read under lock as its own action would); a submission changes the contract (6) and asks for the approval. An approval reads the
record's parts once more (3), to compare them with what was submitted.
"""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from services.billing.tests.conftest import activate, draft, part, pay, plan, submit, usd

from crm_testing.service import Caller, Running
from crm_testing.statements import noting_statements, statements_of


@pytest.fixture(autouse=True)
def noted() -> Iterator[None]:
    with noting_statements():
        yield


async def test_requests_need_few_statements(
    billing: Running, rep: Caller, manager: Caller, collector: Caller, customer: str
) -> None:
    contract = await activate(rep, manager, customer, part("400.00"), part("600.00"))
    drafts = [await draft(rep, customer) for _ in range(2)]
    for made in drafts:
        assert (await plan(rep, made["id"], part("1000.00"))).status == 200
    waiting = iter(drafts)
    path = f"/contracts/{contract['id']}"
    fresh = iter(range(1000))

    async def record() -> None:
        answer = await pay(collector, contract["id"], "10.00")
        assert answer.status == 201, answer

    async def approve() -> None:
        (approval,) = (await manager.done("GET", "/approvals", params={"role": "to_decide"}))["items"][:1]
        await manager.done("POST", f"/approvals/{approval['id']}/approve", json={})

    requests: list[tuple[str, int, Callable[[], Awaitable[Any]]]] = [
        ("read", 3, lambda: rep.done("GET", path)),
        ("list", 1, lambda: rep.done("GET", "/contracts")),
        ("balance", 4, lambda: rep.done("GET", f"{path}/balance")),
        ("draft", 4, lambda: draft(rep, customer)),
        ("change", 6, lambda: rep.done("PATCH", f"/contracts/{drafts[0]['id']}", json={"name": f"N {next(fresh)}"})),
        ("submit", 14, lambda: _submit(rep, next(waiting)["id"])),
        ("record a payment", 18, record),
        ("what waits for me, and approve", 18, approve),
        ("payments", 1, lambda: collector.done("GET", "/payments")),
    ]
    found = {name: await statements_of(request) for name, _, request in requests}
    assert {name: len(sent) for name, sent in found.items()} == {name: count for name, count, _ in requests}, found


@pytest.mark.requirement("PL-9", "PL-20")
async def test_a_batch_of_payments_needs_as_many_statements_for_fifty_rows_as_for_two(
    rep: Caller, manager: Caller, collector: Caller, customer: str
) -> None:
    contracts = [await activate(rep, manager, customer) for _ in range(5)]
    lines = iter(range(1000))

    async def record(count: int) -> None:
        """Rows for as many contracts as there are, each once more the same line of the bank's."""
        rows = [
            {
                "contract_id": contracts[number % len(contracts)]["id"],
                "amount": usd("1.00"),
                "paid_on": "2026-11-23",
                "external_ref": {"system": "bank", "id": str(next(lines))},
            }
            for number in range(count)
        ]
        for done in ("created", "unchanged"):
            answer = await collector.done("POST", "/payments/batch", json={"mode": "upsert", "rows": rows})
            assert {row.get("done") for row in answer["rows"]} == {done}, answer

    few, many = [await statements_of(lambda count=count: record(count)) for count in (2, 50)]
    assert len(many) == len(few), (few, many)


async def _submit(rep: Caller, contract_id: str) -> None:
    await submit(rep, contract_id)

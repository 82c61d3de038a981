"""A leaver's open contracts and waiting payments go to the successor (ID-6); what has ended or counted stays theirs."""

import datetime as dt
from typing import Any

import pytest
from services.billing.tests.conftest import activate, decide, draft, part, pay, plan, submit

from crm_authz.shipped import COLLECTIONS_REPRESENTATIVE
from crm_records.hand_over import rules
from crm_testing.leaving import Leaving
from crm_testing.service import Caller, Running


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests hear of a dismissal at once here: there is one process."""
    monkeypatch.setattr(rules, "DIRECTORY_AGE", dt.timedelta(0))


@pytest.mark.requirement("ID-6")
async def test_open_contracts_and_waiting_payments_change_hands_and_what_has_ended_does_not(
    billing: Running, rep: Caller, manager: Caller, admin: Caller, customer: str
) -> None:
    people = billing.people
    drafted = await draft(rep, customer)
    waiting = await draft(rep, customer)
    assert (await plan(rep, waiting["id"], part("1000.00"))).status == 200
    await submit(rep, waiting["id"])
    active = await activate(rep, manager, customer, part("1000.00"))
    ended = await activate(rep, manager, customer, part("1000.00"))
    await manager.done("POST", f"/contracts/{ended['id']}/terminate", json={"reason": "over"})
    void = await draft(rep, customer)
    await rep.done("POST", f"/contracts/{void['id']}/void")

    collecting = billing.caller(people.rep, rights=COLLECTIONS_REPRESENTATIVE)

    async def paid(amount: str) -> Any:
        instalment = (await admin.done("GET", f"/contracts/{active['id']}"))["instalments"][0]["id"]
        allocations = [{"instalment_id": instalment, "amount": {"amount": amount, "currency": "USD"}}]
        answer = await pay(collecting, active["id"], amount, allocations=allocations)
        assert answer.status == 201, answer
        return answer.body

    counted = await paid("100.00")
    assert (await decide(manager, counted["id"])).status == 200
    pending = await paid("50.00")
    leaving = Leaving(billing, people.rep, people.colleague, people.administrator)
    await leaving.dismissed()
    await leaving.asked()
    await billing.work()

    fact, state = await leaving.last()
    assert (fact, state["moved"]) == ("done", {"billing.contract": 3, "billing.payment": 1})
    heir, leaver = str(people.colleague.id), str(people.rep.id)

    async def owner(kind: str, record: Any) -> str:
        return str((await admin.done("GET", f"/{kind}/{record['id']}"))["owner_id"])

    assert {await owner("contracts", one) for one in (drafted, waiting, active)} == {heir}
    assert {await owner("contracts", one) for one in (ended, void)} == {leaver}
    assert await owner("payments", pending) == heir
    assert await owner("payments", counted) == leaver
    # What waits for a decision is decided as before, and what was planned is as it was.
    assert (await decide(manager, waiting["id"])).status == 200
    assert (await admin.done("GET", f"/contracts/{active['id']}"))["instalments"] == active["instalments"]

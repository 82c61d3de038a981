"""The first won deal, or the first approved contract, makes a prospect a customer (SA-8, BI-4)."""

import itertools
from typing import Any

import pytest
from services.customers.tests.conftest import make_customer, told

from crm_contracts import registry
from crm_contracts.billing import ContractApproved
from crm_contracts.sales import OpportunityWon
from crm_kernel import new_id
from crm_testing.service import Caller, Running, envelope


def won(customer_id: str | None, *, occurred_at: str = "2026-11-20T09:00:00Z", **changes: Any) -> Any:
    """A won opportunity, as the sales service tells of it."""
    example = registry.examples[OpportunityWon.type]
    data = {**example, "occurred_at": occurred_at, "state": {**example["state"], "customer_id": customer_id}, **changes}
    return envelope(OpportunityWon, new_id(), data)


def approved(customer_id: str, *, occurred_at: str = "2026-11-20T09:00:00Z") -> Any:
    """An approved contract, as the billing service tells of it."""
    example = registry.examples[ContractApproved.type]
    data = {**example, "occurred_at": occurred_at, "state": {**example["state"], "customer_id": customer_id}}
    return envelope(ContractApproved, new_id(), data)


@pytest.mark.requirement("SA-8")
async def test_the_first_won_deal_makes_a_prospect_a_customer(customers: Running, rep: Caller) -> None:
    made = await make_customer(rep)
    first = won(made["id"])
    await customers.hear(first)
    now = await rep.done("GET", f"/customers/{made['id']}")
    assert (now["lifecycle"], now["dealt_at"], now["version"]) == ("customer", "2026-11-20T09:00:00Z", 2)
    (_, (fact, event)) = await told(customers, made)
    assert (fact, event.opportunity_id, event.state.lifecycle) == ("dealt", first.subject, "customer")
    assert event.occurred_at.isoformat() == "2026-11-20T09:00:00+00:00"
    assert (event.actor.kind, event.changes["lifecycle"].new) == ("system", "customer")
    assert event.access is not None
    assert event.access.owner_id == customers.people.rep.id


@pytest.mark.requirement("SA-8")
async def test_the_same_and_further_wins_change_nothing(customers: Running, rep: Caller) -> None:
    made = await make_customer(rep)
    first = won(made["id"])
    await customers.hear(first)
    await customers.hear(first)
    await customers.hear(won(made["id"], occurred_at="2026-11-22T09:00:00Z"))
    assert [fact for fact, _ in await told(customers, made)] == ["created", "dealt"]
    assert (await rep.done("GET", f"/customers/{made['id']}"))["dealt_at"] == "2026-11-20T09:00:00Z"


@pytest.mark.requirement("SA-8")
async def test_of_deals_that_come_together_the_earliest_counts_and_each_customer_changes_once(
    customers: Running, rep: Caller
) -> None:
    one, other = await make_customer(rep), await make_customer(rep, name="Other")
    late, early = won(one["id"]), won(one["id"], occurred_at="2026-11-18T09:00:00Z")
    await customers.hear(late, won(other["id"]), early)
    assert [fact for fact, _ in await told(customers, one)] == ["created", "dealt"]
    assert [fact for fact, _ in await told(customers, other)] == ["created", "dealt"]
    (_, (_, event)) = await told(customers, one)
    assert (event.opportunity_id, event.state.dealt_at.isoformat()) == (early.subject, "2026-11-18T09:00:00+00:00")


@pytest.mark.requirement("SA-8")
async def test_a_deal_with_an_unknown_customer_or_none_is_taken_note_of_and_does_nothing(customers: Running) -> None:
    await customers.hear(won(str(new_id())), won(None))
    assert await customers.events("crm.customers.customer.%") == []
    assert await customers.dead_letters() == []


@pytest.mark.requirement("SA-8")
async def test_a_deleted_customer_becomes_one_too(customers: Running, rep: Caller, manager: Caller) -> None:
    made = await make_customer(rep)
    await manager.done("DELETE", f"/customers/{made['id']}")
    await customers.hear(won(made["id"]))
    assert (await rep("GET", f"/customers/{made['id']}")).status == 404
    restored = await manager.done("POST", f"/customers/{made['id']}/restore")
    assert restored["lifecycle"] == "customer"


@pytest.mark.requirement("BI-4")
async def test_the_first_approved_contract_makes_a_prospect_a_customer(customers: Running, rep: Caller) -> None:
    made = await make_customer(rep)
    contract = approved(made["id"])
    await customers.hear(contract)
    await customers.hear(contract, won(made["id"]))
    assert (await rep.done("GET", f"/customers/{made['id']}"))["dealt_at"] == "2026-11-20T09:00:00Z"
    (_, (fact, event)) = await told(customers, made)
    assert (fact, event.contract_id, event.opportunity_id) == ("dealt", contract.subject, None)


@pytest.mark.requirement("SA-8", "BI-4")
async def test_a_deal_heard_later_but_made_earlier_moves_dealt_at_back(customers: Running, rep: Caller) -> None:
    """Opportunities and contracts come on topics of their own: which is heard first is chance, which was first isn't."""
    made = await make_customer(rep)
    contract = approved(made["id"], occurred_at="2026-11-20T09:00:00Z")
    opportunity = won(made["id"], occurred_at="2026-11-18T09:00:00Z")
    await customers.hear(contract)
    await customers.hear(opportunity)
    # Neither again, nor one of the time between, moves it once more.
    await customers.hear(contract, won(made["id"], occurred_at="2026-11-19T09:00:00Z"))
    await customers.hear(approved(made["id"], occurred_at="2026-11-18T09:00:00Z"))
    now = await rep.done("GET", f"/customers/{made['id']}")
    assert (now["lifecycle"], now["dealt_at"], now["version"]) == ("customer", "2026-11-18T09:00:00Z", 3)
    (_, (_, first), (fact, event)) = await told(customers, made)
    assert (first.contract_id, first.opportunity_id) == (contract.subject, None)
    assert (fact, event.contract_id, event.opportunity_id) == ("dealt", None, opportunity.subject)
    assert event.occurred_at.isoformat() == "2026-11-18T09:00:00+00:00"
    assert set(event.changes) == {"dealt_at"}


@pytest.mark.requirement("SA-8", "BI-4")
async def test_in_whatever_order_deals_are_heard_the_earliest_is_the_first(customers: Running, rep: Caller) -> None:
    days = ("2026-11-18", "2026-11-19", "2026-11-20")
    for order in itertools.permutations(days):
        made = await make_customer(rep)
        for number, day in enumerate(order):
            tell = approved if number % 2 else won
            await customers.hear(tell(made["id"], occurred_at=f"{day}T09:00:00Z"))
        now = await rep.done("GET", f"/customers/{made['id']}")
        assert (order, now["dealt_at"]) == (order, "2026-11-18T09:00:00Z")

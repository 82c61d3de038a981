"""Entries from events: once each, in whatever order they come, and with the record that they are about (CU-17)."""

import asyncio
from random import Random
from typing import Any

import pytest
from services.customers.tests.conftest import make_contact, make_customer
from services.customers.tests.timeline.stories import kinds, relayed, rows, timeline, told

from crm_contracts import Envelope
from crm_contracts.billing import CONTRACT_EVENTS, PAYMENT_EVENTS, ContractApproved, PaymentApproved
from crm_contracts.sales import ACTIVITY_EVENTS, OPPORTUNITY_EVENTS, OpportunityStageChanged, OpportunityWon
from crm_contracts.support import TICKET_EVENTS, TicketMoved, TicketReplied
from crm_customers.timeline import store
from crm_customers.timeline.facts import entry_of
from crm_customers.timeline.reactions import keep
from crm_customers.timeline.store import folded
from crm_database import WriteContext
from crm_kernel import new_id
from crm_testing.service import NOW, Caller, Running


def a_story(customers: Running, customer: str, other: str) -> list[Envelope]:
    """What happens with records of one customer; the opportunity and the ticket end at another one's."""
    rep = customers.people.rep
    ids = [new_id() for _ in range(5)]
    deal, call, contract, payment, ticket = ids
    ours: dict[str, Any] = {"owner": rep, "customer_id": customer}
    return [
        told(OPPORTUNITY_EVENTS.created, id=deal, version=1, occurred_at="2026-11-01T09:00:00Z", **ours),
        told(OpportunityStageChanged, id=deal, version=2, occurred_at="2026-11-02T09:00:00Z", **ours),
        told(OPPORTUNITY_EVENTS.changed, id=deal, version=3, owner=rep, customer_id=other),
        told(OpportunityWon, id=deal, version=4, occurred_at="2026-11-03T09:00:00Z", owner=rep, customer_id=other),
        told(ACTIVITY_EVENTS.created, id=call, version=1, actor=rep.id, **ours),
        told(ACTIVITY_EVENTS.changed, id=call, version=2, kind="visit", happened_at="2026-11-09T09:00:00Z", **ours),
        told(ACTIVITY_EVENTS.changed, id=call, version=3, kind="e-mail", happened_at="2026-11-08T09:00:00Z", **ours),
        told(CONTRACT_EVENTS.created, id=contract, version=1, occurred_at="2026-11-04T09:00:00Z", **ours),
        told(ContractApproved, id=contract, version=2, occurred_at="2026-11-05T09:00:00Z", **ours),
        told(PAYMENT_EVENTS.created, id=payment, version=1, owner=rep, contract_id=str(contract)),
        told(PaymentApproved, id=payment, version=2, owner=rep, contract_id=str(contract)),
        told(TICKET_EVENTS.created, id=ticket, version=1, owner=rep, customer_id=None, stranger_name="Kim"),
        told(TicketMoved, id=ticket, version=2, occurred_at="2026-11-06T09:00:00Z", **ours),
        told(TicketReplied, id=ticket, version=3, occurred_at="2026-11-07T09:00:00Z", **ours),
    ]


async def taken(customers: Running, envelopes: list[Envelope]) -> None:
    """Give events to the reaction in the batches of a topic, past the inbox: so that doubles reach it, too."""
    async with customers.database.write(WriteContext(now=NOW)) as session:
        await keep(session, envelopes)


@pytest.mark.requirement("CU-17")
async def test_events_of_all_services_stand_in_the_timeline_newest_first(
    customers: Running, rep: Caller, admin: Caller
) -> None:
    customer, other = await make_customer(rep), await make_customer(rep, name="Other")
    await customers.hear(*a_story(customers, customer["id"], other["id"]))
    found = await timeline(admin, customer)
    shown = [(one["record"]["type"], one["kind"], one["at"][:10]) for one in found]
    assert shown[:5] == [
        ("sales.activity", "noted", "2026-11-08"),
        ("support.ticket", "replied", "2026-11-07"),
        ("support.ticket", "moved", "2026-11-06"),
        ("billing.contract", "approved", "2026-11-05"),
        ("billing.contract", "created", "2026-11-04"),
    ]
    # At one instant the one that was noted later stands first.
    assert shown[5:] == [
        ("support.ticket", "created", "2026-03-01"),
        ("billing.payment", "approved", "2026-03-01"),
        ("billing.payment", "recorded", "2026-03-01"),
    ]
    noted, payment = found[0], next(one for one in found if one["record"]["type"] == "billing.payment")
    assert noted["summary"]["kind"] == "e-mail"
    assert noted["record"] == {
        "type": "sales.activity",
        "id": noted["id"],
        "number": "ACT-2603-00001",
        "name": "Asked about the offer",
    }
    assert (noted["actor_id"], noted["recorded_at"]) == (str(customers.people.rep.id), "2026-03-01T09:00:00Z")
    assert (payment["record"]["number"], payment["record"]["name"]) == ("PAY-2603-0001", None)
    # The opportunity went to another customer, and took along what had happened with it.
    assert await kinds(admin, other) == [("opportunity", "won"), ("opportunity", "moved"), ("opportunity", "created")]


@pytest.mark.requirement("CU-17")
@pytest.mark.parametrize("seed", range(6))
async def test_doubled_replayed_and_reordered_events_make_the_same_rows(
    customers: Running, rep: Caller, seed: int
) -> None:
    random = Random(seed)
    customer, other = await make_customer(rep), await make_customer(rep, name="Other")
    story = a_story(customers, customer["id"], other["id"])
    for event in story:
        await taken(customers, [event])
    expected = await rows(customers)
    # Three events of the call are one entry, and that the opportunity went elsewhere is none.
    assert len(expected) == len(story) - 3
    await customers_emptied(customers)
    mixed = [*story, *random.sample(story, 6)]
    random.shuffle(mixed)
    while mixed:
        size = random.randint(1, 6)
        await taken(customers, mixed[:size])
        mixed = mixed[size:]
    assert await rows(customers) == expected
    # Everything once more changes nothing.
    await taken(customers, story)
    assert await rows(customers) == expected


async def customers_emptied(customers: Running) -> None:
    async with customers.database.write(WriteContext(now=NOW)) as session:
        for table in ("timeline_entry", *(f"{one}_replica" for one in _REPLICATED)):
            await session.connection.execute(f"DELETE FROM {table}")


_REPLICATED = ("opportunity", "activity", "contract", "payment", "ticket")


@pytest.mark.requirement("CU-17", "BI-21")
async def test_payments_that_are_heard_of_before_their_contract_come_to_the_customer_with_it(
    customers: Running, rep: Caller, admin: Caller
) -> None:
    customer, contract = await make_customer(rep), new_id()
    owner = customers.people.rep
    await customers.hear(told(PAYMENT_EVENTS.created, owner=owner, contract_id=str(contract)))
    assert await kinds(admin, customer) == []
    await customers.hear(told(CONTRACT_EVENTS.created, id=contract, owner=owner, customer_id=customer["id"]))
    assert sorted(await kinds(admin, customer)) == [("contract", "created"), ("payment", "recorded")]
    # A draft may get another customer; its payments go with it.
    other = await make_customer(rep, name="Other")
    await customers.hear(told(CONTRACT_EVENTS.changed, id=contract, owner=owner, version=2, customer_id=other["id"]))
    assert await kinds(admin, customer) == []
    assert sorted(await kinds(admin, other)) == [("contract", "created"), ("payment", "recorded")]


@pytest.mark.requirement("CU-17")
@pytest.mark.parametrize("contract_first", [True, False])
async def test_payments_and_contracts_that_are_taken_in_at_the_same_time_meet(
    customers: Running, rep: Caller, admin: Caller, contract_first: bool
) -> None:
    """The second begins and would end before the first does: without their lock neither would see the other's rows."""
    customer, owner, contract = await make_customer(rep), customers.people.rep, new_id()
    batches = [
        [told(CONTRACT_EVENTS.created, id=contract, owner=owner, customer_id=customer["id"])],
        [told(PAYMENT_EVENTS.created, owner=owner, contract_id=str(contract))],
    ]
    first, second = batches if contract_first else batches[::-1]
    async with customers.database.write(WriteContext(now=NOW)) as session:
        await keep(session, first)
        other = asyncio.create_task(taken(customers, second))
        await _waits_or_ends(customers, other)
    await other
    assert sorted(await kinds(admin, customer)) == [("contract", "created"), ("payment", "recorded")]


async def _waits_or_ends(customers: Running, task: asyncio.Task[None]) -> None:
    async with asyncio.timeout(10):
        while not task.done():
            # Of this database alone: tests run in parallel on one server.
            (row,) = await customers.rows(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
                " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
            if row[0]:
                return


@pytest.mark.requirement("CU-17")
async def test_our_own_records_come_round_over_the_bus(customers: Running, rep: Caller, manager: Caller) -> None:
    customer, other = await make_customer(rep), await make_customer(rep, name="Other")
    contact = await make_contact(rep, customer)
    path = f"/customers/{customer['id']}"
    await rep.done("PATCH", path, json={"grade": "VIP"})
    await rep.done("PATCH", path, json={"phone": "+82 2 1234 5678"})
    await manager.done("POST", f"{path}/transfer", json={"to_user_id": str(customers.people.colleague.id)})
    await manager.done("POST", f"{path}/release", json={"reason": "No need this year"})
    await rep.done("POST", f"{path}/claim")
    await customers.hear(*await relayed(customers))
    assert sorted(await kinds(manager, customer)) == [
        ("contact", "created"),
        *[("contact", "transferred")] * 3,
        *[("customer", kind) for kind in ("changed", "claimed", "created", "released", "transferred")],
    ]
    found = await timeline(manager, customer, types="customers.customer")
    assert found[-1]["record"]["name"] == "주식회사 예시"
    assert {one["kind"]: one["summary"] for one in found}["changed"] == {
        "changes": {"grade": {"old": None, "new": "VIP"}}
    }
    # A contact that goes to another customer takes its entries along.
    position = await customers.position()
    await rep.done("PATCH", f"/contacts/{contact['id']}", json={"customer_id": other["id"]})
    await customers.hear(*await relayed(customers, since=position))
    assert "contact" not in {record for record, _ in await kinds(manager, customer)}
    assert ("contact", "created") in await kinds(manager, other)


@pytest.mark.requirement("CU-17")
async def test_entries_of_deleted_records_are_gone_until_they_are_restored(
    customers: Running, rep: Caller, admin: Caller
) -> None:
    customer, owner = await make_customer(rep), customers.people.rep
    for events in (OPPORTUNITY_EVENTS, ACTIVITY_EVENTS, CONTRACT_EVENTS, TICKET_EVENTS):
        record, ours = new_id(), {"owner": owner, "customer_id": customer["id"]}
        await customers.hear(told(events.created, id=record, version=1, **ours))
        before = await kinds(admin, customer)
        assert len(before) == 1
        await customers.hear(told(events.deleted, id=record, version=2, deleted=True, **ours))
        assert await kinds(admin, customer) == []
        await customers.hear(told(events.restored, id=record, version=3, **ours))
        assert set(before) <= set(await kinds(admin, customer))
        await customers.hear(told(events.deleted, id=record, version=4, deleted=True, **ours))


def test_of_one_entry_the_newest_tells_and_whoever_noted_it_stays() -> None:
    record = new_id()
    first = told(ACTIVITY_EVENTS.created, id=record, version=1, kind="call")
    later = told(ACTIVITY_EVENTS.changed, id=record, version=2, kind="visit")
    entries = [one for one in (entry_of(first), entry_of(later)) if one is not None]
    for order in (entries, entries[::-1]):
        (one,) = folded(order)
        assert (one.version, one.summary["kind"], one.actor_id) == (2, "visit", entries[0].actor_id)


@pytest.mark.parametrize("contract_first", [True, False])
async def test_without_the_lock_payments_would_miss_their_contracts(
    customers: Running, rep: Caller, admin: Caller, monkeypatch: pytest.MonkeyPatch, contract_first: bool
) -> None:
    """The guard taken away: then the test above must notice."""

    async def at_once(session: Any) -> None:
        """Nobody waits for anybody."""

    monkeypatch.setattr(store, "payments_meet_contracts", at_once)
    with pytest.raises(AssertionError):
        await test_payments_and_contracts_that_are_taken_in_at_the_same_time_meet(customers, rep, admin, contract_first)

"""After the faults: is everything there that was answered, once, in order, and counted?"""

import asyncio
import datetime as dt
from collections import Counter
from decimal import Decimal
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from journeys.person import Person

from crm_analytics.rebuild import rebuild
from crm_contracts import Envelope, registry
from crm_events.closing import closed
from crm_stack.bus.databases import opened
from crm_stack.local import Stack

from .load import Answered

CUSTOMERS, DEALS = "customers/customers", "sales/opportunities"
CONTRACTS, PAYMENTS, TICKETS = "billing/contracts", "billing/payments", "support/tickets"
#: What `crm_records` raises with each write; a record's answer is compared but for what another service's event may have changed.
_LATER = {"version", "updated_at", "lifecycle", "dealt_at"}
#: What a decision changes, which answers with the approval.
_DECIDED = {"status", "last_decision"}
#: Contracts of which the balance is asked for.
BALANCES = 500


def everything_answered_is_readable(person: Person, answered: Answered) -> dict[str, Any]:
    """Every 2xx is in the lists as it was answered; nothing is there twice. Answers the opportunities."""
    customers = _by_id(person.pages(CUSTOMERS))
    deals = _by_id(person.pages(DEALS))
    contracts, payments, tickets = (_by_id(person.pages(path)) for path in (CONTRACTS, PAYMENTS, TICKETS))
    for found, told, later in (
        (customers, answered.customers, _LATER),
        (deals, answered.opportunities, _LATER),
        (contracts, answered.contracts, _LATER | _DECIDED),
        (payments, answered.payments, _LATER | _DECIDED),
        (tickets, answered.tickets, _LATER),
    ):
        lost = told.keys() - found.keys()
        assert not lost, f"{len(lost)} answered with 2xx are not there"
        for record, said in told.items():
            assert found[record]["version"] >= said["version"]
            present = {name: found[record][name] for name in said.keys() & found[record].keys() - later}
            assert present == {name: said[name] for name in present}, record
    # A write that was sent again under its key is one write.
    for found in (customers, deals):
        assert max(Counter(record["name"] for record in found.values()).values()) == 1
    assert max(Counter(contract["opportunity_id"] for contract in contracts.values()).values()) == 1
    assert max(Counter(ticket["subject"] for ticket in tickets.values()).values()) == 1
    return deals


def money_is_exact(person: Person, answered: Answered) -> None:
    """Contract = planned = received + open, and what was received is what was approved; what waits is not counted."""
    paid = Counter(one["contract_id"] for one in person.pages(PAYMENTS))
    assert paid == Counter(one["contract_id"] for one in answered.payments.values()), "payments are there once"
    assert answered.received
    for contract, received in list(answered.received.items())[:BALANCES]:
        found = person.get(f"{CONTRACTS}/{contract}/balance")
        amounts = {name: Decimal(found[name]["amount"]) for name in ("contract", "planned", "received", "open")}
        value = Decimal(answered.contracts[contract]["value"]["amount"])
        assert amounts == {"contract": value, "planned": value, "received": received, "open": value - received}
        ledger = person.get(f"{CONTRACTS}/{contract}/ledger")["items"]
        assert [entry["kind"] for entry in ledger] == ["planned", "paid"], contract


def each_ticket_was_answered_once(person: Person, answered: Answered) -> None:
    """A reply that was sent again under its key is one reply."""
    for ticket, said in list(answered.tickets.items())[:BALANCES]:
        replies = person.get(f"{TICKETS}/{ticket}/replies")["items"]
        assert len(replies) == 1 or (said["status"] != "solved" and not replies), ticket


def _by_id(records: Any) -> dict[str, Any]:
    listed = list(records)
    found = {record["id"]: record for record in listed}
    assert len(found) == len(listed), "a record is in a list twice"
    return found


def every_effect_is_there_once_and_in_order(stack: Stack) -> int:
    """The log of all events has of each record the versions of its journal, each once, in order. Answers how many."""

    async def read() -> tuple[dict[Any, list[int]], dict[Any, list[int]]]:
        journal: dict[Any, list[int]] = {}
        logged: dict[Any, list[int]] = {}
        async with opened(stack.layout, stack.options.services) as databases:
            for service in ("customers", "sales", "billing", "support"):
                async with databases[service].read() as session:
                    rows = await session.connection.fetch("SELECT subject, version FROM journal ORDER BY version")
                for row in rows:
                    journal.setdefault(row["subject"], []).append(row["version"])
            async with databases["analytics"].read() as session:
                rows = await session.connection.fetch(
                    "SELECT subject, version FROM event_log WHERE topic NOT LIKE 'crm.identity.%' ORDER BY position"
                )
            for row in rows:
                logged.setdefault(row["subject"], []).append(row["version"])
        return journal, logged

    journal, logged = asyncio.run(read())
    for subject, versions in journal.items():
        assert versions == list(range(1, len(versions) + 1)), f"{subject} has a version twice or skips one"
    assert logged == journal
    return sum(map(len, journal.values()))


def every_topic_tells_in_order(bootstrap: str) -> int:
    """On each partition a number is one event, and numbers follow the versions of each record. Answers how many records there are.

    The log holds what came since it was last lost, some of it twice. Numbers may be left out: those that everybody had when it was lost.
    """
    told = asyncio.run(_told(bootstrap))
    numbered: dict[tuple[str, int, str], dict[int, Envelope]] = {}
    for envelope in told:
        numbers = numbered.setdefault((envelope.topic, envelope.partition, envelope.stream), {})
        assert numbers.setdefault(envelope.sequence, envelope).id == envelope.id, f"{envelope.sequence} is two events"
    for numbers in numbered.values():
        versions: dict[Any, int] = {}
        for _, envelope in sorted(numbers.items()):
            version = envelope.payload["version"]
            assert version > versions.get(envelope.subject, 0), f"{envelope.subject} is told of in another order"
            versions[envelope.subject] = version
    return len(told)


async def _told(bootstrap: str) -> list[Envelope]:
    """Everything that is on the numbered topics now."""
    reader = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
    found: list[Envelope] = []
    await reader.start()
    try:
        there = await reader.topics()
        parts = [
            TopicPartition(topic.name, number)
            for topic in registry.topics.values()
            if topic.numbered and topic.name in there
            for number in reader.partitions_for_topic(topic.name) or ()
        ]
        reader.assign(parts)
        ends = await reader.end_offsets(parts)
        starts = await reader.beginning_offsets(parts)
        open_ = {part for part in parts if ends[part] > starts[part]}
        async with asyncio.timeout(300):
            while open_:
                for part, records in (await reader.getmany(*open_, timeout_ms=1000, max_records=5000)).items():
                    found += [
                        Envelope.read(r.headers, r.value, topic=part.topic, partition=part.partition, offset=r.offset)
                        for r in records
                    ]
                open_ = {part for part in open_ if await reader.position(part) < ends[part]}
    finally:
        await closed(reader, "the reader of all topics")
    return found


def figures(person: Person) -> Any:
    """The opportunities' outcomes of a year around today, by who closed them."""
    today = dt.datetime.now(dt.UTC).date()
    period = {"from": str(today - dt.timedelta(days=180)), "to": str(today + dt.timedelta(days=180))}
    return person.get("analytics/reports/opportunity-outcomes", params={**period, "group_by": "user"})["total"]


def the_figures_are_a_recount(person: Person, deals: dict[str, Any]) -> None:
    """Analytics counts what the lists have."""
    outcomes = Counter(deal["outcome"] for deal in deals.values())
    worth = sum(Decimal(deal["value"]["amount"]) for deal in deals.values() if deal["outcome"] == "won")
    assert figures(person) == {
        "won": {"count": outcomes["won"], "value": {"amount": f"{worth:.2f}", "currency": "USD"}},
        "lost": {"count": outcomes["lost"]},
        "open": {"count": outcomes["open"]},
    }


def winners_are_customers(person: Person, deals: dict[str, Any]) -> None:
    """The effect of an effect: who has a won deal, and nobody else, is a customer (SA-8)."""
    won = {deal["customer_id"] for deal in deals.values() if deal["outcome"] == "won"}
    assert {c["id"] for c in person.pages(CUSTOMERS) if c["lifecycle"] == "customer"} == won


def a_rebuild_changes_nothing(stack: Stack, person: Person) -> None:
    """The projection made anew from the log says the same."""
    before = figures(person)
    done = asyncio.run(rebuild(stack.dsn("analytics").strip()))
    assert done.refused == []
    assert figures(person) == before

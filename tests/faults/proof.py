"""After the faults: is everything there that was answered, once, in order, and counted?"""

import asyncio
import datetime as dt
from collections import Counter
from decimal import Decimal
from typing import Any

from journeys.person import Person
from journeys.waiting import until

from crm_analytics.rebuild import rebuild
from crm_events import groups_of
from crm_events.reconcile import Reconciliation, reconcile
from crm_stack.bus.databases import opened
from crm_stack.local import Stack
from crm_web.service import load_service
from crm_web.working import all_reactions

from .load import Answered

CUSTOMERS, DEALS = "customers/customers", "sales/opportunities"
#: What `crm_records` raises with each write; a record's answer is compared but for what another service's event may have changed.
_LATER = {"version", "updated_at", "lifecycle", "dealt_at"}


def everything_answered_is_readable(person: Person, answered: Answered) -> dict[str, Any]:
    """Every 2xx is in the lists as it was answered; nothing is there twice. Answers the opportunities."""
    customers = _by_id(person.pages(CUSTOMERS))
    deals = _by_id(person.pages(DEALS))
    for found, told in ((customers, answered.customers), (deals, answered.opportunities)):
        lost = told.keys() - found.keys()
        assert not lost, f"{len(lost)} answered with 2xx are not there"
        for record, said in told.items():
            assert found[record]["version"] >= said["version"]
            present = {name: found[record][name] for name in said.keys() & found[record].keys() - _LATER}
            assert present == {name: said[name] for name in present}, record
    # A write that was sent again under its key is one write.
    for found in (customers, deals):
        assert max(Counter(record["name"] for record in found.values()).values()) == 1
    return deals


def _by_id(records: Any) -> dict[str, Any]:
    listed = list(records)
    found = {record["id"]: record for record in listed}
    assert len(found) == len(listed), "a record is in a list twice"
    return found


def reconciled(stack: Stack) -> Reconciliation:
    """What `crm events reconcile` finds."""

    async def compare() -> Reconciliation:
        services = stack.options.services
        groups = {name: groups_of(all_reactions(load_service(name))) for name in services}
        async with opened(stack.layout, services) as databases:
            return await reconcile(databases, groups)

    return asyncio.run(compare())


def every_event_is_applied(stack: Stack, seconds: float) -> Reconciliation:
    """The backlog is gone within `seconds`, and reconcile has nothing left to explain."""
    last: list[Reconciliation] = []

    def settled() -> bool:
        last[:] = [reconciled(stack)]
        return not last[0].findings

    until(settled, seconds, "every event is in the inbox of every group that wants it")
    return last[0]


def every_effect_is_there_once_and_in_order(stack: Stack) -> int:
    """The log of all events has of each record the versions of its journal, each once, in order. Answers how many."""

    async def read() -> tuple[dict[Any, list[int]], dict[Any, list[int]]]:
        journal: dict[Any, list[int]] = {}
        logged: dict[Any, list[int]] = {}
        async with opened(stack.layout, stack.options.services) as databases:
            for service in ("customers", "sales"):
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

"""What was lost is told again, on a whole stack: replicas, the log and the figures; and nothing is told that nobody lacks."""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import pytest

from crm_analytics.rebuild import rebuild
from crm_database import Database, WriteContext
from crm_events import groups_of
from crm_events.resync import box
from crm_stack.bus.databases import opened
from crm_stack.local import Stack
from crm_stack.service_settings import database_url_file
from crm_web.service import load_service
from crm_web.working import all_reactions

from .company import Company, usd
from .person import Person
from .reconciling import every_event_is_applied, reconciled
from .waiting import until

T = TypeVar("T")
DEALS = "sales/opportunities"
REPORT = "analytics/reports/opportunity-outcomes?from=2020-01-01&to=2035-12-31&group_by=user"


def on(stack: Stack, service: str, work: Callable[[Database], Awaitable[T]]) -> T:
    async def run() -> T:
        async with opened(stack.layout, [service]) as databases:
            return await work(databases[service])

    return asyncio.run(run())


def change(stack: Stack, service: str, *statements: str) -> None:
    async def run(database: Database) -> None:
        async with database.write(WriteContext(now=dt.datetime.now(dt.UTC))) as session:
            for statement in statements:
                await session.connection.execute(statement)

    on(stack, service, run)


def rows(stack: Stack, service: str, sql: str) -> list[tuple[Any, ...]]:
    async def run(database: Database) -> list[tuple[Any, ...]]:
        async with database.read() as session:
            return [tuple(row) for row in await session.connection.fetch(sql)]

    return on(stack, service, run)


def told_again(stack: Stack, service: str, **wish: Any) -> Sequence[Any]:
    """As `./crm events resync | rebuild | replay` ask and wait."""
    groups = groups_of(all_reactions(load_service(service)))

    async def run(database: Database) -> Sequence[Any]:
        made = await box.ask(database, groups, box.Wish(**wish), dt.datetime.now(dt.UTC))
        async with asyncio.timeout(90):
            return [standing async for standing in box.watched(database, made)][-1]

    found = on(stack, service, run)
    assert {one.state for one in found} == {"complete"}, found
    return found


@pytest.fixture(scope="package")
def rep(company: Company) -> Person:
    """A sales representative."""
    return company.hire("Told Again Rep", "sales_representative", company.department("Told Again Office"))


def business(company: Company, rep: Person) -> None:
    """Customers who change, go and come back, and deals with some history."""
    for number in range(4):
        customer = rep.post("customers/customers", {"name": f"Customer {number}"})
        at = f"customers/customers/{customer['id']}"
        rep.done("PATCH", at, json={"name": f"Customer {number}, renamed"})
        body = {"name": f"Deal {number}", "customer_id": customer["id"], "value": usd("10.50")}
        deal = rep.post(DEALS, body, after=customer.consistency)
        for stage in company.pipeline["stages"][1 : 2 + number % 3]:
            rep.post(f"{DEALS}/{deal['id']}/advance", {"stage_id": stage["id"]})
        if number % 2:
            rep.post(f"{DEALS}/{deal['id']}/win", {})
        else:
            company.administrator.done("DELETE", at)
            company.administrator.post(f"{at}/restore")


@pytest.mark.requirement("PL-48", "AN-15")
def test_what_is_lost_anywhere_is_found_and_told_again(company: Company, rep: Person) -> None:
    stack = company.stack
    # Other journeys dismissed people: what these had is told of until it is handed over.
    until(
        lambda: not company.administrator.get("identity/hand-overs", params={"state": "running"})["items"],
        60.0,
        "no hand-over is under way",
    )
    business(company, rep)
    every_event_is_applied(stack, 60.0)
    figures = company.administrator.get(REPORT)
    replica = rows(stack, "sales", "SELECT * FROM customer_replica ORDER BY id")
    entries = rows(
        stack, "customers", "SELECT id, customer_id, record_id, version, kind FROM timeline_entry ORDER BY id"
    )
    log = rows(stack, "analytics", "SELECT id, subject, version FROM event_log ORDER BY subject, version, id")

    change(stack, "sales", "DELETE FROM customer_replica")
    change(
        stack,
        "sales",
        "INSERT INTO directory_department SELECT gen_random_uuid(), 1, 'Nobody''s', NULL, NULL, 'sales', 0, '{}', false, 0",
    )
    change(stack, "customers", "DELETE FROM timeline_entry", "UPDATE opportunity_replica SET version = 1")
    change(stack, "analytics", "DELETE FROM event_log WHERE version % 2 = 0", "DELETE FROM stage_entry")
    found = reconciled(stack)
    reasons = {(fault.group, fault.reason) for fault in found.holdings}
    assert ("sales.customers", "replica lacks") in reasons
    assert ("sales.directory", "replica unknown to owner") in reasons
    assert ("customers.timeline", "replica behind") in reasons
    assert ("analytics.log", "log lacks") in {(fault.group, fault.reason) for fault in found.faults}

    change(stack, "sales", "DELETE FROM directory_department WHERE name = 'Nobody''s'")
    told_again(stack, "sales", topics=("crm.customers.customer",))
    told_again(stack, "customers", prune=True)
    told_again(stack, "customers", groups=("customers.timeline",), kind="journal")
    told_again(stack, "analytics", groups=("analytics.log",), kind="journal")
    assert company.administrator.get("analytics/reports/funnel?from=2020-01-01&to=2035-12-31") is not None
    done = asyncio.run(rebuild(database_url_file(stack.layout, "analytics").read_text().strip()))
    assert done.refused == []

    after = reconciled(stack)
    assert (after.faults, after.holdings) == ([], [])
    assert rows(stack, "sales", "SELECT * FROM customer_replica ORDER BY id") == replica
    assert (
        rows(stack, "customers", "SELECT id, customer_id, record_id, version, kind FROM timeline_entry ORDER BY id")
        == entries
    )
    assert rows(stack, "analytics", "SELECT id, subject, version FROM event_log ORDER BY subject, version, id") == log
    by_position = rows(stack, "analytics", "SELECT subject, version FROM event_log ORDER BY subject, position")
    assert by_position == sorted(by_position), "each record's facts stand in their order"
    again = company.administrator.get(REPORT)
    assert (again["rows"], again["total"]) == (figures["rows"], figures["total"])

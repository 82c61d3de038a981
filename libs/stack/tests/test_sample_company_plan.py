"""The sample company's plan: the same for the same seed, whole in itself, and with something of everything."""

import datetime as dt
import hashlib
import os
import subprocess
import sys
import zoneinfo
from collections import Counter
from dataclasses import fields, is_dataclass
from itertools import pairwise
from typing import Any

import pytest

from crm_stack.demo.company.facts import WHOLE, Company
from crm_stack.demo.company.plan import plan_company
from crm_stack.demo.company.show import curl_lines, faces, logins
from crm_stack.demo.company.words import LANGUAGES

DAY = dt.date(2026, 11, 24)
ROLES = {
    "super_administrator",
    "executive",
    "supervisor",
    "sales_representative",
    "collections_representative",
    "support_agent",
    "general",
}
#: Prints a digest of everything that is planned.
_DIGEST = """
import datetime, hashlib, sys
from crm_stack.demo.company.plan import plan_company
plan = plan_company(int(sys.argv[1]), datetime.date(2026, 11, 24))
print(hashlib.sha256(repr(plan).encode()).hexdigest())
"""


@pytest.fixture(scope="module")
def plan() -> Company:
    return plan_company(2026, DAY)


def digest_elsewhere(seed: int, hashing: str) -> str:
    """The digest in a process that hashes texts otherwise."""
    command = [sys.executable, "-c", _DIGEST, str(seed)]
    environment = {**os.environ, "PYTHONHASHSEED": hashing}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, timeout=60
    ).stdout.strip()


def test_the_same_seed_gives_the_same_company_in_every_process(plan: Company) -> None:
    here = hashlib.sha256(repr(plan).encode()).hexdigest()
    assert digest_elsewhere(2026, "1") == digest_elsewhere(2026, "2") == here
    assert digest_elsewhere(2027, "1") != here


def as_seen_from(plan: Company) -> Any:
    """The plan with days counted from its own, and instants as its people's clocks showed them: what is left when dates don't matter."""

    def zone_of(owner: str | None) -> zoneinfo.ZoneInfo:
        return zoneinfo.ZoneInfo(LANGUAGES[plan.people[owner].language].time_zone if owner else "UTC")

    def seen(value: Any, owner: str | None) -> Any:
        if isinstance(value, dt.datetime):
            local = value.astimezone(zone_of(owner))
            return (local.date() - plan.day).days, local.time()
        if isinstance(value, dt.date):
            return (value - plan.day).days
        if is_dataclass(value):
            whose = getattr(value, "owner", owner)
            return {one.name: seen(getattr(value, one.name), whose) for one in fields(value)}
        if isinstance(value, dict):
            return {key: seen(one, owner) for key, one in value.items()}
        return [seen(one, owner) for one in value] if isinstance(value, tuple) else value

    return seen(plan, None)


@pytest.mark.parametrize(
    "first", [dt.date(2026, 11, 24), dt.date(2027, 3, 26), dt.date(2024, 2, 26)], ids=["anchor", "clocks", "leap-day"]
)
def test_the_same_seed_gives_the_same_company_on_every_day(plan: Company, first: dt.date) -> None:
    """Eight days in a row, so that the week changes; in one of them London's clocks are changed."""
    expected = as_seen_from(plan)
    days = [first + dt.timedelta(days=n) for n in range(8)]
    plans = [plan_company(2026, day) for day in days]
    for day, moved in zip(days, plans, strict=True):
        assert as_seen_from(moved) == expected, day
        assert dt.timedelta() <= day - moved.day < dt.timedelta(days=7), "as late as it may be, and not in the future"
        assert moved.day.weekday() == DAY.weekday()
    assert len({moved.day for moved in plans}) == 2, "the week changed"


@pytest.mark.parametrize("after", range(7))
def test_whatever_day_it_is_loaded_on_nothing_of_it_is_in_the_future(after: int) -> None:
    day = dt.date(2027, 3, 26) + dt.timedelta(days=after)
    plan = plan_company(2026, day)
    instants = [at for deal in plan.opportunities.values() for at in (deal.opened, deal.ended) if at]
    instants += [one.happened for one in plan.activities] + [one.since for one in plan.customers.values()]
    assert max(instants) < dt.datetime.combine(day, dt.time(), dt.UTC)
    days = [one.signed for one in plan.contracts.values()] + [one.paid for one in plan.payments]
    assert max(days) < day


def test_there_is_as_much_as_was_promised(plan: Company) -> None:
    assert len(plan.people) == 41
    assert (len(plan.customers), len(plan.opportunities)) == (WHOLE.customers, WHOLE.opportunities) == (400, 1500)
    assert (len(plan.activities), len(plan.tickets)) == (WHOLE.activities, WHOLE.tickets)
    assert len(plan.contracts) == WHOLE.contracts
    assert len(plan.contacts) > len(plan.customers)
    assert len(plan.payments) > 200


def test_the_organisation_has_four_levels_and_every_shipped_role(plan: Company) -> None:
    parents = {one.key: one.parent for one in plan.departments}

    def depth(key: str | None) -> int:
        return 1 if key is None else 1 + depth(parents[key])

    assert max(depth(key) for key in parents) == 4
    assert {one.role for one in plan.people.values()} == ROLES
    assert {one.language for one in plan.people.values()} == set(LANGUAGES)
    assert len({one.email for one in plan.people.values()}) == len(plan.people)
    met: set[str] = set()
    for one in plan.people.values():
        assert one.superior is None or one.superior in met, "superiors stand before those who report to them"
        assert one.department is None or one.department in parents
        met.add(one.key)
    assert [one.key for one in plan.people.values() if one.superior is None] == ["user/chief"]
    for department in plan.departments:
        assert plan.people[department.manager].department == department.key


def test_what_is_named_is_there(plan: Company) -> None:
    products = {one.key for one in plan.products}
    for contact in plan.contacts.values():
        assert contact.customer in plan.customers
    for deal in plan.opportunities.values():
        assert deal.owner == plan.customers[deal.customer].owner
        assert deal.contact is None or plan.contacts[deal.contact].customer == deal.customer
        assert {line.product for line in deal.lines} <= set(deal.products) <= products
    for contract in plan.contracts.values():
        assert plan.opportunities[contract.opportunity].outcome == "won"
        assert contract.owner == plan.opportunities[contract.opportunity].owner
    for payment in plan.payments:
        assert plan.contracts[payment.contract].ending in ("active", "terminated")
        assert plan.people[payment.recorder].role == "collections_representative"
    kinds = {
        "sales.opportunity": plan.opportunities,
        "customers.customer": plan.customers,
        "customers.contact": plan.contacts,
    }
    for activity in plan.activities:
        assert activity.links
        assert all(key in kinds[kind] for kind, key in activity.links)
    for ticket in plan.tickets:
        assert (ticket.contact is None) != (ticket.stranger is None)
        assert ticket.contact is None or ticket.contact in plan.contacts
        assert plan.people[ticket.agent].role == "support_agent"


def test_nothing_happened_before_its_cause_or_later_than_now(plan: Company) -> None:
    now = dt.datetime.combine(DAY, dt.time(), dt.UTC)
    for deal in plan.opportunities.values():
        moments = [plan.customers[deal.customer].since, deal.opened, *(at for _, at in deal.steps)]
        moments += [deal.ended] if deal.ended else []
        assert all(first < second for first, second in pairwise(moments)), deal.key
        assert moments[-1] < now - dt.timedelta(hours=24)
        assert DAY - deal.opened.date() <= dt.timedelta(days=552)
    for activity in plan.activities:
        assert activity.happened < now - dt.timedelta(hours=24)
    for payment in plan.payments:
        assert plan.contracts[payment.contract].signed <= payment.paid < DAY


def test_money_adds_up(plan: Company) -> None:
    for contract in plan.contracts.values():
        assert sum(amount for amount, _ in contract.instalments) == plan.opportunities[contract.opportunity].value
        assert all(amount > 0 for amount, _ in contract.instalments)
        paid = sum(one.amount for one in plan.payments if one.contract == contract.key)
        assert paid <= plan.opportunities[contract.opportunity].value


def test_something_of_everything_is_to_be_seen(plan: Company) -> None:
    deals = Counter(one.outcome for one in plan.opportunities.values())
    assert deals["lost"] > deals["won"] > deals["open"] > deals["on_hold"] > 50
    reached = Counter(max((stage for stage, _ in one.steps), default=0) for one in plan.opportunities.values())
    assert all(reached[stage] > 50 for stage in range(4)), "a funnel"
    assert any(later < former for one in plan.opportunities.values() for (former, _), (later, _) in pairwise(one.steps))
    assert set(Counter(one.ending for one in plan.contracts.values())) == {
        *("draft", "void", "in_approval", "rejected", "active", "terminated")
    }
    assert {one.ending for one in plan.payments} == {"approved", "pending", "rejected"}
    assert {one.status for one in plan.tickets} == {"new", "open", "pending", "on_hold", "solved", "closed"}
    assert {one.fate for one in plan.customers.values()} == {"kept", "pooled", "deleted"}
    assert {customer.language for customer in plan.customers.values()} == set(LANGUAGES)


def test_who_was_given_up_has_nothing_going_on(plan: Company) -> None:
    for deal in plan.opportunities.values():
        if plan.customers[deal.customer].fate != "kept":
            assert deal.outcome == "lost"


def test_a_login_per_role_and_five_lines(plan: Company) -> None:
    found = faces(plan)
    assert {row[0].replace(" ", "_") for row in logins(plan, found)} == ROLES
    leader = plan.people[found.people["supervisor"]].key
    waiting = [one for one in plan.contracts.values() if one.ending == "in_approval"]
    assert any(plan.people[one.owner].superior == leader for one in waiting), "somebody for whom something waits"
    ids = {found.contract: "C", found.customer: "U"}
    lines = curl_lines(plan, found, ids, "http://127.0.0.1:1", "it's", ["/api/analytics/v1/reports/contract-values"])
    assert sum(line.startswith("curl ") for line in lines) == 5
    assert "/reports/contract-values " in lines[2], "where there is that report"
    assert "/customers/U/history " in lines[-1], "where there is no timeline"

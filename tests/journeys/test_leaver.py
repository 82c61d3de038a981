"""Who leaves hands everything open on, once, although every worker is killed in the middle (ID-6)."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from .company import Company, usd
from .patient import PatientPerson
from .person import Person
from .reconciling import every_event_is_applied
from .test_jobs import ended
from .test_six_services import day_in, today
from .victim import KINDS, Victim, victim_of
from .waiting import A_SECOND, PATIENCE, until

#: So many customers and opportunities that their hand-over has several steps.
MANY = 1500
PARTS = ("customers", "sales", "billing", "support")
LISTS = {
    "customers": "customers/customers",
    "contacts": "customers/contacts",
    "opportunities": "sales/opportunities",
    "activities": "sales/activities",
    "contracts": "billing/contracts",
    "payments": "billing/payments",
    "tickets": "support/tickets",
}
#: Everything that the rep has, of all times, by person.
FIGURES = (
    "opportunity-outcomes?from=2020-01-01&to=2035-12-31&group_by=user",
    "contract-values?from=2020-01-01&to=2035-12-31&group_by=user",
    "sales-brief?from=2020-01-01&to=2035-12-31",
)
#: A killed process has to come back before what waits for its work is done; a lease is 30 s, whatever the machine.
SOON = 60.0 + 30.0 * PATIENCE


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    """A company of patient people on a stack of its own: killing would disturb other journeys."""
    with victim_of(KINDS[0], tmp_path_factory) as found:
        found.company.kind = PatientPerson
        yield found


def many(person: Person, collection: str, rows: list[dict[str, Any]]) -> None:
    """A batch that is too large for one request."""
    asked = person.post(f"{collection}/batch-jobs", {"mode": "create", "rows": rows})
    made = ended(person, asked.headers["location"])
    assert (made["state"], made["failed"]) == ("succeeded", 0), made


def business(rep: Person, boss: Person) -> dict[str, dict[str, str]]:
    """What the rep has, open and closed: list → name → id."""
    made: dict[str, dict[str, str]] = {name: {} for name in LISTS}
    customer = rep.post("customers/customers", {"name": "Leaver customer"})
    made["customers"]["open"] = customer["id"]
    body = {"customer_id": customer["id"], "name": "Leaver contact"}
    made["contacts"]["open"] = rep.post("customers/contacts", body)["id"]
    for name in ("open", "won", "lost"):
        deal = rep.post("sales/opportunities", {"name": name, "value": usd("100.00")})
        made["opportunities"][name] = deal["id"]
    rep.post(f"sales/opportunities/{made['opportunities']['won']}/win", {"value": usd("90.00")})
    rep.post(f"sales/opportunities/{made['opportunities']['lost']}/lose", {"reason": "price"})
    links = [{"type": "customers.customer", "id": customer["id"]}]
    for name, more in (("planned", {"next_contact_at": f"{day_in(7)}T09:00:00+00:00"}), ("past", {})):
        body = {"kind": "call", "subject": name, "links": links, **more}
        made["activities"][name] = rep.post("sales/activities", body, after=customer.consistency)["id"]
    for name in ("draft", "active", "void"):
        body = {"name": name, "customer_id": customer["id"], "value": usd("1000.00")}
        contract = rep.post("billing/contracts", body, after=customer.consistency)["id"]
        made["contracts"][name] = contract
        if name == "active":
            part = {"amount": usd("1000.00"), "due_on": day_in(10)}
            rep.done("PUT", f"billing/contracts/{contract}/instalments", json={"instalments": [part]})
            rep.post(f"billing/contracts/{contract}/submit", {})
            (approval,) = boss.pages("billing/approvals", role="to_decide")
            boss.post(f"billing/approvals/{approval['id']}/approve", {})
            body = {"contract_id": contract, "amount": usd("100.00"), "paid_on": today()}
            made["payments"]["pending"] = rep.post("billing/payments", body)["id"]
    rep.post(f"billing/contracts/{made['contracts']['void']}/void")
    for name in ("open", "solved"):
        ticket = rep.post("support/tickets", {"subject": name, "stranger_email": "ann@example.com"})["id"]
        rep.post(f"support/tickets/{ticket}/claim")
        made["tickets"][name] = ticket
    rep.post(f"support/tickets/{made['tickets']['solved']}/move", {"status": "solved"})
    many(rep, "customers/customers", [{"name": f"Leaver customer {n}"} for n in range(MANY)])
    many(rep, "sales/opportunities", [{"name": f"Leaver deal {n}", "value": usd("1.00")} for n in range(MANY)])
    return made


def figures(admin: Person) -> list[Any]:
    """What the reports say."""
    return [_undated(admin.get(f"analytics/reports/{one}")) for one in FIGURES]


def _undated(report: Any) -> Any:
    """A report without the instants of its making."""
    return {name: value for name, value in report.items() if name not in ("as_of", "computed_at", "progress")}


def owners(admin: Person, made: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    return {
        kind: {name: admin.get(f"{LISTS[kind]}/{record}")["owner_id"] for name, record in some.items()}
        for kind, some in made.items()
    }


def everything_of(admin: Person, kind: str, owner: str) -> list[Any]:
    mine = {"field": "owner_id", "op": "eq", "value": owner}
    return list(admin.found(f"{LISTS[kind]}/search", filter=mine))


def hired(company: Company) -> tuple[Person, Person, Person]:
    office = company.department("Leavers")
    boss = company.hire("Leavers Boss", "supervisor", office)
    rep = company.hire(
        "Leaver", "sales_representative", office, boss, also=["support_agent", "collections_representative"]
    )
    heir = company.hire("Heir", "sales_representative", office, boss, also=["support_agent"])
    return boss, rep, heir


@pytest.mark.requirement("ID-6", "AN-6", "PL-22", "PL-40")
def test_everything_open_is_the_successors_once_although_every_worker_is_killed(victim: Victim) -> None:
    company = victim.company
    admin = company.administrator
    boss, rep, heir = hired(company)
    made = business(rep, boss)
    every_event_is_applied(company.stack, SOON)
    before = figures(admin)

    answer = admin.post(f"identity/users/{rep.id}/dismiss", {"successor_id": heir.id})
    assert answer["status"] == "dismissed"
    (hand_over,) = admin.get(f"identity/users/{rep.id}/hand-overs")["items"]
    place = f"identity/hand-overs/{hand_over['id']}"

    def steps() -> dict[str, Any]:
        return {step["service"]: step for step in admin.get(place)["steps"]}

    def at_it() -> bool:
        found = steps()
        assert all(step["state"] != "failed" for step in found.values()), found
        return all(step["job_id"] is not None for step in found.values())

    until(at_it, SOON, "every service is at it")
    # No service may end within five seconds of the dismissal, so each is killed before it is done.
    for service in PARTS:
        for part in victim.processes:
            if part.split("-")[0] == service:
                victim.kill(part)
    victim.kill(next(part for part in victim.processes if part.split("-")[0] == "identity"))

    def over() -> Any | None:
        found = admin.get(place)
        assert found["state"] in ("running", "succeeded"), found
        return found if found["state"] == "succeeded" else None

    finished = until(over, SOON, "the hand-over is over")
    moved = {kind: count for step in finished["steps"] for kind, count in step["moved"].items()}
    assert moved == {
        "customers.customer": MANY + 1,
        "customers.contact": 1,
        "sales.opportunity": MANY + 1,
        "sales.activity": 1,
        "billing.contract": 2,
        "billing.payment": 1,
        "support.ticket": 1,
    }
    assert {left for step in finished["steps"] for left in step["remaining"].values()} == {0}
    assert (finished["asked_by"], finished["successor_id"]) == (admin.id, heir.id)

    assert owners(admin, made) == {
        "customers": {"open": heir.id},
        "contacts": {"open": heir.id},
        "opportunities": {"open": heir.id, "won": rep.id, "lost": rep.id},
        "activities": {"planned": heir.id, "past": rep.id},
        "contracts": {"draft": heir.id, "active": heir.id, "void": rep.id},
        "payments": {"pending": heir.id},
        "tickets": {"open": heir.id, "solved": rep.id},
    }
    for kind, number in (("customers", MANY + 1), ("opportunities", MANY + 1)):
        theirs = everything_of(admin, kind, heir.id)
        assert len(theirs) == number
        # Made, and handed over once; of the customer with the contract the first deal was noted besides.
        once = {record["version"] for record in theirs if record["id"] != made["customers"]["open"]}
        assert once == {2}, kind
    assert everything_of(admin, "customers", rep.id) == []
    for kind, name in (("customers", "open"), ("opportunities", "open"), ("tickets", "open"), ("contracts", "active")):
        entries = admin.get(f"{LISTS[kind]}/{made[kind][name]}/history")["items"]
        handed = [entry for entry in entries if entry["fact"] == "transferred"]
        assert [(one["actor"]["id"], one["origin"]["channel"]) for one in handed] == [(admin.id, "job")], kind
    every_event_is_applied(company.stack, SOON)
    assert figures(admin) == before
    assert [one["id"] for one in admin.get("identity/hand-overs")["items"]] == [hand_over["id"]]


@pytest.mark.requirement("ID-6")
def test_a_hand_over_whose_successor_leaves_too_goes_on_with_another_one(victim: Victim) -> None:
    company = victim.company
    admin = company.administrator
    boss, rep, heir = hired(company)
    kept = rep.post("customers/customers", {"name": "Kept"})["id"]
    # The successor is gone before anybody has begun.
    admin.post(f"identity/users/{rep.id}/dismiss", {"successor_id": heir.id})
    admin.post(f"identity/users/{heir.id}/dismiss", {"successor_id": boss.id})
    (hand_over,) = admin.get(f"identity/users/{rep.id}/hand-overs")["items"]
    place = f"identity/hand-overs/{hand_over['id']}"

    def over() -> str | None:
        state = str(admin.get(place)["state"])
        return None if state == "running" else state

    # Whether a service was at it before it heard of the second dismissal is chance; what it could not do it says.
    if until(over, SOON, "the hand-over is over") == "failed":
        codes = {step["problem"]["code"] for step in admin.get(place)["steps"] if step["problem"]}
        assert codes == {"hand_over.successor_not_active"}
        admin.post(f"{place}/resume", {"successor_id": boss.id})
    until(lambda: admin.get(place)["state"] == "succeeded", SOON, "what was left has gone to another successor")
    until(
        lambda: admin.get(f"customers/customers/{kept}")["owner_id"] == boss.id,
        6 * A_SECOND,
        "what the first successor got goes on with their own leaving",
    )

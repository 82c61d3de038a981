"""A sales representative's way from a name to a won deal, and what colleagues may see and do with it."""

import datetime as dt
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from .company import Company, usd
from .person import Person
from .waiting import A_SECOND, until

CUSTOMERS = "customers/customers"
DEALS = "sales/opportunities"


@dataclass(frozen=True)
class Team:
    """A lead with two representatives, and a representative of another team."""

    lead: Person
    rep: Person
    colleague: Person
    stranger: Person
    department: str


@pytest.fixture(scope="package")
def team(company: Company) -> Team:
    """A fresh team in a department of its own."""
    office = company.department("Sales Office")
    lead = company.hire("Team Lead", "supervisor", office)
    other = company.hire("Other Lead", "supervisor", office)
    return Team(
        lead=lead,
        rep=company.hire("Sales Rep", "sales_representative", office, lead),
        colleague=company.hire("Sales Colleague", "sales_representative", office, lead),
        stranger=company.hire("Sales Stranger", "sales_representative", office, other),
        department=office,
    )


def today() -> str:
    """The company's day: its time zone is UTC."""
    return dt.datetime.now(dt.UTC).date().isoformat()


def figures_of(user: Person, *, seen_by: Person, after: str | None = None) -> list[Any]:
    """What a user won today, as somebody may see it: how many, their value, and how many are open. after: a Consistency-Token."""
    params = {"from": today(), "to": today(), "group_by": "user", "user": user.id}
    total = seen_by.get("analytics/reports/opportunity-outcomes", params=params, after=after)["total"]
    return [total["won"]["count"], total["won"]["value"]["amount"], total["open"]["count"]]


@pytest.mark.requirement(
    "CU-30", "SA-1", "SA-2", "SA-3", "SA-4", "SA-5", "SA-8", "SA-10", "PL-13", "AN-1", "AN-5", "AN-15"
)
def test_from_a_name_to_a_won_deal(company: Company, team: Team) -> None:
    rep, stages = team.rep, {stage["name"]: stage for stage in company.pipeline["stages"]}
    server, support = company.product("Server", "4821.00"), company.product("Support", "99.90", unit="month")

    customer = rep.post(CUSTOMERS, {"name": "주식회사 예시", "phone": "+82 2 1234 5678", "country": "KR"})
    assert (customer.status, customer["lifecycle"], customer["owner_id"]) == (201, "prospect", rep.id)
    contact = rep.post(
        "customers/contacts", {"customer_id": customer["id"], "name": "이영희", "decision_role": "decides"}
    )
    found = [item["id"] for item in rep.pages(CUSTOMERS, q="예시")]
    assert customer["id"] in found

    # Another service knows the customer as soon as the token says so (PL-13).
    deal = rep.post(
        DEALS,
        {
            "name": "Servers for 예시",
            "customer_id": customer["id"],
            "contact_ids": [contact["id"]],
            "lines": [
                {"product_id": server["id"], "quantity": "2", "discount_percent": "5", "tax_percent": "10"},
                {"product_id": support["id"], "quantity": "12"},
            ],
        },
        after=customer.consistency,
    )
    # 2 × 4821.00 − 5 % = 9159.90, and 12 × 99.90 = 1198.80.
    assert [line["net"] for line in deal["lines"]] == [usd("9159.90"), usd("1198.80")]
    assert deal["value"] == usd("10358.70")
    assert deal["totals"] == {"net": usd("10358.70"), "tax": usd("915.99"), "total": usd("11274.69")}
    assert (deal["stage_id"], deal["outcome"]) == (company.pipeline["stages"][0]["id"], "open")
    assert deal["weighted_value"] == usd("1035.87")
    before = figures_of(rep, seen_by=rep, after=deal.consistency)
    path = f"{DEALS}/{deal['id']}"

    for name in ("Engaging", "Prospecting", "Engaging"):
        moved = rep.post(f"{path}/advance", {"stage_id": stages[name]["id"]})
        assert (moved["stage_id"], moved["probability"]) == (stages[name]["id"], stages[name]["probability"])
    visits = rep.get(f"{path}/stages")["items"]
    assert [visit["stage"] for visit in visits] == ["Prospecting", "Engaging", "Prospecting", "Engaging"]
    assert [visit["regression"] for visit in visits] == [False, False, True, False]
    assert [visit["left_at"] is None for visit in visits] == [False, False, False, True]
    assert all(visit["by"]["id"] == rep.id for visit in visits)

    won = rep.post(f"{path}/win", {})
    assert (won["outcome"], won["closed_on"], won["probability"]) == ("won", today(), 100)
    expected = [before[0] + 1, f"{Decimal(before[1]) + Decimal('10358.70')}", before[2] - 1]
    until(
        lambda: figures_of(rep, seen_by=rep) == expected,
        A_SECOND,
        "the won deal is in the figures",
    )
    assert figures_of(rep, seen_by=team.lead) == expected
    assert figures_of(rep, seen_by=team.stranger) == [0, "0.00", 0]
    now = until(
        lambda: (c := rep.get(f"{CUSTOMERS}/{customer['id']}"))["lifecycle"] == "customer" and c,
        A_SECOND,
        "the won deal made the prospect a customer",
    )
    assert dt.datetime.fromisoformat(now["dealt_at"]).date().isoformat() == today()
    (dealt,) = [
        entry for entry in rep.get(f"{CUSTOMERS}/{customer['id']}/history")["items"] if entry["fact"] == "dealt"
    ]
    assert dealt["actor"]["kind"] == "system"
    assert dealt["changes"]["lifecycle"] == {"old": "prospect", "new": "customer"}

    funnel = rep.get("analytics/reports/funnel", params={"from": today(), "to": today()})
    rows = {stage["label"]: stage for row in funnel["rows"] for stage in row["stages"]}
    assert rows["Prospecting"]["regressions"] == {"count": 0}
    assert rows["Engaging"]["regressions"]["count"] >= 1
    brief = rep.get("analytics/reports/sales-brief", params={"from": today(), "to": today()})
    assert brief["current"]["first"] == today()


@pytest.mark.requirement("SA-4", "PL-23")
def test_a_closed_deal_is_changed_only_after_it_was_reopened(company: Company, team: Team) -> None:
    rep, lead = team.rep, team.lead
    deal = rep.post(DEALS, {"name": "Comes back", "value": usd("100.00")})
    path = f"{DEALS}/{deal['id']}"
    missing = rep.call("POST", f"{path}/lose", json={})
    assert (missing.status, missing.errors) == (422, [("/reason", "field.required")])
    held = rep.post(f"{path}/hold", {"reason": "budget frozen"})
    assert (held["outcome"], held["outcome_reason"]) == ("on_hold", "budget frozen")
    lost = rep.post(f"{path}/lose", {"reason": "price"})
    assert (lost["outcome"], lost["probability"]) == ("lost", 0)
    stages = company.pipeline["stages"]
    assert rep.call("POST", f"{path}/advance", json={"stage_id": stages[1]["id"]}).code == "opportunity.not_open"
    assert rep.call("POST", f"{path}/win", json={}).code == "opportunity.outcome_not_allowed"
    assert rep.call("POST", f"{path}/reopen", json={}).code == "permission.missing", "a lead's to decide"
    opened = lead.post(f"{path}/reopen", {})
    assert (opened["outcome"], opened["closed_on"], opened["stage_id"]) == ("open", None, deal["stage_id"])
    facts = [entry["fact"] for entry in rep.get(f"{path}/history")["items"]]
    assert facts == ["reopened", "lost", "held", "created"]


@pytest.mark.requirement("SA-5", "SA-10")
def test_what_is_off_sale_goes_on_no_new_line(company: Company, team: Team) -> None:
    product = company.product("Old model", "10.00")
    line = {"product_id": product["id"], "quantity": "1"}
    deal = team.rep.post(DEALS, {"name": "Old and new", "lines": [line]})
    company.administrator.done("PATCH", f"sales/products/{product['id']}", json={"on_sale": False})
    new = team.rep.call("POST", DEALS, json={"name": "Too late", "lines": [line]})
    assert new.status == 422
    assert new.errors[0][0].startswith("/lines/0")
    kept = {"lines": [{**line, "id": deal["lines"][0]["id"], "quantity": "3"}]}
    assert team.rep.done("PATCH", f"{DEALS}/{deal['id']}", json=kept)["value"] == usd("30.00")


@pytest.mark.requirement("CU-43", "CU-44")
def test_one_of_many_who_claim_at_once_gets_the_customer(company: Company, team: Team) -> None:
    rep = team.rep
    customer = rep.post(CUSTOMERS, {"name": "Wanted by all"})
    path = f"{CUSTOMERS}/{customer['id']}"
    released = rep.post(f"{path}/release", {"reason": "no time"})
    assert (released["owner_id"], released["pool_id"] is not None) == (None, True)
    assert rep.call("GET", path).status == 404, "what is in the pool is nobody's"
    pool = f"customers/pools/{released['pool_id']}"
    assert customer["id"] in [item["id"] for item in team.colleague.pages(f"{pool}/customers")]
    racers = [team.colleague, team.stranger, team.lead] * 2
    with ThreadPoolExecutor(len(racers)) as threads:
        answers = list(threads.map(lambda person: person.call("POST", f"{path}/claim"), racers))
    winners = [person for person, answer in zip(racers, answers, strict=True) if answer.status == 200]
    assert len(winners) == 1, answers
    losers = {answer.code for answer in answers if answer.status != 200}
    assert losers == {"customer.already_claimed"}
    assert winners[0].get(path)["owner_id"] == winners[0].id
    moves = winners[0].get(f"{path}/pool-history")["items"]
    assert [(move["action"], move["actor_id"]) for move in moves] == [("claimed", winners[0].id), ("released", rep.id)]
    assert (moves[1]["previous_owner_id"], moves[1]["reason"]) == (rep.id, "no time")
    in_pool = [move["customer_id"] for move in team.lead.pages(f"{pool}/history")]
    assert in_pool.count(customer["id"]) == 2


@pytest.mark.requirement("CU-43", "CU-44", "CU-13")
def test_an_administrator_of_the_pool_assigns_and_a_locked_customer_stays(company: Company, team: Team) -> None:
    rep, admin = team.rep, company.administrator
    customer = rep.post(CUSTOMERS, {"name": "Assigned"})
    path = f"{CUSTOMERS}/{customer['id']}"
    rep.post(f"{path}/lock")
    assert rep.call("POST", f"{path}/release", json={"reason": "x"}).code == "customer.locked"
    rep.post(f"{path}/unlock")
    pool = rep.post(f"{path}/release", {"reason": "moved away"})["pool_id"]
    body = {"customer_ids": [customer["id"], str(uuid.uuid4())], "user_id": team.colleague.id, "reason": "near"}
    assert team.stranger.call("POST", f"customers/pools/{pool}/assign", json=body).status == 403
    rows = admin.post(f"customers/pools/{pool}/assign", body)["rows"]
    assert [(row["status"], row["code"]) for row in rows] == [("ok", None), ("error", "customer.already_claimed")]
    assert team.colleague.get(path)["owner_id"] == team.colleague.id


@pytest.mark.requirement("PL-7", "PL-23")
def test_a_stale_write_is_refused_with_the_present_version_and_without_if_match_the_last_one_wins(team: Team) -> None:
    made = team.rep.post(CUSTOMERS, {"name": "First name"})
    path = f"{CUSTOMERS}/{made['id']}"
    second = team.rep.done("PATCH", path, json={"name": "Second name"}, match=made.etag)
    stale = team.lead.call("PATCH", path, json={"name": "Lost name"}, match=made.etag)
    assert (stale.status, stale.code) == (412, "record.stale")
    assert second["version"] in stale.body.values(), "it says the present version"
    team.lead.done("PATCH", path, json={"name": "Third name"})
    names = [entry["changes"].get("name") for entry in team.rep.get(f"{path}/history")["items"]]
    assert names[:2] == [{"old": "Second name", "new": "Third name"}, {"old": "First name", "new": "Second name"}]
    assert team.rep.get(path)["name"] == "Third name"


@pytest.mark.requirement("PL-8")
def test_the_same_request_under_one_key_does_its_work_once(team: Team) -> None:
    key, body = f"key-{uuid.uuid4()}", {"name": f"Once {uuid.uuid4().hex}"}
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: team.rep.call("POST", CUSTOMERS, json=body, key=key), range(8)))
    assert {answer.status for answer in answers} <= {201, 409}
    made = {answer["id"] for answer in answers if answer.status == 201}
    assert len(made) == 1
    assert {answer.code for answer in answers if answer.status == 409} <= {"idempotency.running"}
    again = team.rep.post(CUSTOMERS, body, key=key)
    assert (again.status, {again["id"]}) == (201, made)
    assert len(list(team.rep.pages(CUSTOMERS, q=body["name"]))) == 1
    other = team.rep.call("POST", CUSTOMERS, json={"name": "Another"}, key=key)
    assert (other.status, other.code) == (422, "idempotency.key_reused")
    # The key is the caller's: a colleague's is another one.
    assert team.colleague.post(CUSTOMERS, body, key=key)["id"] not in made


@pytest.mark.requirement("PL-13")
def test_a_write_is_seen_at_once_by_whoever_brings_its_token(company: Company, team: Team) -> None:
    """Twenty times without a pause: a service that has not heard it yet waits, and then refuses nothing."""
    rep = team.rep
    for number in range(20):
        customer = rep.post(CUSTOMERS, {"name": f"Fresh {number}"})
        deal = rep.post(DEALS, {"name": "Fresh", "customer_id": customer["id"]}, after=customer.consistency)
        won = rep.post(f"{DEALS}/{deal['id']}/win", {"value": usd("1.00")})
        seen = rep.get(f"{CUSTOMERS}/{customer['id']}", after=won.consistency)
        assert seen["lifecycle"] == "customer"
        day = {"from": today(), "to": today(), "group_by": "user", "user": rep.id}
        figures = rep.done("GET", "analytics/reports/opportunity-outcomes", params=day, after=won.consistency)
        assert figures["total"]["won"]["count"] >= number + 1
    forged = rep.call("GET", CUSTOMERS, after="x" + won.consistency[1:])
    assert (forged.status, forged.code) == (422, "consistency_token.invalid")


@pytest.mark.requirement("PL-20", "PL-21", "PL-30")
def test_a_member_reads_or_writes_until_the_access_expires(company: Company, team: Team) -> None:
    rep, guest = team.rep, team.stranger
    deal = rep.post(DEALS, {"name": "Shared", "value": usd("50.00")})
    path = f"{DEALS}/{deal['id']}"
    assert guest.call("GET", path).status == 404
    rep.done("PUT", f"{path}/members/{guest.id}", json={"right": "read"})
    assert guest.get(path)["name"] == "Shared"
    assert deal["id"] in [item["id"] for item in guest.pages(DEALS)]
    refused = guest.call("PATCH", path, json={"name": "Taken"})
    assert (refused.status, refused.code) == (403, "scope.record")
    rep.done("PUT", f"{path}/members/{guest.id}", json={"right": "write"})
    guest.done("PATCH", path, json={"next_step": "call back"})
    assert guest.call("POST", f"{path}/transfer", json={"to_user_id": guest.id}).status == 403

    def in_figures() -> bool:
        params = {"from": today(), "to": today(), "group_by": "user", "user": rep.id}
        return bool(guest.get("analytics/reports/opportunity-outcomes", params=params)["total"]["open"]["count"])

    until(in_figures, 5.0, "what is shared is in the member's figures")
    ends = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=2)
    rep.done("PUT", f"{path}/members/{guest.id}", json={"right": "write", "expires_at": ends.isoformat()})
    until(lambda: guest.call("GET", path).status == 404, 10.0, "the access expires")
    assert dt.datetime.now(dt.UTC) >= ends
    assert not in_figures()
    assert deal["id"] not in [item["id"] for item in guest.pages(DEALS)]


@pytest.mark.requirement("PL-22", "PL-23", "PL-30", "AN-6")
def test_a_transferred_deal_is_seen_by_the_new_owner_and_stays_credited_to_who_won_it(team: Team) -> None:
    lead, rep, colleague = team.lead, team.rep, team.colleague
    deals = [rep.post(DEALS, {"name": f"Handed over {n}", "value": usd("7.00")}) for n in range(3)]
    won = rep.post(f"{DEALS}/{deals[0]['id']}/win", {})
    for made in (*deals, won):
        credited = figures_of(rep, seen_by=lead, after=made.consistency)
    foreign = figures_of(colleague, seen_by=lead)
    ids = [deal["id"] for deal in deals]
    assert rep.call("POST", f"{DEALS}/transfer", json={"ids": ids, "to_user_id": colleague.id}).status == 403
    outside = lead.call("POST", f"{DEALS}/transfer", json={"ids": ids, "to_user_id": team.stranger.id})
    assert (outside.status, outside.code) == (403, "scope.target_out_of_scope")
    answer = lead.post(f"{DEALS}/transfer", {"ids": ids, "to_user_id": colleague.id, "reason": "new territory"})
    assert (answer["ok"], answer["failed"]) == (3, 0)
    assert [rep.call("GET", f"{DEALS}/{one}").status for one in ids] == [404] * 3
    assert [colleague.get(f"{DEALS}/{one}")["owner_id"] for one in ids] == [colleague.id] * 3
    owners = colleague.get(f"{DEALS}/{ids[0]}/owners")["items"]
    newest = owners[0]
    assert (newest["from_user_id"], newest["to_user_id"]) == (rep.id, colleague.id)
    assert (newest["reason"], newest["by"]["id"]) == ("new territory", lead.id)
    # Who sees it is the present; whom it is credited to is the past.
    seen = figures_of(rep, seen_by=colleague, after=answer.consistency)
    assert seen[0] >= 1, "the new owner sees the deal in the figures of who won it"
    assert figures_of(rep, seen_by=lead) == credited
    assert figures_of(colleague, seen_by=lead) == foreign


@pytest.mark.requirement("PL-22", "PL-21")
def test_the_old_owner_may_stay_as_a_member(team: Team) -> None:
    deal = team.rep.post(DEALS, {"name": "Stays in touch"})
    path = f"{DEALS}/{deal['id']}"
    team.lead.post(f"{path}/transfer", {"to_user_id": team.colleague.id, "stay": "read"})
    assert team.rep.get(path)["owner_id"] == team.colleague.id
    assert team.rep.call("PATCH", path, json={"name": "x"}).code == "scope.record"
    assert team.rep.get(f"{path}/members")["items"] == [{"user_id": team.rep.id, "right": "read", "expires_at": None}]


@pytest.mark.requirement("PL-4", "PL-9")
def test_a_batch_answers_per_row_and_a_page_after_page_gives_each_record_once(team: Team) -> None:
    system = f"erp-{uuid.uuid4().hex[:8]}"
    rows: list[dict[str, Any]] = [
        {"name": f"Row {n:03}", "external_ref": {"system": system, "id": str(n)}} for n in range(120)
    ]
    rows[7]["founded_year"] = "not a year"
    admin_rights = team.lead.post(f"{CUSTOMERS}/batch", {"mode": "upsert", "rows": rows})
    assert (admin_rights["ok"], admin_rights["failed"]) == (119, 1)
    bad = admin_rights["rows"][7]
    assert (bad["status"], bad["errors"][0]["pointer"]) == ("error", "/rows/7/founded_year")
    rows[7]["founded_year"] = 1999
    again = team.lead.post(f"{CUSTOMERS}/batch", {"mode": "upsert", "rows": rows})["rows"]
    assert [row["done"] for row in again].count("unchanged") == 119
    assert again[7]["done"] == "created"
    names = [
        item["name"]
        for item in team.lead.pages(CUSTOMERS, q="Row ", sort="name", limit=50)
        if item["name"][:4] == "Row "
    ]
    assert names == [f"Row {n:03}" for n in range(120)]


@pytest.mark.requirement("PL-20", "PL-23")
def test_a_deleted_record_is_gone_until_it_is_restored_and_a_value_is_set_back(team: Team) -> None:
    lead, rep = team.lead, team.rep
    made = rep.post(CUSTOMERS, {"name": "Deleted", "industry": "retail"})
    path = f"{CUSTOMERS}/{made['id']}"
    rep.done("PATCH", path, json={"industry": "medical"})
    rep.post(f"{path}/history/2/revert", {"fields": ["industry"]})
    assert rep.get(path)["industry"] == "retail"
    assert rep.call("DELETE", path).code == "permission.missing"
    lead.done("DELETE", path)
    assert rep.call("GET", path).status == 404
    restored = lead.post(f"{path}/restore")
    assert (restored["id"], restored["deleted_at"]) == (made["id"], None)
    facts = [entry["fact"] for entry in rep.get(f"{path}/history")["items"]]
    assert facts == ["restored", "deleted", "changed", "changed", "created"]

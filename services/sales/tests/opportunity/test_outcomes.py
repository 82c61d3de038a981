"""Won, lost, on hold, open again (SA-4)."""

import asyncio
import datetime as dt
from typing import Any

import pytest
from services.sales.tests.conftest import Stages, make_customer, make_opportunity, make_product, usd

from crm_contracts.sales import OpportunityHeld, OpportunityLost, OpportunityReopened, OpportunityWon
from crm_testing.service import Caller, Running


async def act(caller: Caller, opportunity: Any, action: str, **body: Any) -> Any:
    return await caller("POST", f"/opportunities/{opportunity['id']}/{action}", json=body)


@pytest.mark.requirement("SA-4", "SA-8")
async def test_a_won_opportunity_says_so_to_all_who_listen(sales: Running, rep: Caller, stages: Stages) -> None:
    customer = await make_customer(sales, sales.people.rep)
    made = await make_opportunity(rep, value=usd("100"), customer_id=customer, stage_id=stages["Engaging"])
    won = await act(rep, made, "win", value=usd("90"))
    assert won.status == 200
    assert {name: won[name] for name in ("outcome", "closed_on", "probability", "stage_id", "outcome_reason")} == {
        "outcome": "won",
        "closed_on": "2026-11-23",
        "probability": 100,
        "stage_id": stages["Engaging"],
        "outcome_reason": None,
    }
    assert won["value"] == won["weighted_value"] == usd("90.00")
    (event,) = await sales.events("crm.sales.opportunity.won.v1")
    told = OpportunityWon.model_validate(event["data"])
    assert (str(told.state.customer_id), told.state.closed_on) == (customer, dt.date(2026, 11, 23))
    assert told.credit is not None
    assert told.credit.department_path == [sales.people.headquarters, sales.people.north]


@pytest.mark.requirement("SA-4")
async def test_lost_and_on_hold_need_a_reason(sales: Running, rep: Caller) -> None:
    made = await make_opportunity(rep, value=usd("100"))
    for action in ("lose", "hold"):
        for body in ({}, {"reason": ""}, {"reason": " "}, {"reason": None}, {"reason": 1}, {"reason": "x" * 501}):
            refused = await act(rep, made, action, **body)
            assert (refused.status, refused.codes[0][0]) == (422, "/reason"), (action, body)
    held = await act(rep, made, "hold", reason=" budget frozen ")
    assert (held["outcome"], held["outcome_reason"], held["closed_on"]) == ("on_hold", "budget frozen", None)
    assert (held["probability"], held["weighted_value"]) == (10, usd("10.00"))
    lost = await act(rep, made, "lose", reason="price")
    assert (lost["outcome"], lost["outcome_reason"], lost["probability"]) == ("lost", "price", 0)
    assert lost["weighted_value"] == usd("0.00")
    events = await sales.events(subject=made["id"])
    assert OpportunityHeld.model_validate(events[1]["data"]).state.outcome_reason == "budget frozen"
    assert OpportunityLost.model_validate(events[2]["data"]).state.outcome_reason == "price"


@pytest.mark.requirement("SA-4")
async def test_reopening_returns_it_to_the_stage_it_was_in(
    sales: Running, rep: Caller, manager: Caller, stages: Stages
) -> None:
    made = await make_opportunity(rep, value=usd("100"), stage_id=stages["Proposal"])
    assert (await act(rep, made, "win")).status == 200
    # Closing is the representative's, opening again the supervisor's.
    assert (await act(rep, made, "reopen")).status == 403
    again = await act(manager, made, "reopen")
    assert {name: again[name] for name in ("outcome", "stage_id", "closed_on", "probability", "outcome_reason")} == {
        "outcome": "open",
        "stage_id": stages["Proposal"],
        "closed_on": None,
        "probability": 60,
        "outcome_reason": None,
    }
    assert again["weighted_value"] == usd("60.00")
    assert again["stage_entered_at"] == made["stage_entered_at"]
    refused = await act(manager, made, "reopen")
    assert (refused.status, refused["code"]) == (409, "opportunity.outcome_not_allowed")
    (event,) = await sales.events("%reopened%")
    OpportunityReopened.model_validate(event["data"])
    history = (await rep.done("GET", f"/opportunities/{made['id']}/stages"))["items"]
    assert [(item["stage"], item["left_at"]) for item in history] == [("Proposal", None)]


@pytest.mark.requirement("SA-4", "SA-5")
async def test_with_lines_a_reopened_one_is_worth_their_sum_again(admin: Caller, rep: Caller, manager: Caller) -> None:
    product = await make_product(admin, price="50")
    made = await make_opportunity(rep, lines=[{"product_id": product["id"], "quantity": "2"}])
    mixed = await act(rep, made, "win", value={"amount": "90", "currency": "KRW"})
    assert (mixed.status, mixed.codes) == (422, [("/value", "opportunity.currency_mixed")])
    assert (await act(rep, made, "win", value=usd("90")))["value"] == usd("90.00")
    assert (await act(manager, made, "reopen"))["value"] == usd("100.00")


@pytest.mark.requirement("SA-4")
async def test_the_closing_day(sales: Running, rep: Caller, manager: Caller) -> None:
    made = await make_opportunity(manager, occurred_at="2026-03-01T00:00:00Z")
    early = await act(manager, made, "win", closed_on="2026-02-28")
    assert (early.status, early.codes) == (422, [("/closed_on", "opportunity.closed_before_opened")])
    late = await act(manager, made, "win", closed_on="2026-11-24")
    assert (late.status, late.codes) == (422, [("/closed_on", "record.occurred_in_future")])
    # The day of an instant is the company's.
    won = await act(manager, made, "win", occurred_at="2026-03-04T20:00:00Z")
    assert won["closed_on"] == "2026-03-05"
    (event,) = await sales.events("%won%")
    assert event["data"]["occurred_at"] == "2026-03-04T20:00:00Z"
    theirs = await make_opportunity(rep)
    for body in ({"closed_on": "2026-11-22"}, {"occurred_at": "2026-11-22T00:00:00Z"}):
        assert (await act(rep, theirs, "win", **body))["permission"] == "sales.opportunity:backdate"
    assert (await act(rep, theirs, "win", closed_on="2026-11-23")).status == 200


@pytest.mark.requirement("SA-4")
async def test_a_closed_opportunity_keeps_stage_lines_and_value(sales: Running, admin: Caller, rep: Caller) -> None:
    product = await make_product(admin, price="50")
    line = {"product_id": product["id"], "quantity": "2"}
    made = await make_opportunity(rep, lines=[line])
    await act(rep, made, "win", value=usd("95"))
    path = f"/opportunities/{made['id']}"
    for body in (
        {"value": usd("1")},
        {"lines": []},
        {"lines": [{**line, "quantity": "3"}]},
        {"probability_override": 5},
    ):
        refused = await rep("PATCH", path, json=body)
        assert (refused.status, refused["code"]) == (409, "opportunity.not_open"), body
    before = await sales.position()
    # What it has can be sent again: an import that runs twice.
    same = await rep.done("PATCH", path, json={"lines": [line], "value": usd("95")})
    assert same["value"] == usd("95.00")
    assert await sales.position() == before
    assert (await rep.done("PATCH", path, json={"description": "Signed"}))["version"] == 3


@pytest.mark.requirement("SA-4", "PL-7")
async def test_of_two_who_win_at_once_one_does(sales: Running, rep: Caller, manager: Caller) -> None:
    made = await make_opportunity(rep, value=usd("100"))
    answers = await asyncio.gather(*(act(who, made, "win", value=usd("80")) for who in (rep, manager) * 3))
    assert sorted(answer.status for answer in answers) == [200] + [409] * 5
    assert {answer["code"] for answer in answers if answer.status == 409} == {"opportunity.outcome_not_allowed"}
    assert len(await sales.events("%won%")) == 1


async def test_of_one_who_wins_and_one_who_loses_at_once_one_counts(sales: Running, rep: Caller) -> None:
    made = await make_opportunity(rep)
    answers = await asyncio.gather(
        act(rep, made, "win"),
        act(rep, made, "lose", reason="price"),
        act(rep, made, "win"),
        act(rep, made, "hold", reason="x"),
    )
    closed = [a for a in answers if a.status == 200 and a["outcome"] in ("won", "lost")]
    assert len(closed) == 1
    assert len(await sales.events("%.won.v1")) + len(await sales.events("%.lost.v1")) == 1
    kept = await rep.done("GET", f"/opportunities/{made['id']}")
    assert kept["outcome"] == closed[0]["outcome"]


def ref(key: str) -> dict[str, str]:
    return {"system": "demo", "id": key}


@pytest.mark.requirement("SA-4", "PL-9")
async def test_outcomes_of_many_and_the_same_again_change_nothing(sales: Running, manager: Caller) -> None:
    opened = "2026-01-01T00:00:00Z"
    for key in "abcd":
        await make_opportunity(manager, key, external_ref=ref(key), occurred_at=opened, value=usd("10"))
    theirs = await make_opportunity(sales.caller(sales.people.stranger), external_ref=ref("theirs"))
    when = {"closed_on": "2026-02-01", "occurred_at": "2026-02-01T00:00:00Z"}
    rows = [
        {"external_ref": ref("a"), "outcome": "won", "value": usd("100"), **when},
        {"external_ref": ref("b"), "outcome": "lost", "reason": "Not stated", "value": usd("0"), **when},
        {"external_ref": ref("c"), "outcome": "on_hold", "reason": "budget"},
        {"external_ref": ref("d"), "outcome": "lost"},
        {"id": theirs["id"], "outcome": "won"},
        {"external_ref": ref("theirs"), "outcome": "won"},
        {"external_ref": ref("nobody"), "outcome": "won"},
        {"external_ref": ref("a"), "outcome": "won"},
        {"external_ref": ref("d"), "outcome": "open"},
    ]
    first = await manager.done("POST", "/opportunities/outcomes", json={"rows": rows})
    assert [row.get("done") or row["code"] for row in first["rows"]] == [
        "changed",
        "changed",
        "changed",
        "opportunity.reason_missing",
        "record.not_found",
        "record.not_found",
        "record.not_found",
        "record.repeated",
        "request.invalid",
    ]
    assert first["rows"][3]["errors"][0]["pointer"] == "/rows/3/reason"
    kinds = [event["type"].split(".")[3] for event in (await sales.events("crm.sales.opportunity.%"))[5:]]
    assert sorted(kinds) == ["held", "lost", "won"]
    (won,) = await sales.events("%.won.v1")
    assert (won["data"]["state"]["closed_on"], won["data"]["state"]["value"]) == ("2026-02-01", usd("100.00"))
    assert won["data"]["occurred_at"] == "2026-02-01T00:00:00Z"
    before = await sales.position()
    again = await manager.done("POST", "/opportunities/outcomes", json={"rows": rows[:3]})
    assert [row["done"] for row in again["rows"]] == ["unchanged"] * 3
    assert await sales.position() == before
    other = [
        {"external_ref": ref("a"), "outcome": "won", "value": usd("101"), **when},
        {"external_ref": ref("b"), "outcome": "lost", "reason": "Not stated", "closed_on": "2026-02-02"},
        {"external_ref": ref("c"), "outcome": "on_hold", "reason": "another"},
    ]
    differing = await manager.done("POST", "/opportunities/outcomes", json={"rows": other})
    assert [row["code"] for row in differing["rows"]] == ["opportunity.outcome_not_allowed"] * 3
    assert await sales.position() == before


@pytest.mark.requirement("PL-21", "PL-30")
async def test_of_many_those_that_are_only_seen_are_refused(sales: Running, rep: Caller, stages: Stages) -> None:
    made = await make_opportunity(rep)
    colleague = sales.caller(sales.people.colleague)
    await rep.done("PUT", f"/opportunities/{made['id']}/members/{sales.people.colleague.id}", json={"right": "read"})
    for path, row in (("outcomes", {"outcome": "won"}), ("advance", {"stage_id": stages["Engaging"]})):
        answer = await colleague.done("POST", f"/opportunities/{path}", json={"rows": [{"id": made["id"], **row}]})
        assert [one["code"] for one in answer["rows"]] == ["scope.record"]
    assert (await act(colleague, made, "win"))["code"] == "scope.record"
    assert (await rep.done("GET", f"/opportunities/{made['id']}"))["version"] == 2


@pytest.mark.requirement("PL-20")
async def test_outcomes_in_the_past_need_the_permission(rep: Caller) -> None:
    made = await make_opportunity(rep)
    rows = [{"id": made["id"], "outcome": "won", "occurred_at": "2026-11-01T00:00:00Z"}]
    answer = await rep.done("POST", "/opportunities/outcomes", json={"rows": rows})
    assert answer["rows"][0]["code"] == "permission.missing"


async def test_bulk_outcomes_need_the_permission_to_close(sales: Running, rep: Caller) -> None:
    made = await make_opportunity(rep)
    for person in (sales.people.executive, sales.people.general):
        caller = sales.caller(person)
        rows = [{"id": made["id"], "outcome": "won"}]
        assert (await caller("POST", "/opportunities/outcomes", json={"rows": rows})).status == 403


@pytest.mark.requirement("PL-9")
async def test_a_batch_takes_a_thousand_rows_and_no_more(sales: Running, manager: Caller) -> None:
    rows = [{"name": f"No {n}", "external_ref": ref(str(n)), "value": usd("1")} for n in range(1000)]
    made = await manager.done("POST", "/opportunities/batch", json={"mode": "upsert", "rows": rows})
    assert (made["ok"], made["failed"]) == (1000, 0)
    outcomes = [{"external_ref": ref(str(n)), "outcome": "won", "value": usd("2")} for n in range(1000)]
    closed = await manager.done("POST", "/opportunities/outcomes", json={"rows": outcomes})
    assert (closed["ok"], closed["failed"]) == (1000, 0)
    assert len(await sales.events("%.won.v1")) == 1000
    for path in ("outcomes", "advance"):
        assert (await manager("POST", f"/opportunities/{path}", json={"rows": outcomes + outcomes[:1]})).status == 422
        assert (await manager("POST", f"/opportunities/{path}", json={"rows": []})).status == 422

"""Activities are noted, read, changed, and found again (SA-30)."""

import json
import uuid
from typing import Any

import pytest
from services.sales.tests.activity.stand import FOREIGN, body, link, make_contact, make_foreign, note
from services.sales.tests.conftest import make_customer, make_opportunity

from crm_contracts.sales import ActivityState
from crm_testing.service import Caller, Running


@pytest.mark.requirement("SA-30")
async def test_an_activity_is_who_notes_its_own_and_happens_now_unless_said(sales: Running, rep: Caller) -> None:
    customer = await make_customer(sales, sales.people.rep)
    made = await note(
        rep,
        link("customer", customer),
        text="They want a discount",
        duration_minutes=10,
        outcome="They think it over",
        direction="out",
        participants=[str(sales.people.colleague.id)],
        next_contact_at="2026-12-01T09:00:00Z",
        next_contact_note="Send the new offer",
    )
    assert made["number"] == "ACT-2611-00001"
    assert made["owner_id"] == str(sales.people.rep.id)
    assert (made["happened_at"], made["customer_id"]) == ("2026-11-23T03:00:00Z", customer)
    assert (made["links"], made["direction"]) == ([link("customer", customer)], "out")
    assert await rep.done("GET", f"/activities/{made['id']}") == made
    assert (await rep.done("GET", "/activities"))["items"] == [made]
    (event,) = await sales.events(subject=made["id"])
    assert event["type"] == "crm.sales.activity.created.v1"
    state = ActivityState.model_validate(event["data"]["state"])
    assert [(one.type, str(one.id)) for one in state.links] == [("customers.customer", customer)]
    assert (str(state.customer_id), state.kind, state.duration_minutes) == (customer, "call", 10)
    assert (made["outcome"], state.outcome) == ("They think it over", "They think it over")


@pytest.mark.requirement("SA-30")
async def test_the_customer_is_filled_in_from_the_links(sales: Running, rep: Caller) -> None:
    mine = sales.people.rep
    first, second = await make_customer(sales, mine), await make_customer(sales, mine)
    contact = await make_contact(sales, mine, second)
    bare, sold = await make_opportunity(rep), await make_opportunity(rep, customer_id=first)
    of_contact = await note(rep, link("opportunity", bare["id"]), link("contact", contact))
    assert of_contact["customer_id"] == second
    of_opportunity = await note(rep, link("opportunity", sold["id"]), link("contact", contact))
    assert of_opportunity["customer_id"] == first
    assert (await note(rep, link("opportunity", bare["id"])))["customer_id"] is None
    changed = await rep.done(
        "PATCH", f"/activities/{of_contact['id']}", json={"links": [link("opportunity", sold["id"])]}
    )
    assert changed["customer_id"] == first
    assert (await rep("PATCH", f"/activities/{changed['id']}", json={"customer_id": second})).status == 422


@pytest.mark.requirement("SA-30")
@pytest.mark.parametrize("record", FOREIGN)
async def test_contracts_and_tickets_give_activities_their_customer(
    sales: Running, manager: Caller, record: str
) -> None:
    mine = sales.people.manager
    first, second = await make_customer(sales, mine), await make_customer(sales, mine)
    made = await note(manager, link(record, await make_foreign(sales, record, mine, second)), link("customer", first))
    assert made["customer_id"] == second
    (event,) = await sales.events(subject=made["id"])
    assert event["data"]["state"]["links"][0]["type"] == link(record, "")["type"]
    found = await manager.done("GET", "/activities", params={"about": "{type}:{id}".format(**made["links"][0])})
    assert [one["id"] for one in found["items"]] == [made["id"]]


@pytest.mark.requirement("SA-30")
async def test_the_ticket_of_a_stranger_is_no_customers(sales: Running, manager: Caller) -> None:
    ticket = await make_foreign(sales, "ticket", sales.people.manager, None)
    assert (await note(manager, link("ticket", ticket)))["customer_id"] is None


@pytest.mark.requirement("SA-30", "PL-20")
async def test_only_what_is_long_past_needs_the_permission_to_backdate(
    sales: Running, rep: Caller, manager: Caller
) -> None:
    customer = link("customer", await make_customer(sales, sales.people.rep))
    made = await note(rep, customer, happened_at="2026-10-24T03:00:00Z")
    early = {"happened_at": "2026-10-24T02:59:59Z"}
    path = f"/activities/{made['id']}"
    for refused in (
        await rep("POST", "/activities", json=body(customer, **early)),
        await rep("PATCH", path, json=early),
    ):
        assert (refused.status, refused["permission"]) == (403, "sales.activity:backdate")
    assert (await manager.done("PATCH", path, json=early))["happened_at"] == early["happened_at"]
    # Only the time itself is asked about, not each later change.
    assert (await rep.done("PATCH", path, json={"subject": "Another", **early}))["subject"] == "Another"
    for caller in (rep, manager):
        late = await caller("POST", "/activities", json=body(customer, happened_at="2026-11-23T03:02:00Z"))
        assert (late.status, late.codes) == (422, [("/happened_at", "record.occurred_in_future")])
    assert (await rep("PATCH", path, json={"happened_at": None})).codes == [("/happened_at", "field.required")]


@pytest.mark.requirement("SA-30")
async def test_who_notes_for_another_day_in_the_books_means_that_day(sales: Running, manager: Caller) -> None:
    customer = link("customer", await make_customer(sales, sales.people.rep))
    made = await note(manager, customer, occurred_at="2026-03-01T15:30:00Z")
    assert made["happened_at"] == "2026-03-01T15:30:00Z"


async def test_what_is_no_activity_is_refused(sales: Running, rep: Caller) -> None:
    customer = link("customer", await make_customer(sales, sales.people.rep))
    wrong: dict[str, Any] = {
        "/kind": {"kind": "Call!"},
        "/direction": {"direction": "up"},
        "/duration_minutes": {"duration_minutes": -1},
        "/links": {"links": []},
        "/subject": {"subject": " "},
        "/outcome": {"outcome": "x" * 501},
        "/participants/0": {"participants": [str(uuid.uuid4())]},
    }
    for pointer, given in wrong.items():
        refused = await rep("POST", "/activities", json={**body(customer), **given})
        assert (refused.status, [at for at, _ in refused.codes]) == (422, [pointer]), given
    assert (await rep("POST", "/activities", json={"kind": "call", "subject": "x"})).codes == [
        ("/links", "field.required")
    ]
    assert (await note(rep, customer, kind="site_survey"))["kind"] == "site_survey"


@pytest.mark.requirement("SA-30", "PL-4")
async def test_next_contacts_before_a_day_are_a_filter(sales: Running, rep: Caller) -> None:
    customer = link("customer", await make_customer(sales, sales.people.rep))
    later = await note(rep, customer, next_contact_at="2026-12-10T09:00:00Z")
    soon = await note(rep, customer, next_contact_at="2026-11-30T09:00:00Z")
    never = await note(rep, customer)
    due = {"field": "next_contact_at", "op": "lt", "value": "2026-12-01T00:00:00Z"}
    assert await _ids(rep, filter=due) == [soon["id"]]
    assert await _ids(rep, sort="next_contact_at") == [soon["id"], later["id"], never["id"]]


@pytest.mark.requirement("SA-30", "PL-23")
async def test_the_history_tells_links_and_takes_them_back(sales: Running, rep: Caller) -> None:
    first, second = [link("customer", await make_customer(sales, sales.people.rep)) for _ in range(2)]
    made = await note(rep, first)
    path = f"/activities/{made['id']}"
    await rep.done("PATCH", path, json={"links": [second, first]})
    newest, oldest = (await rep.done("GET", f"{path}/history"))["items"]
    assert newest["changes"]["links"] == {"old": [first], "new": [second, first]}
    assert newest["changes"]["customer_id"] == {"old": first["id"], "new": second["id"]}
    assert oldest["changes"]["links"] == {"old": None, "new": [first]}
    back = await rep.done("POST", f"{path}/history/2/revert", json={"fields": ["links"]})
    assert (back["links"], back["customer_id"]) == ([first], first["id"])
    # The same links in the same order are no change.
    same = await rep.done("PATCH", path, json={"links": [first]})
    assert same["version"] == back["version"]


@pytest.mark.requirement("SA-30", "PL-9")
async def test_a_batch_is_checked_row_by_row(sales: Running, rep: Caller) -> None:
    customer = link("customer", await make_customer(sales, sales.people.rep))
    rows = [
        body(customer),
        body(link("customer", str(uuid.uuid4()))),
        body(customer, happened_at="2026-01-01T00:00:00Z"),
        body(customer, subject="Second"),
    ]
    answer = await rep.done("POST", "/activities/batch", json={"mode": "create", "rows": rows})
    assert [row["status"] for row in answer["rows"]] == ["ok", "error", "error", "ok"]
    assert (answer["rows"][1]["code"], answer["rows"][1]["errors"][0]["pointer"]) == (
        "link.unknown",
        "/rows/1/links/0",
    )


async def _ids(caller: Caller, filter: Any = None, **parameters: Any) -> list[str]:
    if filter is not None:
        parameters["filter"] = json.dumps(filter)
    return [one["id"] for one in (await caller.done("GET", "/activities", params=parameters))["items"]]

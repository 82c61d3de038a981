"""A leaver's open opportunities and planned contacts go to the successor (ID-6); what is closed or past stays theirs."""

import datetime as dt
from typing import Any

import pytest
from services.sales.tests.activity.stand import link, note
from services.sales.tests.conftest import make_customer, make_opportunity, make_product, usd

from crm_records.hand_over import rules
from crm_testing.leaving import Leaving
from crm_testing.service import Caller, Running


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests hear of a dismissal at once here: there is one process."""
    monkeypatch.setattr(rules, "DIRECTORY_AGE", dt.timedelta(0))


@pytest.mark.requirement("ID-6", "AN-6")
async def test_what_is_open_or_planned_changes_hands_and_what_is_closed_or_past_does_not(
    sales: Running, rep: Caller, admin: Caller
) -> None:
    people = sales.people
    customer = await make_customer(sales, people.rep)
    product = await make_product(admin)
    opened = await make_opportunity(rep, "Open", lines=[{"product_id": product["id"], "quantity": "2"}])
    made: dict[str, Any] = {}
    for action, body in (("win", {"value": usd("90")}), ("lose", {"reason": "price"}), ("hold", {"reason": "budget"})):
        one = await make_opportunity(rep, action, value=usd("100"))
        made[action] = await rep.done("POST", f"/opportunities/{one['id']}/{action}", json=body)
    soon = (sales.clock.now() + dt.timedelta(days=3)).isoformat()
    about = link("customer", customer)
    planned = await note(rep, about, subject="Call again", next_contact_at=soon)
    past = await note(rep, about, subject="Called")
    overdue = await note(
        rep, about, subject="Forgotten", next_contact_at=(sales.clock.now() - dt.timedelta(days=1)).isoformat()
    )
    leaving = Leaving(sales, people.rep, people.colleague, people.administrator)
    await leaving.dismissed()
    await leaving.asked()
    await sales.work()

    fact, state = await leaving.last()
    assert (fact, state["moved"]) == ("done", {"sales.opportunity": 2, "sales.activity": 1})
    heir, leaver = str(people.colleague.id), str(people.rep.id)

    async def owner(kind: str, record: Any) -> str:
        return str((await admin.done("GET", f"/{kind}/{record['id']}"))["owner_id"])

    assert {await owner("opportunities", one) for one in (opened, made["hold"])} == {heir}
    assert {await owner("opportunities", one) for one in (made["win"], made["lose"])} == {leaver}
    assert await owner("activities", planned) == heir
    assert {await owner("activities", one) for one in (past, overdue)} == {leaver}
    # What is written of the past credits who it was; what is closed is not written at all.
    (won,) = await sales.events("crm.sales.opportunity.won.v1")
    assert won["data"]["credit"]["user_id"] == leaver
    assert [event["type"] for event in await sales.events(subject=made["win"]["id"])][
        -1
    ] == "crm.sales.opportunity.won.v1"
    after = await admin.done("GET", f"/opportunities/{opened['id']}")
    assert after["lines"] == opened["lines"]
    assert [times for _, times in await leaving.moved("opportunity")] == [1, 1]

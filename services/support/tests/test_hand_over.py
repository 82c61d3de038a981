"""A leaver's open tickets go to the successor (ID-6); what is solved or closed stays theirs."""

import datetime as dt

import pytest
from services.support.tests.conftest import act, make_ticket

from crm_records.hand_over import rules
from crm_testing.leaving import Leaving
from crm_testing.service import Caller, Running


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests hear of a dismissal at once here: there is one process."""
    monkeypatch.setattr(rules, "DIRECTORY_AGE", dt.timedelta(0))


@pytest.mark.requirement("ID-6")
async def test_open_tickets_change_hands_and_solved_ones_do_not(support: Running, agent: Caller, admin: Caller) -> None:
    people = support.people
    tickets = {}
    for status in ("open", "pending", "on_hold", "solved", "closed"):
        made = await make_ticket(agent, status)
        assert (await act(agent, made, "claim")).status == 200
        way = {"open": [], "closed": ["solved", "closed"]}.get(status, [status])
        for step in way:
            moved = await act(agent, made, "move", status=step)
            assert moved.status == 200, moved
        tickets[status] = made["id"]
    nobodys = await make_ticket(agent, "Waits")
    leaving = Leaving(support, people.agent, people.rep, people.administrator)
    await leaving.dismissed()
    await leaving.asked()
    await support.work()

    fact, state = await leaving.last()
    assert (fact, state["moved"]) == ("done", {"support.ticket": 3})
    found = {status: await admin.done("GET", f"/tickets/{ticket}") for status, ticket in tickets.items()}
    owners = {status: one["owner_id"] for status, one in found.items()}
    heir, leaver = str(people.rep.id), str(people.agent.id)
    assert owners == {"open": heir, "pending": heir, "on_hold": heir, "solved": leaver, "closed": leaver}
    assert {status: one["status"] for status, one in found.items()} == {status: status for status in tickets}
    assert (await admin.done("GET", f"/tickets/{nobodys['id']}"))["owner_id"] is None

"""Tickets are made, found, and change their status; what the API says and what the events say (SU-1, SU-6)."""

import datetime as dt
import json
import uuid
from typing import Any

import pytest
from services.support.tests.conftest import (
    AGENT,
    act,
    general,
    ids_of,
    make_contact,
    make_customer,
    make_ticket,
)

from crm_authz import Rule
from crm_contracts.support import TICKET_EVENTS, TicketMoved
from crm_testing.service import Caller, Rights, Running


@pytest.mark.requirement("SU-1")
async def test_a_strangers_ticket_waits_in_the_general_queue(support: Running, agent: Caller) -> None:
    made = await make_ticket(
        agent, stranger_name="Ann", channel="phone", priority="urgent", tags=["login", " VIP ", "login"]
    )
    assert made["number"] == "TCK-2611-00001"
    shown = ("status", "queue", "owner_id", "channel", "priority", "tags", "first_response_at", "solved_at")
    assert [made[name] for name in shown] == ["new", "general", None, "phone", "urgent", ["login", "VIP"], None, None]
    (event,) = await support.events(subject=made["id"])
    told = TICKET_EVENTS.created.model_validate(event["data"])
    assert (told.state.status, told.state.tags, told.state.stranger_email) == (
        "new",
        ["login", "VIP"],
        "ann@example.com",
    )
    assert told.access is not None
    assert told.access.owner_id is None


@pytest.mark.requirement("SU-1")
async def test_who_asks_must_be_said_and_stay_said(agent: Caller) -> None:
    refused = await agent("POST", "/tickets", json={"subject": "X"})
    assert (refused.status, refused.codes) == (422, [("/customer_id", "ticket.requester_missing")])
    made = await make_ticket(agent, owner_id=str(agent.running.people.agent.id))
    path = f"/tickets/{made['id']}"
    emptied = await agent("PATCH", path, json={"stranger_email": None})
    assert (emptied.status, emptied["code"]) == (422, "ticket.requester_missing")
    changed = await agent.done("PATCH", path, json={"stranger_email": None, "stranger_phone": "+82 2 1234 5678"})
    assert changed["stranger_phone"] == "+82212345678"


@pytest.mark.requirement("SU-1")
async def test_a_contacts_ticket_is_their_customers_too(support: Running, agent: Caller) -> None:
    customer, other = [await make_customer(support, support.people.rep) for _ in range(2)]
    contact = await make_contact(support, support.people.rep, customer)
    made = await make_ticket(agent, contact_id=contact, owner_id=str(support.people.agent.id))
    assert (made["customer_id"], made["contact_id"]) == (customer, contact)
    for body in ({"customer_id": other}, {"customer_id": None}):
        refused = await agent("PATCH", f"/tickets/{made['id']}", json=body)
        assert (refused.status, refused.codes) == (422, [("/customer_id", "ticket.contact_elsewhere")])
    refused = await agent("POST", "/tickets", json={"subject": "X", "contact_id": contact, "customer_id": other})
    assert refused.codes == [("/contact_id", "ticket.contact_elsewhere")]
    changed = await agent.done("PATCH", f"/tickets/{made['id']}", json={"customer_id": other, "contact_id": None})
    assert (changed["customer_id"], changed["contact_id"]) == (other, None)


@pytest.mark.requirement("SU-1", "PL-30")
async def test_only_customers_and_contacts_that_the_caller_sees_can_be_named(support: Running) -> None:
    people = support.people
    customer = await make_customer(support, people.rep)
    contact = await make_contact(support, people.rep, customer)
    # The supervisor of the north sees the representative's; that of the south doesn't.
    manager, other = support.caller(people.manager), support.caller(people.other_manager)
    own = Rights(("support.ticket:create",), people.manager.role.scopes)
    unpermitted = support.caller(people.manager, rights=own)
    for name, known in (("customer_id", customer), ("contact_id", contact)):
        assert (await manager("POST", "/tickets", json={"subject": "X", name: known})).status == 201
        code = f"ticket.{name.removesuffix('_id')}_unknown"
        for caller, given in ((other, known), (unpermitted, known), (manager, str(uuid.uuid4()))):
            refused = await caller("POST", "/tickets", json={"subject": "X", name: given})
            assert (refused.status, refused.codes) == (422, [(f"/{name}", code)])
    named = {"subject": "X", "customer_id": customer, "contact_id": contact}
    only_contacts = Rights(("support.ticket:create", "customers.contact:read"), people.manager.role.scopes)
    refused = await support.caller(people.manager, rights=only_contacts)("POST", "/tickets", json=named)
    assert refused.codes == [("/customer_id", "ticket.customer_unknown")]


@pytest.mark.requirement("SU-1")
async def test_a_deleted_customer_gets_no_new_tickets_through_its_contacts(support: Running, agent: Caller) -> None:
    rep = support.people.rep
    customer = await make_customer(support, rep)
    contact, unheard = [
        await make_contact(support, rep, whose) for whose in (customer, "01900000-0000-7000-8000-0000000000ff")
    ]
    mine = {"owner_id": str(support.people.agent.id)}
    before = await make_ticket(agent, contact_id=contact, **mine)
    strangers = await make_ticket(agent, **mine)
    await make_customer(support, rep, id=customer, version=2, deleted=True)
    refused = await agent("POST", "/tickets", json={"subject": "X", "contact_id": contact})
    assert (refused.status, refused.codes) == (422, [("/contact_id", "ticket.customer_unknown")])
    refused = await agent("PATCH", f"/tickets/{strangers['id']}", json={"contact_id": contact})
    assert (refused.status, refused.codes) == (422, [("/contact_id", "ticket.customer_unknown")])
    # What is there already stays, and goes on.
    assert (await agent.done("PATCH", f"/tickets/{before['id']}", json={"subject": "Y"}))["customer_id"] == customer
    # Events of customers and contacts come in any order: one not heard of yet is not one that is gone.
    assert (await agent("POST", "/tickets", json={"subject": "X", "contact_id": unheard})).status == 201


@pytest.mark.requirement("SU-1", "PL-30")
async def test_tickets_show_their_customers_to_those_who_see_them(support: Running, admin: Caller) -> None:
    people = support.people
    seen, unseen = [
        await make_customer(support, one, name) for one, name in ((people.rep, "A"), (people.stranger, "B"))
    ]
    made = [
        await make_ticket(admin, customer_id=customer, owner_id=str(people.rep.id)) for customer in (seen, unseen, seen)
    ]
    made.append(await make_ticket(admin, owner_id=str(people.rep.id)))
    manager = support.caller(people.manager)
    shown = {"id": seen, "number": "AACC-2611-0001", "name": "A"}
    expected = dict(zip([one["id"] for one in made], [shown, None, shown, None], strict=True))

    async def found(caller: Caller, path: str = "/tickets", **params: Any) -> dict[str, Any]:
        return {one["id"]: one["customer"] for one in (await caller.done("GET", path, params=params))["items"]}

    assert await found(manager) == expected
    assert await found(manager, fields="customer,subject") == expected
    (item,) = (await manager.done("GET", "/tickets", params={"fields": "customer", "limit": 1}))["items"]
    assert set(item) == {"id", "customer"}
    (item,) = (await manager.done("GET", "/tickets", params={"fields": "subject", "limit": 1}))["items"]
    assert set(item) == {"id", "subject"}
    searched = await manager.done("POST", "/tickets/search", json={})
    assert {one["id"]: one["customer"] for one in searched["items"]} == expected
    for ticket, customer in expected.items():
        assert (await manager.done("GET", f"/tickets/{ticket}"))["customer"] == customer
    # Nor without the permission to read customers; and a deleted one is shown to nobody.
    blind = support.caller(people.manager, rights=Rights(("support.ticket:read",), people.manager.role.scopes))
    assert set((await found(blind)).values()) == {None}
    await make_customer(support, people.rep, id=seen, version=2, deleted=True)
    assert set((await found(manager)).values()) == {None}


@pytest.mark.requirement("SU-6", "PL-30")
async def test_a_queue_shows_the_customers_that_its_member_sees(support: Running, admin: Caller) -> None:
    people = support.people
    seen, unseen = [
        await make_customer(support, one, name) for one, name in ((people.rep, "A"), (people.stranger, "B"))
    ]
    made = [await make_ticket(admin, customer_id=customer) for customer in (seen, unseen)]
    # An agent's shipped role sees all customers; here it sees those of the north only.
    scopes = {"support.*": {"*": Rule("department_tree")}, "customers.*": {"*": Rule("department_tree")}}
    caller = support.caller(people.agent, rights=Rights(AGENT.permissions, scopes))
    for path in (f"/queues/{(await general(admin))['id']}/tickets", "/queues/mine/tickets"):
        items = (await caller.done("GET", path))["items"]
        assert [(one["id"], (one["customer"] or {}).get("name")) for one in items] == [
            (made[0]["id"], "A"),
            (made[1]["id"], None),
        ]


@pytest.mark.requirement("SU-1")
async def test_the_queue_must_be_there_and_changes_by_assigning(support: Running, agent: Caller) -> None:
    refused = await agent("POST", "/tickets", json={"subject": "X", "stranger_name": "Ann", "queue": "nowhere"})
    assert (refused.status, refused.codes) == (422, [("/queue", "queue.unknown")])
    made = await make_ticket(agent, owner_id=str(support.people.agent.id))
    refused = await agent("PATCH", f"/tickets/{made['id']}", json={"queue": "other"})
    assert (refused.status, refused.codes) == (422, [("/queue", "ticket.queue_by_assign")])
    assert (await agent.done("PATCH", f"/tickets/{made['id']}", json={"queue": "general"}))["version"] == 1


@pytest.mark.requirement("SU-1")
@pytest.mark.parametrize("tags", ["login", [1], [""], ["a\nb"], ["x" * 41], ["x"] * 21])
async def test_tags_are_words(agent: Caller, tags: Any) -> None:
    answer = await agent("POST", "/tickets", json={"subject": "X", "stranger_name": "Ann", "tags": tags})
    assert (answer.status, answer.codes[0][0]) == (422, "/tags")


@pytest.mark.requirement("SU-6")
async def test_lists_of_mine_of_a_queue_of_nobody_by_status_tag_and_age(support: Running, admin: Caller) -> None:
    agent = support.people.agent
    mine = await make_ticket(admin, "Mine", owner_id=str(support.people.administrator.id), tags=["login"])
    support.clock.advance(dt.timedelta(minutes=1))
    theirs = await make_ticket(admin, "Theirs", owner_id=str(agent.id), tags=["log", "Other"])
    support.clock.advance(dt.timedelta(minutes=1))
    waits = await make_ticket(admin, "Waits")

    async def found(field: str, op: str, value: Any = None, sort: str = "created_at") -> list[str]:
        condition = {"field": field, "op": op} | ({} if value is None else {"value": value})
        return await ids_of(admin, filter=json.dumps(condition), sort=sort)

    assert await found("owner_id", "me") == [mine["id"]]
    assert await found("owner_id", "is_empty", True) == [waits["id"]]
    assert await found("queue", "eq", "general", "-created_at") == [waits["id"], theirs["id"], mine["id"]]
    assert await found("status", "in", ["new"]) == [waits["id"]]
    assert await found("tags", "contains", "LOGIN") == [mine["id"]]
    assert await found("tags", "contains", "log") == [theirs["id"]]
    assert await found("tags", "is_empty", True) == [waits["id"]]
    assert await ids_of(admin, q="thei") == [theirs["id"]]


@pytest.mark.requirement("SU-1")
async def test_a_ticket_is_solved_opened_again_and_closed(support: Running, agent: Caller) -> None:
    made = await make_ticket(agent, owner_id=str(support.people.agent.id))
    assert made["status"] == "open"
    solved = await act(agent, made, "move", status="solved", reason="a new cable")
    assert (solved["status"], solved["solved_at"]) == ("solved", "2026-11-23T03:00:00Z")
    support.clock.advance(dt.timedelta(minutes=2))
    agent = support.caller(support.people.agent)
    again = await act(agent, made, "move", status="open")
    assert (again["status"], again["solved_at"], again["version"]) == ("open", None, 3)
    assert (await act(agent, made, "move", status="open"))["version"] == 3
    await act(agent, made, "move", status="solved")
    assert (await act(agent, made, "move", status="closed"))["solved_at"] == "2026-11-23T03:02:00Z"
    refused = await act(agent, made, "move", status="open")
    assert (refused.status, refused["code"]) == (409, "ticket.move_not_allowed")
    events = await support.events("%moved%", made["id"])
    told = [TicketMoved.model_validate(event["data"]) for event in events]
    assert [(one.from_status, one.to_status, one.reason) for one in told] == [
        ("open", "solved", "a new cable"),
        ("solved", "open", None),
        ("open", "solved", None),
        ("solved", "closed", None),
    ]


async def test_a_move_names_a_status_that_there_is(agent: Caller) -> None:
    made = await make_ticket(agent)
    for body in ({}, {"status": "new2"}, {"status": None}, {"status": "open", "more": 1}):
        assert (await agent("POST", f"/tickets/{made['id']}/move", json=body)).status == 422
    stale = await agent("POST", f"/tickets/{made['id']}/move", json={"status": "open"}, match='"7"')
    assert stale.status == 412


@pytest.mark.requirement("SU-1", "PL-30")
async def test_a_customers_name_is_shown_to_those_who_see_the_customer(support: Running, agent: Caller) -> None:
    people = support.people
    customer = await make_customer(support, people.stranger)
    contact = await make_contact(support, people.stranger, customer)
    # An agent sees all customers; the ticket is the representative's, who doesn't see the one of the south.
    made = await make_ticket(agent, contact_id=contact, owner_id=str(people.rep.id))
    path = f"/tickets/{made['id']}/requester"
    shown = await agent.done("GET", path)
    assert shown["customer"] == {"id": customer, "number": "AACC-2611-0001", "name": "주식회사 예시"}
    assert shown["contact"] == {"id": contact, "name": "Анна Иванова", "email": "anna@example.com", "phone": None}
    assert shown["stranger"] is None
    manager = support.caller(people.manager)
    assert await manager.done("GET", path) == {"customer": None, "contact": None, "stranger": None}
    # Nor to whom the scope would let, without the permission.
    unpermitted = Rights(("support.ticket:read",), people.agent.role.scopes)
    bare = support.caller(people.agent, rights=unpermitted)
    assert await bare.done("GET", path) == {"customer": None, "contact": None, "stranger": None}
    await make_customer(support, people.stranger, id=customer, version=2, deleted=True)
    assert (await agent.done("GET", path))["customer"] is None
    # Who doesn't see the ticket learns nothing of its requester.
    assert (await support.caller(people.other_manager)("GET", path)).status == 404
    unknown = await make_ticket(agent, stranger_name="Ann", owner_id=str(people.agent.id))
    asked = await agent.done("GET", f"/tickets/{unknown['id']}/requester")
    assert asked["stranger"] == {"name": "Ann", "email": "ann@example.com", "phone": None}

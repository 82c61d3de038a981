"""Who sees what waits, who takes it, who is given it (SU-3)."""

import asyncio

import pytest
from services.support.tests.conftest import AGENT, act, general, ids_of, make_ticket

from crm_contracts.support import TicketAssigned
from crm_database import WriteContext
from crm_testing.service import Caller, Rights, Running


async def make_queue(admin: Caller, key: str, *people: object) -> str:
    members = [str(person.id) for person in people]  # type: ignore[attr-defined]
    made = await admin.done("POST", "/queues", json={"key": key, "name": key, "member_user_ids": members})
    return str(made["id"])


@pytest.mark.requirement("SU-3", "SU-6", "PL-30")
async def test_what_waits_is_seen_by_the_queues_members_and_by_who_sees_all(
    support: Running, admin: Caller, agent: Caller, southern: Caller
) -> None:
    queue = await make_queue(admin, "second", support.people.agent)
    made = await make_ticket(admin, queue="second")
    member, outsider = agent, southern
    executive = support.caller(support.people.executive)
    # The scopes of both agents don't reach what is nobody's; lists show it to those who reach everything.
    for caller, sees in ((member, False), (outsider, False), (admin, True), (executive, True)):
        assert await ids_of(caller) == ([made["id"]] if sees else [])
        assert (await caller("GET", f"/tickets/{made['id']}")).status == (200 if sees else 404)
    assert await ids_of(member, f"/queues/{queue}/tickets") == [made["id"]]
    for caller in (outsider, admin, executive):
        refused = await caller("GET", f"/queues/{queue}/tickets")
        assert (refused.status, refused["code"]) == (403, "queue.not_member")
    for path in ("replies", "requester"):
        assert (await member("GET", f"/tickets/{made['id']}/{path}")).status == 200
        assert (await outsider("GET", f"/tickets/{made['id']}/{path}")).status == 404
    for action, body in (("claim", {}), ("assign", {"user_id": None}), ("move", {"status": "open"})):
        assert (await act(outsider, made, action, **body)).status == 404, action
    assert (await act(outsider, made, "replies", text="x")).status == 404
    # Who sees everything but changes nothing is told so.
    reads = Rights((*AGENT.permissions, "support.*:read"), support.people.executive.role.scopes)
    for action, body in (("claim", {}), ("assign", {"user_id": None}), ("move", {"status": "open"})):
        answer = await act(support.caller(support.people.stranger, rights=reads), made, action, **body)
        assert (answer.status, answer["code"]) == (403, "scope.record"), action
    assert (await act(member, made, "move", status="pending")).status == 200


@pytest.mark.requirement("SU-3")
async def test_a_members_rights_end_when_somebody_takes_the_ticket(
    support: Running, admin: Caller, agent: Caller, southern: Caller
) -> None:
    made = await make_ticket(admin)
    taken = await act(southern, made, "claim")
    assert (taken["status"], taken["owner_id"]) == ("open", str(support.people.stranger.id))
    assert (await act(southern, made, "claim"))["version"] == 2
    assert await ids_of(agent, f"/queues/{(await general(agent))['id']}/tickets") == []
    for path in ("replies", "requester"):
        assert (await agent("GET", f"/tickets/{made['id']}/{path}")).status == 404
    assert (await act(agent, made, "move", status="pending")).status == 404
    late = await act(agent, made, "claim")
    assert (late.status, late["code"]) == (409, "ticket.already_assigned")
    (event,) = await support.events("%assigned%", made["id"])
    told = TicketAssigned.model_validate(event["data"])
    assert (told.from_user_id, told.to_user_id, told.from_queue, told.to_queue) == (
        None,
        support.people.stranger.id,
        "general",
        "general",
    )


@pytest.mark.requirement("SU-3", "PL-30")
async def test_a_late_claim_learns_only_of_what_waited_in_ones_queue(
    support: Running, admin: Caller, agent: Caller, southern: Caller
) -> None:
    people = support.people
    await make_queue(admin, "second", people.stranger)
    # Both tickets name the queue that all are members of; neither waited in it.
    given = await make_ticket(admin, owner_id=str(people.executive.id))
    waited = await make_ticket(admin, queue="second")
    taken = await act(admin, waited, "claim")
    assert (taken["queue"], taken["taken_from"]) == ("second", "second")
    moved = await act(admin, waited, "assign", user_id=str(people.administrator.id), queue="general")
    assert (moved["queue"], moved["taken_from"]) == ("general", "second")
    for ticket in (given, waited):
        assert ticket["taken_from"] is None
        assert (await act(agent, ticket, "claim")).status == 404
    late = await act(southern, waited, "claim")
    assert (late.status, late["code"]) == (409, "ticket.already_assigned")
    assert (await act(southern, given, "claim")).status == 404
    # What was transferred out of a queue was taken from it, too.
    path = f"/tickets/{(await make_ticket(admin))['id']}/transfer"
    assert (await admin.done("POST", path, json={"to_user_id": str(people.executive.id)}))["taken_from"] == "general"


@pytest.mark.requirement("SU-3")
async def test_what_waits_is_neither_solved_nor_closed_before_somebody_takes_it(
    support: Running, admin: Caller, agent: Caller
) -> None:
    made = await make_ticket(admin)
    # Not even by who sees everything: it would be in no queue, and nobody's.
    for caller in (agent, admin):
        refused = await act(caller, made, "move", status="solved")
        assert (refused.status, refused["code"]) == (409, "ticket.not_assigned")
    assert (await act(agent, made, "move", status="closed"))["code"] == "ticket.move_not_allowed"
    assert await ids_of(agent, f"/queues/{(await general(agent))['id']}/tickets") == [made["id"]]
    await act(agent, made, "claim")
    assert (await act(agent, made, "move", status="solved")).status == 200
    assert await ids_of(agent) == [made["id"]]
    # What is over stays somebody's; it may be another's.
    back = await act(agent, made, "assign", user_id=None)
    assert (back.status, back["code"]) == (409, "ticket.not_assigned")
    await act(agent, made, "move", status="closed")
    assert (await act(agent, made, "assign", user_id=None))["code"] == "ticket.not_assigned"
    assert (await act(agent, made, "assign", user_id=str(support.people.colleague.id))).status == 200
    late = await act(agent, made, "claim")
    assert (late.status, late["code"]) == (409, "ticket.closed")


@pytest.mark.requirement("SU-3", "PL-30")
async def test_a_queues_members_have_no_rights_over_what_is_over(
    support: Running, admin: Caller, agent: Caller
) -> None:
    made = await make_ticket(admin)
    # No request makes it so; a row of before, or of a repair, may be.
    async with support.database.write(WriteContext(now=support.clock.now())) as session:
        await session.connection.execute("UPDATE ticket SET status = 'solved' WHERE id = $1", made["id"])
    assert await ids_of(agent, f"/queues/{(await general(agent))['id']}/tickets") == []
    for path in ("replies", "requester"):
        assert (await agent("GET", f"/tickets/{made['id']}/{path}")).status == 404
    for action, body in (("claim", {}), ("move", {"status": "open"}), ("replies", {"text": "x"})):
        assert (await act(agent, made, action, **body)).status == 404, action


@pytest.mark.requirement("SU-3", "PL-23")
async def test_the_history_says_why(support: Running, admin: Caller, agent: Caller) -> None:
    made = await make_ticket(admin)
    await act(agent, made, "assign", user_id=str(support.people.agent.id), reason="knows it")
    await act(agent, made, "move", status="pending", reason="waits for a part")
    await act(agent, made, "move", status="open")
    entries = (await agent.done("GET", f"/tickets/{made['id']}/history"))["items"]
    assert [(one["fact"], one["reason"]) for one in entries] == [
        ("moved", None),
        ("moved", "waits for a part"),
        ("assigned", "knows it"),
        ("created", None),
    ]


@pytest.mark.requirement("SU-3", "PL-30")
async def test_who_reads_no_tickets_learns_nothing_by_claiming_their_own(support: Running, admin: Caller) -> None:
    made = await make_ticket(admin, owner_id=str(support.people.agent.id))
    blind = Rights(("support.ticket:claim",), {})
    assert (await act(support.caller(support.people.agent, rights=blind), made, "claim")).status == 404


@pytest.mark.requirement("SU-3", "PL-7")
async def test_of_many_who_claim_at_once_one_gets_it(
    support: Running, admin: Caller, agent: Caller, southern: Caller
) -> None:
    made = await make_ticket(admin)
    others = [support.caller(person, rights=AGENT) for person in (support.people.rep, support.people.colleague)]
    answers = await asyncio.gather(*(act(caller, made, "claim") for caller in (agent, southern, *others)))
    assert sorted(answer.status for answer in answers) == [200, 409, 409, 409]
    assert len(await support.events("%assigned%", made["id"])) == 1


@pytest.mark.requirement("SU-3")
async def test_assigned_within_the_scope_given_back_and_sent_to_another_queue(
    support: Running, admin: Caller, agent: Caller
) -> None:
    people = support.people
    second = await make_queue(admin, "second")
    made = await make_ticket(admin)
    given = await act(agent, made, "assign", user_id=str(people.colleague.id), reason="knows it")
    assert (given["owner_id"], given["status"], given["queue"]) == (str(people.colleague.id), "open", "general")
    assert (await act(agent, made, "assign", user_id=str(people.colleague.id)))["version"] == 2
    refused = await act(agent, made, "assign", user_id=str(people.stranger.id))
    assert (refused.status, refused["code"]) == (403, "scope.target_out_of_scope")
    refused = await act(agent, made, "assign", user_id=str(people.leaver.id))
    assert (refused.status, refused.codes[0][0]) == (422, "/user_id")
    refused = await act(agent, made, "assign", user_id=None, queue="nowhere")
    assert (refused.status, refused.codes) == (422, [("/queue", "queue.unknown")])
    back = await act(agent, made, "assign", user_id=None, queue="second", reason="hardware")
    assert (back["owner_id"], back["queue"], back["status"]) == (None, "second", "open")
    # Nobody is a member there: only who sees everything still does.
    assert (await agent("GET", f"/tickets/{made['id']}/replies")).status == 404
    assert await ids_of(admin) == [made["id"]]
    await admin.done("PATCH", f"/queues/{second}", json={"member_department_ids": [str(people.north)]})
    assert await ids_of(agent, f"/queues/{second}/tickets") == [made["id"]]
    told = [TicketAssigned.model_validate(event["data"]) for event in await support.events("%assigned%")]
    assert [(one.from_user_id, one.to_user_id, one.to_queue, one.reason) for one in told] == [
        (None, people.colleague.id, "general", "knows it"),
        (people.colleague.id, None, "second", "hardware"),
    ]


@pytest.mark.requirement("SU-3", "PL-21")
async def test_a_new_owners_membership_does_not_outlast_the_ownership(support: Running, admin: Caller) -> None:
    people = support.people
    made = await make_ticket(admin, owner_id=str(people.agent.id))
    await admin.done("PUT", f"/tickets/{made['id']}/members/{people.stranger.id}", json={"right": "write"})
    await admin.done("POST", f"/tickets/{made['id']}/assign", json={"user_id": str(people.stranger.id)})
    await admin.done("POST", f"/tickets/{made['id']}/assign", json={"user_id": str(people.agent.id)})
    stranger = support.caller(people.stranger, rights=AGENT)
    assert (await stranger("GET", f"/tickets/{made['id']}")).status == 404
    told = [TicketAssigned.model_validate(event["data"]) for event in await support.events("%assigned%")]
    assert [one.access.members for one in told if one.access] == [[], []]


@pytest.mark.requirement("SU-3", "PL-22")
async def test_a_new_ticket_that_is_transferred_is_open(support: Running, admin: Caller) -> None:
    made = await make_ticket(admin)
    path = f"/tickets/{made['id']}/transfer"
    given = await admin.done("POST", path, json={"to_user_id": str(support.people.agent.id)})
    assert (given["status"], given["owner_id"]) == ("open", str(support.people.agent.id))


@pytest.mark.requirement("SU-3", "PL-21")
async def test_who_only_shares_in_a_ticket_assigns_it_to_nobody(support: Running, admin: Caller) -> None:
    made = await make_ticket(admin, owner_id=str(support.people.agent.id))
    await admin.done("PUT", f"/tickets/{made['id']}/members/{support.people.stranger.id}", json={"right": "write"})
    stranger = support.caller(support.people.stranger, rights=AGENT)
    assert (await act(stranger, made, "move", status="pending")).status == 200
    refused = await act(stranger, made, "assign", user_id=str(support.people.stranger.id))
    assert (refused.status, refused["code"]) == (403, "scope.record")


async def test_without_the_permission_to_see_queues_nobody_is_a_member(support: Running, admin: Caller) -> None:
    made = await make_ticket(admin)
    permissions = tuple(one for one in AGENT.permissions if one != "support.queue:read")
    caller = support.caller(support.people.agent, rights=Rights(permissions, AGENT.scopes))
    assert (await act(caller, made, "claim")).status == 404
    assert (await support.caller(support.people.rep)("POST", f"/tickets/{made['id']}/claim")).status == 403

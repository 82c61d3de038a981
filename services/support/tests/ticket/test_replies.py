"""Replies: what they do to the ticket, who reads them, what the events tell (SU-2)."""

import asyncio
import datetime as dt

import pytest
from services.support.tests.conftest import AGENT, act, make_ticket

from crm_contracts.support import TicketReplied
from crm_testing.service import Caller, Running


@pytest.mark.requirement("SU-2")
async def test_the_first_public_reply_of_staff_opens_a_new_ticket(
    support: Running, admin: Caller, agent: Caller
) -> None:
    made = await make_ticket(admin)
    noted = await act(agent, made, "replies", text="Known fault", visibility="internal")
    assert (noted.status, noted["position"], noted["author_id"]) == (201, 1, str(support.people.agent.id))
    kept = await admin.done("GET", f"/tickets/{made['id']}")
    assert (kept["status"], kept["first_response_at"], kept["version"]) == ("new", None, 2)
    answered = await act(agent, made, "replies", text=" Try again \n")
    assert (answered["text"], answered["author"], answered["visibility"]) == ("Try again", "staff", "public")
    kept = await admin.done("GET", f"/tickets/{made['id']}")
    assert (kept["status"], kept["first_response_at"]) == ("open", "2026-11-23T03:00:00Z")
    assert answered.headers["etag"] == f'"{kept["version"]}"'


@pytest.mark.requirement("SU-2")
@pytest.mark.parametrize("status", ["pending", "solved"])
async def test_a_requesters_reply_opens_the_ticket_again(support: Running, admin: Caller, status: str) -> None:
    made = await make_ticket(admin, owner_id=str(support.people.administrator.id))
    assert (await act(admin, made, "move", status=status)).status == 200
    assert (await act(admin, made, "replies", text="Still broken", author="requester")).status == 201
    kept = await admin.done("GET", f"/tickets/{made['id']}")
    assert (kept["status"], kept["solved_at"], kept["first_response_at"]) == ("open", None, None)
    (event,) = await support.events("%replied%")
    told = TicketReplied.model_validate(event["data"])
    assert (told.author, told.text, told.changes["status"].new) == ("requester", "Still broken", "open")


@pytest.mark.requirement("SU-2")
async def test_what_was_solved_long_ago_or_is_closed_is_not_answered(support: Running, admin: Caller) -> None:
    made = await make_ticket(admin, owner_id=str(support.people.administrator.id))
    await act(admin, made, "move", status="solved")
    support.clock.advance(dt.timedelta(days=31))
    admin = support.caller(support.people.administrator)
    refused = await act(admin, made, "replies", text="Again", author="requester")
    assert (refused.status, refused["code"]) == (409, "ticket.reopen_too_late")
    await act(admin, made, "move", status="closed")
    for author in ("staff", "requester"):
        refused = await act(admin, made, "replies", text="Again", author=author)
        assert (refused.status, refused["code"]) == (409, "ticket.closed")
    assert (await act(admin, made, "replies", text="See the other", visibility="internal")).status == 201
    assert [one["text"] for one in (await admin.done("GET", f"/tickets/{made['id']}/replies"))["items"]] == [
        "See the other"
    ]


@pytest.mark.requirement("SU-2")
async def test_internal_text_stays_inside(support: Running, admin: Caller) -> None:
    made = await make_ticket(admin)
    secret = "그들은 화가 났다 (secret)"
    await act(admin, made, "replies", text=secret, visibility="internal")
    await act(admin, made, "replies", text="We are looking into it")
    internal, public = await support.events("%replied%")
    told = TicketReplied.model_validate(internal["data"])
    assert (told.visibility, told.text, told.length) == ("internal", None, len(secret))
    assert TicketReplied.model_validate(public["data"]).text == "We are looking into it"
    everything = await support.rows("SELECT data::text AS told FROM journal WHERE subject = $1", made["id"])
    assert not [row for row in everything if "secret" in row["told"]]
    assert "secret" not in str(await admin.done("GET", f"/tickets/{made['id']}/history"))


@pytest.mark.requirement("SU-2", "PL-30")
async def test_replies_are_read_by_whom_the_ticket_is_seen_by_page_by_page(
    support: Running, admin: Caller, agent: Caller, southern: Caller
) -> None:
    made = await make_ticket(admin, owner_id=str(support.people.agent.id))
    for number in range(3):
        await act(agent, made, "replies", text=f"No {number}")
    path = f"/tickets/{made['id']}/replies"
    first = await agent.done("GET", path, params={"limit": 2})
    rest = await agent.done("GET", path, params={"limit": 2, "cursor": first["next"]})
    assert [one["text"] for one in first["items"] + rest["items"]] == ["No 0", "No 1", "No 2"]
    assert rest["next"] is None
    assert (await southern("GET", path)).status == 404
    assert (await southern("POST", path, json={"text": "x"})).status == 404
    # Another ticket's cursor opens nothing.
    other = await make_ticket(admin, owner_id=str(support.people.agent.id))
    crossed = await agent("GET", f"/tickets/{other['id']}/replies", params={"cursor": first["next"]})
    assert (crossed.status, crossed["code"]) == (422, "cursor.invalid")
    # Who may only read, writes nothing.
    shared = {"right": "read"}
    await admin.done("PUT", f"/tickets/{made['id']}/members/{support.people.stranger.id}", json=shared)
    reader = support.caller(support.people.stranger, rights=AGENT)
    assert len((await reader.done("GET", path))["items"]) == 3
    refused = await reader("POST", path, json={"text": "x"})
    assert (refused.status, refused["code"]) == (403, "scope.record")


@pytest.mark.requirement("SU-2")
async def test_what_is_no_reply_is_refused_and_leaves_nothing(support: Running, admin: Caller) -> None:
    made = await make_ticket(admin)
    bodies = [
        ({}, "/text"),
        ({"text": " "}, "/text"),
        ({"text": 1}, "/text"),
        ({"text": "x" * 20_001}, "/text"),
        ({"text": "x", "visibility": "secret"}, "/visibility"),
        ({"text": "x", "author": "robot"}, "/author"),
        ({"text": "x", "author": "requester", "visibility": "internal"}, "/visibility"),
        ({"text": "x", "more": 1}, "/more"),
    ]
    for body, pointer in bodies:
        refused = await act(admin, made, "replies", **body)
        assert (refused.status, refused.codes[0][0]) == (422, pointer), body
    assert await support.rows("SELECT * FROM reply") == []
    assert await support.events("%replied%") == []


@pytest.mark.requirement("SU-2", "PL-7")
async def test_replies_at_once_are_all_kept_in_order(support: Running, admin: Caller) -> None:
    made = await make_ticket(admin)
    answers = await asyncio.gather(*(act(admin, made, "replies", text=f"No {n}") for n in range(6)))
    assert sorted(answer["position"] for answer in answers) == [1, 2, 3, 4, 5, 6]
    versions = [event["version"] for event in await support.events("%replied%")]
    assert versions == [2, 3, 4, 5, 6, 7]


@pytest.mark.requirement("PL-7")
async def test_the_same_reply_sent_again_under_its_key_is_one(support: Running, admin: Caller) -> None:
    made = await make_ticket(admin)
    headers = {"idempotency-key": "11111111-2222-4333-8444-555555555555"}
    path = f"/tickets/{made['id']}/replies"
    first, second = [await admin("POST", path, json={"text": "Once"}, headers=headers) for _ in range(2)]
    assert (first.status, second.status, first["id"]) == (201, 201, second["id"])
    assert len(await support.events("%replied%")) == 1

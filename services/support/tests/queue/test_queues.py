"""Queues: set up, changed, their members (SU-3)."""

import datetime as dt
import uuid

import pytest
from services.support.tests.conftest import AGENT, general, ids_of, make_ticket

from crm_contracts.support import QueueChanged
from crm_support.queue.rules import Queue
from crm_testing.service import Caller, Rights, Running


def test_members_are_named_or_in_a_department_that_is_or_below_one() -> None:
    me, top, below = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()

    def queue(**members: object) -> Queue:
        given: dict[str, object] = {
            "member_user_ids": frozenset(),
            "member_department_ids": frozenset(),
            "open_to_all": False,
        }
        return Queue(uuid.uuid4(), "q", **{**given, **members})  # type: ignore[arg-type]

    assert not queue().has_member(me, [top, below])
    assert queue(open_to_all=True).has_member(me, [])
    assert queue(member_user_ids=frozenset({me})).has_member(me, [])
    assert queue(member_department_ids=frozenset({top})).has_member(me, [top, below])
    assert not queue(member_department_ids=frozenset({below})).has_member(me, [top])


@pytest.mark.requirement("SU-3")
async def test_queues_are_set_up_and_changed_by_who_may(support: Running, admin: Caller, agent: Caller) -> None:
    body = {"key": "hardware", "name": "Hardware"}
    assert (await agent("POST", "/queues", json=body)).status == 403
    made = await admin.done("POST", "/queues", json=body)
    assert (made["version"], made["member"], made["open_to_all"]) == (1, False, False)
    taken = await admin("POST", "/queues", json=body)
    assert (taken.status, taken["code"]) == (409, "queue.key_taken")
    path = f"/queues/{made['id']}"
    assert (await agent("PATCH", path, json={"open_to_all": True})).status == 403
    assert (await admin("PATCH", path, json={"key": "other"})).status == 422
    assert (await admin("PATCH", path, json={"name": "X"}, match='"9"')).status == 412
    changed = await admin.done("PATCH", path, json={"member_user_ids": [str(support.people.agent.id)]})
    assert (changed["version"], changed["name"]) == (2, "Hardware")
    assert (await admin.done("PATCH", path, json={"name": "Hardware"}))["version"] == 2
    assert (await agent.done("GET", path))["member"] is True
    (event,) = await support.events("%queue.changed%")
    assert QueueChanged.model_validate(event["data"]).state.member_user_ids == [support.people.agent.id]
    assert [one["key"] for one in (await agent.done("GET", "/queues"))["items"]] == ["general", "hardware"]
    assert (await agent("GET", f"/queues/{uuid.uuid4()}")).status == 404
    assert (await agent("GET", f"/queues/{uuid.uuid4()}/tickets")).status == 404
    for key in ("", "A", "a b", "-a", "x" * 41):
        assert (await admin("POST", "/queues", json={"key": key, "name": "X"})).status == 422


@pytest.mark.requirement("SU-6")
async def test_a_queue_shows_what_waits_oldest_first_page_by_page(
    support: Running, admin: Caller, agent: Caller
) -> None:
    made = [await make_ticket(admin, f"No {number}") for number in range(5)]
    await admin.done("POST", f"/tickets/{made[1]['id']}/claim")
    await admin.done("POST", f"/tickets/{made[1]['id']}/move", json={"status": "solved"})
    await admin.done("POST", f"/tickets/{made[2]['id']}/move", json={"status": "pending"})
    await admin.done("DELETE", f"/tickets/{made[3]['id']}")
    general = next(one for one in (await agent.done("GET", "/queues"))["items"])
    path = f"/queues/{general['id']}/tickets"
    waiting = [made[0]["id"], made[2]["id"], made[4]["id"]]
    assert await ids_of(agent, path) == waiting
    first = await agent.done("GET", path, params={"limit": 2})
    rest = await agent.done("GET", path, params={"limit": 2, "cursor": first["next"]})
    assert [one["id"] for one in first["items"] + rest["items"]] == waiting
    assert rest["next"] is None


@pytest.mark.requirement("SU-6")
async def test_what_waits_in_all_queues_of_mine_is_one_list_oldest_first(
    support: Running, admin: Caller, agent: Caller
) -> None:
    mine = {"member_user_ids": [str(support.people.agent.id)]}
    await admin.done("POST", "/queues", json={"key": "second", "name": "Second", **mine})
    await admin.done("POST", "/queues", json={"key": "theirs", "name": "Theirs"})
    keys = ("second", "general", "theirs", "second", "general")
    made = []
    for key in keys:
        made.append(await make_ticket(admin, f"In {key}", queue=key))
        support.clock.advance(dt.timedelta(seconds=1))
    agent = support.caller(support.people.agent)
    waiting = [one["id"] for one, key in zip(made, keys, strict=True) if key != "theirs"]
    path = "/queues/mine/tickets"
    assert await ids_of(agent, path) == waiting
    first = await agent.done("GET", path, params={"limit": 3})
    rest = await agent.done("GET", path, params={"limit": 3, "cursor": first["next"]})
    assert [one["id"] for one in first["items"] + rest["items"]] == waiting
    assert rest["next"] is None
    # Its cursor is not one of a queue's, and who is a member of none has nothing.
    crossed = await agent("GET", f"/queues/{(await general(agent))['id']}/tickets", params={"cursor": first["next"]})
    assert (crossed.status, crossed["code"]) == (422, "cursor.invalid")
    blind = tuple(one for one in AGENT.permissions if one != "support.queue:read")
    assert await ids_of(support.caller(support.people.agent, rights=Rights(blind, AGENT.scopes)), path) == []

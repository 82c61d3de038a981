"""The feed: to each what is theirs to read now, in one order, without missing any."""

import asyncio
import datetime as dt
from typing import Any

import orjson
import pytest
from services.analytics.tests.conftest import _context
from services.analytics.tests.history import Record
from services.analytics.tests.stories import AUDIT, Story, feed, hear_new

from crm_analytics.feed import store, streaming
from crm_authz import Rule, apply_state
from crm_contracts import identity, registry
from crm_kernel import new_id
from crm_testing.service import Caller, Rights, Running

FEED, STREAM = "/api/events/v1/feed", "/api/events/v1/feed/stream"


def _ids(items: list[dict[str, Any]]) -> list[str]:
    return [item["id"] for item in items]


@pytest.mark.requirement("PL-43", "PL-30")
async def test_each_hears_of_the_records_they_may_read_now_and_of_no_others(service: Running) -> None:
    people, story = service.people, Story(service.clock)
    pipeline = story.pipeline("Sales", "First")
    mine, other, nobodys = (story.deal(owner, pipeline) for owner in (people.rep.id, people.stranger.id, None))
    deleted = story.deal(people.rep.id, pipeline)
    story.delete(deleted)
    await hear_new(service, story)
    told = {
        record.id: [str(one.id) for one in story.told if one.subject == record.id]
        for record in (pipeline, mine, other, nobodys, deleted)
    }
    deals = "crm.sales.opportunity.*"
    assert _ids(await feed(service.caller(people.rep), types=deals)) == told[mine.id] + told[deleted.id]
    assert _ids(await feed(service.caller(people.manager), types=deals)) == told[mine.id] + told[deleted.id]
    assert _ids(await feed(service.caller(people.stranger), types=deals)) == told[other.id]
    everything = [*told[mine.id], *told[other.id], *told[nobodys.id], *told[deleted.id]]
    assert _ids(await feed(service.caller(people.executive), types=deals)) == everything
    # Support agents may not read opportunities; whoever has no permission for the feed is refused.
    assert await feed(service.caller(people.agent)) == []
    refused = await service.caller(people.general)("GET", FEED)
    assert (refused.status, refused["permission"]) == (403, "analytics.feed:read")
    assert _ids(await feed(service.caller(people.rep), types="crm.sales.pipeline.*")) == told[pipeline.id]


@pytest.mark.requirement("PL-43", "PL-22", "PL-21")
async def test_who_gets_a_record_hears_its_past_from_the_start_only_and_who_loses_it_hears_no_more(
    service: Running,
) -> None:
    people, story = service.people, Story(service.clock)
    rep, stranger = service.caller(people.rep), service.caller(people.stranger)
    deal = story.deal(people.rep.id, story.pipeline("Sales", "First"))
    heard = await hear_new(service, story)
    types = {"types": "crm.sales.opportunity.*"}
    before = await rep.done("GET", FEED, params=types)
    ahead = await stranger.done("GET", FEED, params=types)
    assert (len(before["items"]), ahead["items"]) == (1, [])
    story.transfer(deal, people.stranger.id)
    heard = await hear_new(service, story, heard)
    assert (await rep.done("GET", FEED, params={**types, "after": before["cursor"]}))["items"] == []
    assert [one["data"]["version"] for one in await feed(stranger, **types)] == [1, 2]
    follows = await stranger.done("GET", FEED, params={**types, "after": ahead["cursor"]})
    assert [one["data"]["version"] for one in follows["items"]] == [2]
    until = service.clock.now() + dt.timedelta(hours=1)
    story.share(deal, (people.rep.id, "read", until))
    await hear_new(service, story, heard)
    assert [one["data"]["version"] for one in await feed(rep, **types)] == [1, 2, 3]
    service.clock.advance(dt.timedelta(hours=1))
    assert await feed(service.caller(people.rep), **types) == []


@pytest.mark.requirement("PL-43", "ID-10")
async def test_people_rights_and_operators_acts_are_told_to_those_alone_who_reach_the_whole_log(
    service: Running,
) -> None:
    people, story = service.people, Story(service.clock)
    for name in ("crm.identity.session.ended.v1", "crm.customers.operation.performed.v1"):
        record = Record(new_id(), name.rsplit(".", 2)[0], dict(registry.examples[name]["state"]))
        story.tell(record, name.split(".")[3])
    await hear_new(service, story)
    told = await feed(service.caller(people.executive, rights=AUDIT))
    assert sorted(_ids(told)) == sorted(str(one.id) for one in story.told)
    narrow = Rights(("analytics.*:read", "identity.*:read", "customers.*:read"), {"*": {"*": Rule("department_tree")}})
    assert await feed(service.caller(people.executive, rights=narrow)) == []
    unpermitted = Rights(("analytics.feed:read", "identity.*:read", "customers.*:read"), {"*": {"*": Rule("all")}})
    assert await feed(service.caller(people.executive, rights=unpermitted)) == []


@pytest.mark.requirement("PL-43")
async def test_an_approval_is_told_to_those_named_in_it_alone(service: Running) -> None:
    people, story = service.people, Story(service.clock)
    story.approval(people.rep.id, people.manager.id)
    await hear_new(service, story)
    for person, count in ((people.rep, 1), (people.manager, 1), (people.executive, 0), (people.stranger, 0)):
        assert len(await feed(service.caller(person), types="crm.billing.approval.*")) == count, person


@pytest.mark.requirement("PL-43")
async def test_an_item_is_a_cloud_event(service: Running) -> None:
    story = Story(service.clock)
    story.customer(service.people.rep.id)
    await hear_new(service, story)
    (item,) = await feed(service.caller(service.people.rep))
    told = story.told[0]
    assert item == {
        "specversion": "1.0",
        "id": str(told.id),
        "type": "crm.customers.customer.created.v1",
        "source": "/crm/customers",
        "subject": str(told.subject),
        "time": told.time.isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "position": 1,
        "data": orjson.loads(told.data),
    }


@pytest.mark.requirement("PL-43", "PL-4")
async def test_a_question_looks_at_a_bounded_part_and_says_that_there_is_more(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    people, story = service.people, Story(service.clock)
    monkeypatch.setattr(store.window, "__defaults__", (3,))
    for owner in [people.stranger.id] * 7 + [people.rep.id]:
        story.customer(owner)
    await hear_new(service, story)
    rep = service.caller(people.rep)
    page = await rep.done("GET", FEED)
    assert (page["items"], page["more"]) == ([], True)
    page = await rep.done("GET", FEED, params={"after": page["cursor"]})
    assert (page["items"], page["more"]) == ([], True)
    page = await rep.done("GET", FEED, params={"after": page["cursor"]})
    assert (_ids(page["items"]), page["more"]) == ([str(story.told[-1].id)], False)
    # Pages smaller than the part: none is left out.
    stranger = service.caller(people.stranger)
    assert _ids(await feed(stranger, limit=2)) == [str(one.id) for one in story.told[:7]]


async def test_following_from_now_on_tells_what_comes_later_only(service: Running) -> None:
    people, story = service.people, Story(service.clock)
    rep = service.caller(people.rep)
    story.customer(people.rep.id)
    heard = await hear_new(service, story)
    page = await rep.done("GET", FEED, params={"start": "now"})
    assert (page["items"], page["more"]) == ([], False)
    story.customer(people.rep.id)
    await hear_new(service, story, heard)
    page = await rep.done("GET", FEED, params={"after": page["cursor"]})
    assert _ids(page["items"]) == [str(story.told[1].id)]


async def test_a_cursor_is_good_for_its_holder_and_types_only(service: Running) -> None:
    people, story = service.people, Story(service.clock)
    story.customer(people.rep.id)
    await hear_new(service, story)
    rep = service.caller(people.rep)
    cursor = (await rep.done("GET", FEED))["cursor"]
    for caller, params in (
        (service.caller(people.colleague), {}),
        (rep, {"types": "crm.customers.*"}),
        (rep, {"after": "nonsense"}),
    ):
        refused = await caller("GET", FEED, params={"after": cursor, **params})
        assert (refused.status, refused["code"]) == (422, "cursor.invalid")


@pytest.mark.parametrize(
    "types", ["crm.sales.opportunity.wno.v1", "crm.nothing.*", "crm.sales.opp*", "%", "", "crm..v1", "x" * 300]
)
async def test_types_that_no_event_has_are_refused(service: Running, types: str) -> None:
    refused = await service.caller(service.people.rep)("GET", FEED, params={"types": types})
    assert (refused.status, refused.codes) == (422, [("query:types", "events.type_unknown")])


async def test_more_types_than_fifty_are_refused(service: Running) -> None:
    refused = await service.caller(service.people.rep)("GET", FEED, params={"types": ",".join(["crm.*"] * 51)})
    assert (refused.status, refused.codes) == (422, [("query:types", "events.too_many_types")])


# -- the stream --------------------------------------------------------------------------------------------------------


async def _stream(service: Running, caller: Caller, **params: Any) -> Any:
    """The stream's chunks, as the handler makes them: the test client would collect them all first."""
    from crm_analytics.feed import routes

    captured: dict[str, Any] = {}
    original = streaming.follow

    def follow(unit: Any, *rest: Any) -> Any:
        captured["stream"] = original(unit, *rest)
        return _ended(captured["stream"])

    def _ended(stream: Any) -> Any:
        async def nothing() -> Any:
            return
            yield b""

        return type(stream)(nothing(), stream.media_type, headers=stream.headers)

    headers = params.pop("headers", {})
    with pytest.MonkeyPatch.context() as patching:
        patching.setattr(routes, "follow", follow)
        answer = await service.client.get(
            STREAM, params=params, headers={"authorization": f"Bearer {caller.token}", **headers}
        )
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    return captured["stream"].chunks


def _event(chunk: bytes) -> tuple[str, dict[str, Any]]:
    lines = dict(line.split(": ", 1) for line in chunk.decode().strip().split("\n"))
    assert lines["event"] == "event"
    return lines["id"], orjson.loads(lines["data"])


@pytest.mark.requirement("PL-43")
async def test_the_stream_tells_what_comes_and_resumes_where_it_was_left(service: Running) -> None:
    people, story = service.people, Story(service.clock)
    rep = service.caller(people.rep)
    story.customer(people.rep.id)
    heard = await hear_new(service, story)
    chunks = await _stream(service, rep)
    async with asyncio.timeout(10):
        place, first = _event(await anext(chunks))
        coming = asyncio.ensure_future(anext(chunks))
        story.customer(people.stranger.id)
        story.customer(people.rep.id)
        await hear_new(service, story, heard)
        _, second = _event(await coming)
    assert [first["id"], second["id"]] == [str(story.told[0].id), str(story.told[2].id)]
    resumed = await _stream(service, rep, headers={"last-event-id": place})
    async with asyncio.timeout(10):
        assert _event(await anext(resumed))[1] == second
    # A cursor of the stream is one of the feed.
    page = await rep.done("GET", FEED, params={"after": place})
    assert _ids(page["items"]) == [second["id"]]


@pytest.mark.requirement("PL-43", "ID-24")
async def test_the_stream_ends_when_the_token_would_not_be_taken_any_more(service: Running) -> None:
    people = service.people
    chunks = await _stream(service, service.caller(people.rep))
    async with service.database.write(_context()) as session:
        state = identity.UserState(name="Kim", status="dismissed", department_id=people.north, role_ids=[], epoch=2)
        await apply_state(session, identity.USER_TOPIC.name, people.rep.id, 2, state)
    with pytest.raises(StopAsyncIteration):
        async with asyncio.timeout(10):
            await anext(chunks)


async def test_a_quiet_stream_says_where_it_is(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    people, story = service.people, Story(service.clock)
    monkeypatch.setattr(streaming, "KEEP_ALIVE", 0.0)
    story.customer(people.stranger.id)
    await hear_new(service, story)
    rep = service.caller(people.rep)
    chunks = await _stream(service, rep)
    async with asyncio.timeout(10):
        chunk = (await anext(chunks)).decode()
    assert chunk.startswith("id: ")
    assert chunk.endswith(": still there\n\n")
    place = chunk.split("\n")[0].removeprefix("id: ")
    assert (await rep.done("GET", FEED, params={"after": place}))["items"] == []

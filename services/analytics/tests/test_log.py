"""The log: every event once, in an order that readers can rely on, for those who may see everything."""

import asyncio
import datetime as dt
import random
import uuid
from typing import Any

import asyncpg
import pytest

from crm_authz import Rule

from .company import Company
from .conftest import Analytics, _context
from .history import data_of

READ = ("analytics.event:read",)


async def _auditor(analytics: Analytics) -> str:
    user, department = uuid.uuid4(), uuid.uuid4()
    await analytics.organise({user: department}, {department: None}, {})
    return analytics.token(user, permissions=READ)


async def _all(analytics: Analytics, token: str, **query: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    cursor = None
    while True:
        answer = await analytics.ask("/events", token, cursor=cursor, **query)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        items += page["items"]
        cursor = page["next"]
        if cursor is None:
            return items


@pytest.mark.requirement("AN-13", "PL-44")
async def test_the_log_holds_every_event_once_and_whole(analytics: Analytics) -> None:
    told = Company(1).live(60).history.told
    chance = random.Random(1)
    for start in range(0, len(told), 13):
        await analytics.hear_log(told[start : start + 13])
        await analytics.hear_log(chance.sample(told[: start + 13], 10))
    items = await _all(analytics, await _auditor(analytics), limit=17)
    assert [item["id"] for item in items] == [str(e.id) for e in told]
    positions = [item["position"] for item in items]
    assert positions == sorted(set(positions))
    for item, envelope in zip(items, told, strict=True):
        data = data_of(envelope)
        assert item["data"] == data
        assert (item["type"], item["topic"], item["subject"]) == (envelope.type, envelope.topic, str(envelope.subject))
        assert (item["version"], item["actor_id"]) == (data["version"], data["actor"]["id"])
        assert dt.datetime.fromisoformat(item["time"]) == envelope.time
        assert dt.datetime.fromisoformat(item["occurred_at"]) == dt.datetime.fromisoformat(data["occurred_at"])


@pytest.mark.requirement("AN-13")
async def test_filters_by_type_record_actor_and_time(analytics: Analytics) -> None:
    company = Company(2).live(120)
    told = company.history.told
    await analytics.hear_log(told)
    token = await _auditor(analytics)
    middle, later = told[len(told) // 3].time, told[2 * len(told) // 3].time
    subject, user = company.deals[0].id, company.users[1]
    won = "crm.sales.opportunity.won.v1"
    for query, keeps in (
        ({"type": won}, lambda e: e.type == won),
        ({"subject": subject}, lambda e: e.subject == subject),
        ({"actor": user}, lambda e: data_of(e)["actor"]["id"] == str(user)),
        (
            {"recorded_from": middle.isoformat(), "recorded_before": later.isoformat()},
            lambda e: middle <= e.time < later,
        ),
        ({"type": won, "actor": user}, lambda e: e.type == won and data_of(e)["actor"]["id"] == str(user)),
        ({"type": "crm.nothing"}, lambda e: False),
    ):
        items = await _all(analytics, token, limit=7, **query)
        assert [item["id"] for item in items] == [str(e.id) for e in told if keeps(e)], query


@pytest.mark.requirement("AN-13")
async def test_a_follower_sees_each_event_once_while_others_append_at_the_same_time(analytics: Analytics) -> None:
    """Two consumers append at once; the earlier one commits later. A follower must neither miss nor repeat an event."""
    told = Company(3).live(140).history.told
    token = await _auditor(analytics)
    # Of different partitions: those of one are read in turn anyway.
    first = [e for e in told if e.topic == "crm.customers.customer"]
    second = [e for e in told if e.topic == "crm.sales.opportunity"]
    assert min(len(first), len(second)) > 3
    entered, release = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        from crm_analytics.log import reactions

        async with analytics.database.write(_context()) as session:
            await reactions.keep(session, first)
            entered.set()
            await release.wait()

    seen: list[str] = []
    cursor: str | None = None

    async def look() -> None:
        nonlocal cursor
        page = (await analytics.ask("/events", token, cursor=cursor, limit=200)).json()
        seen.extend(item["id"] for item in page["items"])
        cursor = page["resume"]

    slowly = asyncio.create_task(slow())
    await asyncio.wait_for(entered.wait(), 10)
    quickly = asyncio.create_task(analytics.hear_log(second))
    await until_waiting_or_done(analytics, quickly)
    await look()
    release.set()
    await asyncio.wait_for(asyncio.gather(slowly, quickly), 10)
    await look()
    await look()
    assert sorted(seen) == sorted(str(e.id) for e in [*first, *second])


async def until_waiting_or_done(analytics: Analytics, task: "asyncio.Task[None]") -> None:
    """The second appender stands before the first one's lock, or, where there is none, is through."""
    connection = await asyncpg.connect(analytics.dsn)
    try:
        async with asyncio.timeout(10):
            while not task.done() and not await connection.fetchval(  # noqa: ASYNC110  (no event tells of it)
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            ):
                await asyncio.sleep(0.01)
    finally:
        await connection.close()


async def test_the_end_of_the_log_gives_a_cursor_to_come_back_with(analytics: Analytics) -> None:
    told = Company(4).live(30).history.told
    token = await _auditor(analytics)
    empty = (await analytics.ask("/events", token)).json()
    assert empty == {"items": [], "next": None, "resume": None}
    await analytics.hear_log(told[:20])
    page = (await analytics.ask("/events", token, limit=20)).json()
    assert (len(page["items"]), page["next"]) == (20, None)
    again = (await analytics.ask("/events", token, limit=20, cursor=page["resume"])).json()
    assert (again["items"], again["next"]) == ([], None)
    await analytics.hear_log(told[20:])
    page = (await analytics.ask("/events", token, limit=200, cursor=again["resume"])).json()
    assert [item["id"] for item in page["items"]] == [str(e.id) for e in told[20:]]


async def test_a_cursor_is_good_for_its_filter_and_holder_only(analytics: Analytics) -> None:
    await analytics.hear_log(Company(5).live(30).history.told)
    token = await _auditor(analytics)
    cursor = (await analytics.ask("/events", token, limit=1)).json()["next"]
    assert (await analytics.ask("/events", token, cursor=cursor)).status_code == 200
    for other, query in (
        (token, {"type": "crm.sales.opportunity.won.v1"}),
        (await _auditor(analytics), {}),
    ):
        answer = await analytics.ask("/events", other, cursor=cursor, **query)
        assert (answer.status_code, answer.json()["code"]) == (422, "cursor.invalid")
    assert (await analytics.ask("/events", token, cursor="nonsense")).status_code == 422


@pytest.mark.requirement("PL-30", "AN-13")
async def test_only_who_reaches_everything_reads_the_log(analytics: Analytics) -> None:
    await analytics.hear_log(Company(6).live(10).history.told)
    user, department = uuid.uuid4(), uuid.uuid4()
    await analytics.organise({user: department}, {department: None}, {})
    for rule in ("self", "peers", "subordinates", "department", "department_tree"):
        # A role that reads "all of analytics", but only its own records.
        token = analytics.token(user, Rule(rule), permissions=["analytics.*:read"])
        answer = await analytics.ask("/events", token)
        assert (answer.status_code, answer.json()["code"]) == (403, "events.everything_needed")
    token = analytics.token(user, permissions=["analytics.report:read"])
    answer = await analytics.ask("/events", token)
    assert (answer.status_code, answer.json()["permission"]) == (403, "analytics.event:read")


@pytest.mark.requirement("PL-3")
async def test_bad_filters_are_refused_with_a_pointer(analytics: Analytics) -> None:
    token = await _auditor(analytics)
    for query, pointer in (
        ({"subject": "x"}, "query:subject"),
        ({"recorded_from": "2017-01-01T00:00:00"}, "query:recorded_from"),
        ({"recorded_from": "2017-01-02T00:00:00Z", "recorded_before": "2017-01-01T00:00:00Z"}, "query:recorded_before"),
        ({"recorded_from": "0001-01-01T00:00:00+23:00"}, "query:recorded_from"),
        ({"recorded_before": "9999-12-31T23:59:59-23:00"}, "query:recorded_before"),
        ({"limit": 0}, "query:limit"),
        ({"limit": 201}, "query:limit"),
        ({"topic": "crm.sales"}, "query:topic"),
    ):
        answer = await analytics.ask("/events", token, **query)
        assert (answer.status_code, [e["pointer"] for e in answer.json()["errors"]]) == (422, [pointer]), query


async def test_an_event_that_can_not_be_kept_stops_its_batch_and_leaves_no_trace(analytics: Analytics) -> None:
    from dataclasses import replace

    told = Company(7).live(10).history.told
    with pytest.raises(asyncpg.PostgresError):
        await analytics.hear_log([told[0], replace(told[1], data=b"no json")])
    assert await _all(analytics, await _auditor(analytics)) == []

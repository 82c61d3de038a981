"""Whose each record is, beside the log: right whatever order events come in, and whoever put them there."""

import random
import uuid
from dataclasses import replace

import pytest
from services.analytics.tests.company import Company
from services.analytics.tests.conftest import Analytics, _context
from services.analytics.tests.history import History, data_of
from services.analytics.tests.stories import Story, feed, hear_new

from crm_analytics.access import store
from crm_analytics.access.catching_up import caught_up_more
from crm_analytics.log import reactions as log
from crm_analytics.log import store as log_store
from crm_contracts import Envelope
from crm_testing.service import Running

_ROWS = "SELECT record_id, version, owner_id, members FROM record_access"


async def _access(analytics: Analytics | Running) -> dict[uuid.UUID, tuple[int, uuid.UUID | None, int]]:
    async with analytics.database.read() as session:
        rows = await session.connection.fetch(_ROWS)
    return {row["record_id"]: (row["version"], row["owner_id"], len(row["members"])) for row in rows}


def _expected(told: list[Envelope]) -> dict[uuid.UUID, tuple[int, uuid.UUID | None, int]]:
    newest: dict[uuid.UUID, tuple[int, uuid.UUID | None, int]] = {}
    for envelope in told:
        data = data_of(envelope)
        if data.get("access") is None or data["version"] < newest.get(envelope.subject, (0,))[0]:
            continue
        owner = data["access"]["owner_id"]
        members = len(data["access"]["members"])
        newest[envelope.subject] = (data["version"], None if owner is None else uuid.UUID(owner), members)
    return newest


async def _positions(analytics: Analytics | Running) -> tuple[int, int]:
    async with analytics.database.read() as session:
        row = await session.connection.fetchrow(
            "SELECT (SELECT position FROM access_head) AS known, (SELECT position FROM log_head) AS head"
        )
    assert row is not None
    return row["known"], row["head"]


@pytest.mark.requirement("PL-43", "PL-30")
async def test_the_newest_event_says_whose_a_record_is_in_any_order_and_twice(analytics: Analytics) -> None:
    told = Company(41).live(120).history.told
    shuffled = random.Random(41).sample(told, len(told))
    for start in range(0, len(shuffled), 13):
        await analytics.hear_log(shuffled[start : start + 13])
    await analytics.hear_log(told[:30])
    assert await _access(analytics) == _expected(told)
    known, head = await _positions(analytics)
    assert known == head > 0


async def test_within_one_batch_the_newest_counts(analytics: Analytics) -> None:
    story = History(1)
    me, other = uuid.uuid4(), uuid.uuid4()
    customer = story.customer(me)
    story.transfer(customer, other)
    story.share(customer, (me, "read", None))
    await analytics.hear_log(list(reversed(story.told)))
    assert await _access(analytics) == {customer.id: (3, other, 1)}


async def _old_program(analytics: Analytics | Running, told: list[Envelope]) -> None:
    """What a program before this version does: it keeps the log alone."""
    async with analytics.database.write(_context()) as session:
        await log_store.append(session, told)


@pytest.mark.requirement("PL-43", "PL-47")
async def test_a_log_that_was_there_before_is_taken_in_and_told_only_then(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "CAUGHT_UP_AT_ONCE", 2)
    story = Story(service.clock)
    pipeline = story.pipeline("Sales", "First")
    deals = [story.deal(service.people.rep.id, pipeline) for _ in range(4)]
    await _old_program(service, story.told)
    rep = service.caller(service.people.rep)
    assert await feed(rep, types="crm.sales.opportunity.*") == [], "nobody knows yet whose they are"
    # The new program's own events come in behind; an old one goes on beside it.
    heard = len(story.told)
    deals.append(story.deal(service.people.rep.id, pipeline))
    await hear_new(service, story, heard)
    heard = len(story.told)
    deals.append(story.deal(service.people.rep.id, pipeline))
    await _old_program(service, story.told[heard:])
    rounds = 0
    while await caught_up_more(service.database, service.clock):
        rounds += 1
    assert rounds > 2
    assert await _access(service) == _expected(story.told)
    heard_of = await feed(rep, types="crm.sales.opportunity.*")
    assert [one["subject"] for one in heard_of] == [str(deal.id) for deal in deals]
    # From here on it needs no catching up.
    heard = len(story.told)
    story.transfer(deals[0], service.people.stranger.id)
    await hear_new(service, story, heard)
    known, head = await _positions(service)
    assert known == head


async def test_an_empty_log_needs_no_catching_up(service: Running) -> None:
    assert not await caught_up_more(service.database, service.clock)
    story = Story(service.clock)
    story.customer(service.people.rep.id)
    await hear_new(service, story)
    assert not await caught_up_more(service.database, service.clock)
    assert len(await feed(service.caller(service.people.rep))) == 1


async def test_what_is_told_again_fills_what_is_lacking_and_moves_nothing_back(service: Running) -> None:
    story = Story(service.clock)
    customer = story.customer(service.people.rep.id)
    story.transfer(customer, service.people.stranger.id)
    story.transfer(customer, service.people.colleague.id)
    await hear_new(service, story)
    async with service.database.write(_context()) as session:
        await session.connection.execute("DELETE FROM event_log WHERE version = 2")
        await session.connection.execute("DELETE FROM record_access")
    async with service.database.write(_context()) as session:
        await log.refill(session, [replace(one, sequence=0, stream="") for one in story.told])
    assert await _access(service) == {customer.id: (3, service.people.colleague.id, 0)}
    known, head = await _positions(service)
    assert known == head
    assert [one["data"]["version"] for one in await feed(service.caller(service.people.colleague))] == [1, 2, 3]

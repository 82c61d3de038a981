"""Sagas on a database: what was decided and what is told of it are one, whatever dies in between and whoever comes at once."""

import asyncio
import datetime as dt

import asyncpg
import pytest

from crm_kernel import NotFound, new_id
from crm_sagas import News, cancel_saga, deadlines, lock_saga, resume_saga, take_news
from crm_sagas.deadlines import LOOK_EVERY
from crm_sagas.rules import FIRST_PATIENCE, TRIES
from crm_sagas.tables import metadata
from crm_testing.declared import require_declared
from crm_testing.dying import How, killed_at

from .conftest import HOUSE, NOW, Moving


async def test_the_statements_make_the_declared_tables(moving_dsn: str) -> None:
    await require_declared(moving_dsn, metadata.sorted_tables)


async def test_a_saga_is_told_of_with_the_attempts_that_it_asks_for(moving: Moving) -> None:
    saga = await moving.start()
    await moving.news(saga, "van")
    await moving.news(saga, "lamp")
    await moving.news(saga, "key")
    assert await moving.told(saga) == [
        ("asked", 1, {"van": 1, "lamp": 1, "key": 0}),
        ("asked", 2, {"van": 1, "lamp": 1, "key": 1}),
        ("finished", 3, {"van": 1, "lamp": 1, "key": 1}),
    ]
    found = await moving.saga(saga)
    assert (found.state, found.ended_at, found.version) == ("succeeded", NOW, 3)
    assert {step.name: (step.state, dict(step.outcome)) for step in found.steps} == dict.fromkeys(
        ("van", "lamp", "key"), ("done", {"moved": 1})
    )


async def test_what_failed_is_resumed_and_what_runs_is_cancelled(moving: Moving) -> None:
    saga = await moving.start([("van", "lamp")])
    await moving.news(saga, "van", "failed")
    async with moving.write() as session:
        resumed = await resume_saga(session, HOUSE, await lock_saga(session, HOUSE, saga), {"to": "b"})
    assert resumed.data == {"to": "b"}
    async with moving.write() as session:
        await cancel_saga(session, HOUSE, await lock_saga(session, HOUSE, saga))
    assert [fact for fact, _, _ in await moving.told(saga)] == ["asked", "asked", "cancelled"]
    found = await moving.saga(saga)
    assert (found.state, found.data, {step.state for step in found.steps}) == ("cancelled", {"to": "b"}, {"cancelled"})


async def test_news_of_a_saga_that_nobody_knows_is_nobodys(moving: Moving) -> None:
    async with moving.write() as session:
        await take_news(session, HOUSE, new_id(), News("van", 1, 1, "done"))
    with pytest.raises(NotFound):
        await moving.saga(new_id())
    assert await moving.rows("SELECT * FROM journal") == []


async def test_one_saga_of_a_kind_is_open_about_one_record(moving: Moving) -> None:
    about = new_id()
    first = await moving.start([("van",)], about=about)
    with pytest.raises(asyncpg.UniqueViolationError):
        await moving.start([("van",)], about=about)
    await moving.news(first, "van", "failed")
    with pytest.raises(asyncpg.UniqueViolationError):
        await moving.start([("van",)], about=about)
    async with moving.write() as session:
        await cancel_saga(session, HOUSE, await lock_saga(session, HOUSE, first))
    await moving.start([("van",)], about=about)


async def test_what_several_services_tell_at_once_is_all_counted_and_the_end_is_told_once(moving: Moving) -> None:
    names = tuple(f"part{n}" for n in range(8))
    saga = await moving.start([names])
    await asyncio.gather(*(moving.news(saga, name) for name in names))
    assert [fact for fact, _, _ in await moving.told(saga)] == ["asked", "finished"]
    assert (await moving.saga(saga)).state == "succeeded"


async def test_what_is_overdue_is_asked_again_by_the_schedule_and_given_up_in_the_end(moving: Moving) -> None:
    saga = await moving.start([("van", "lamp")])
    other = await moving.start([("van",)])
    await moving.news(saga, "lamp")
    schedule = deadlines([HOUSE])
    assert schedule.next_after(NOW) - NOW <= LOOK_EVERY
    await schedule.run(moving.database, NOW + FIRST_PATIENCE - dt.timedelta(seconds=1))
    assert len(await moving.told(saga)) == 1
    await moving.news(other, "van", "done", attempt=1)
    now = NOW
    for _ in range(TRIES):
        now += dt.timedelta(hours=1)
        await schedule.run(moving.database, now)
        await schedule.run(moving.database, now)
    told = await moving.told(saga)
    assert [fact for fact, _, _ in told] == ["asked"] * TRIES + ["finished"]
    assert [attempts["van"] for _, _, attempts in told] == [*range(1, TRIES + 1), TRIES]
    found = await moving.saga(saga)
    assert found.state == "failed"
    (problem,) = [step.problem for step in found.steps if step.name == "van"]
    assert problem is not None
    assert problem["code"] == "saga.no_answer"
    assert [fact for fact, _, _ in await moving.told(other)] == ["asked", "finished"]


async def test_a_kind_that_this_program_does_not_know_waits_for_one_that_does(moving: Moving) -> None:
    saga = await moving.start([("van",)])
    await deadlines([]).run(moving.database, NOW + dt.timedelta(days=1))
    assert len(await moving.told(saga)) == 1


@pytest.mark.parametrize("how", ["before", "after"])
async def test_killed_between_any_two_statements_a_saga_is_decided_and_told_of_together(
    moving: Moving, monkeypatch: pytest.MonkeyPatch, how: How
) -> None:
    schedule = deadlines([HOUSE])
    nth, seen = 0, 0
    while True:
        nth += 1
        moving.versions.clear()
        moving.now = NOW
        saga = await moving.start([("van",), ("key",)])
        # The news come when the deadline was looked at.
        due = moving.now = NOW + FIRST_PATIENCE
        with killed_at(nth, how, monkeypatch) as asked:
            await schedule.run(moving.database, due)
            await moving.news(saga, "van", attempt=2)
        seen = max(seen, len(asked))
        # Whoever died in it comes again: the schedule for the same instant, the event as the same event.
        await schedule.run(moving.database, due)
        moving.versions.clear()
        await moving.news(saga, "van", attempt=2)
        assert await moving.told(saga) == [
            ("asked", 1, {"van": 1, "key": 0}),
            ("asked", 2, {"van": 2, "key": 0}),
            ("asked", 3, {"van": 2, "key": 1}),
        ], asked
        found = await moving.saga(saga)
        assert [(step.state, step.attempt) for step in found.steps] == [("done", 2), ("asked", 1)]
        async with moving.write() as session:
            await cancel_saga(session, HOUSE, await lock_saga(session, HOUSE, saga))
        if len(asked) < nth:
            break
    assert seen >= 12, asked


async def test_among_many_sagas_deadlines_and_lists_go_by_indexes(moving: Moving) -> None:
    async with moving.write() as session:
        await session.connection.execute(
            "INSERT INTO saga (id, version, kind, state, about, data, asked_at, ended_at) SELECT uuidv7(), 1, 'moving.house', "
            "'succeeded', uuidv7(), '{}', now() - n * interval '1 s', now() FROM generate_series(1, 20000) AS g(n)"
        )
        await session.connection.execute(
            "INSERT INTO saga_step (saga_id, name, stage, state, attempt, tries, heard, outcome) "
            "SELECT id, 'van', 0, 'done', 1, 1, 1, '{}' FROM saga"
        )
    await moving.start([("van",)])
    connection = await asyncpg.connect(moving.dsn)
    try:
        await connection.execute("VACUUM ANALYZE saga, saga_step")
        overdue = await connection.fetch(
            "EXPLAIN SELECT s.id FROM saga s JOIN saga_step t ON t.saga_id = s.id WHERE t.due_at <= now() ORDER BY t.due_at LIMIT 200"
        )
        assert "ix_saga_step_due" in "\n".join(row[0] for row in overdue)
        newest = await connection.fetch(
            "EXPLAIN SELECT id FROM saga WHERE kind = 'moving.house' "
            "ORDER BY (state = 'running') DESC, asked_at DESC, id DESC LIMIT 51"
        )
        assert "ix_saga_newest" in "\n".join(row[0] for row in newest)
    finally:
        await connection.close()

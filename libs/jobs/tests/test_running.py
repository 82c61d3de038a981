"""Jobs run to their end, once, whatever dies on the way."""

import asyncio
import datetime as dt

import pytest

from crm_jobs import Job, rules, runner
from crm_jobs.rules import LeaseLost
from crm_jobs.store import Due
from crm_kernel import Unavailable
from crm_testing.dying import How, killed_at

from .conftest import Works
from .mill import HANDFUL, MILL, MillClosed

pytestmark = pytest.mark.requirement("PL-40")


async def test_a_job_is_done_in_steps_and_its_rows_say_what_became_of_each(works: Works) -> None:
    job = await works.asks(8, stones=[2, 5])
    before = await works.job(job)
    assert (before["state"], before["total"], before["done"], before["failed"]) == ("queued", 8, 0, 0)
    await works.running.work()
    after = await works.job(job)
    assert (after["state"], after["done"], after["failed"], after["problem"]) == ("succeeded", 6, 2, None)
    assert after["finished_at"] is not None
    assert after.headers["etag"] == f'"{after["version"]}"'
    assert await works.flour(job) == [0, 1, 3, 4, 6, 7]
    assert await works.rows(job) == [(n, "error" if n in (2, 5) else "ok") for n in range(8)]
    failed = await works.caller().done("GET", f"/jobs/{job}/rows", params={"status": "error", "limit": 1})
    assert failed["items"] == [{"index": 2, "status": "error", "code": "grain.stone", "detail": "A stone"}]
    cursor = {"status": "error", "cursor": failed["next"]}
    assert [
        one["index"] for one in (await works.caller().done("GET", f"/jobs/{job}/rows", params=cursor))["items"]
    ] == [5]
    # A cursor belongs to its filter.
    other = await works.caller()("GET", f"/jobs/{job}/rows", params={"status": "ok", "cursor": failed["next"]})
    assert (other.status, other["code"]) == (422, "cursor.invalid")


async def test_what_a_job_is_given_is_read_part_by_part_and_forgotten_at_the_end(works: Works) -> None:
    answer = await works.caller().done("POST", "/listens", json={"parts": [["a"], ["b", 1], []]})
    await works.running.work()
    rows = (await works.caller().done("GET", f"/jobs/{answer['id']}/rows"))["items"]
    assert [row["done"] for row in rows] == ["['a']", "['b', 1]", "[]"]
    assert await works.running.rows("SELECT * FROM job_input") == []


@pytest.mark.parametrize("how", ["before", "after", "connection"])
async def test_killed_between_any_two_statements_no_grain_is_lost_or_doubled(
    works: Works, monkeypatch: pytest.MonkeyPatch, how: How
) -> None:
    nth, seen = 0, 0
    while True:
        nth += 1
        job = await works.asks(2 * HANDFUL, stones=[1])
        with killed_at(nth, how, monkeypatch) as asked:
            await works.runner().run_due()
        seen = max(seen, len(asked))
        await works.time_passes()
        await works.running.work()
        assert (await works.job(job))["state"] == "succeeded", asked
        assert await works.flour(job) == [0, 2, 3, 4, 5], asked
        assert await works.rows(job) == [(n, "error" if n == 1 else "ok") for n in range(6)]
        if len(asked) < nth:
            break
    # Two steps and the look for another job: every place was tried.
    assert seen >= 15, asked


async def test_two_runners_share_the_jobs_and_neither_does_the_others(works: Works) -> None:
    jobs = [await works.asks(4 * HANDFUL) for _ in range(12)]
    await asyncio.gather(*(works.runner().run_due() for _ in range(4)))
    for job in jobs:
        assert await works.flour(job) == list(range(4 * HANDFUL))
        leases = await works.running.rows("SELECT DISTINCT lease FROM flour WHERE job_id = $1", job)
        assert len(leases) == 1, "one runner had it from beginning to end"


async def test_a_step_under_way_is_not_taken_over_however_long_it_takes(works: Works) -> None:
    job = await works.asks(HANDFUL)
    MILL.gate.clear()
    first = asyncio.create_task(works.runner().run_due())
    await asyncio.wait_for(MILL.inside.wait(), 10)
    # The step's transaction holds the row, so the lease can't even be made to run out from outside; it is as if it had.
    assert await works.runner().take() is None
    MILL.gate.set()
    await asyncio.wait_for(first, 10)
    assert await works.flour(job) == list(range(HANDFUL))


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_lease_is_not_taken_by_a_runner_whose_clock_is_wrong(works: Works, hours: int) -> None:
    """Leases go by the database's clock: nobody else's hour makes one run out."""
    await works.asks(2 * HANDFUL)
    holder = works.runner()
    taken = await holder.take()
    assert taken is not None
    assert taken.leased_by is not None
    works.running.clock.advance(dt.timedelta(hours=hours))
    assert await works.runner().take() is None
    assert await holder.step(taken, taken.leased_by), "whose it is goes on"


async def test_who_lost_the_lease_commits_nothing_any_more(works: Works) -> None:
    job = await works.asks(3 * HANDFUL)
    slow, quick = works.runner(), works.runner()
    mine = await slow.take()
    assert mine is not None
    assert mine.leased_by is not None
    await slow.step(mine, mine.leased_by)
    await works.time_passes()
    theirs = await quick.take()
    assert theirs is not None
    assert theirs.leased_by is not None
    assert theirs.id == mine.id
    with pytest.raises(LeaseLost):
        await slow.step(mine, mine.leased_by)
    # Nor does it end the job, nor put it back.
    with pytest.raises(LeaseLost):
        await slow._end(mine, mine.leased_by, MillClosed())
    await slow.work(mine, asyncio.Event())
    row = await works.row(job)
    assert (row["state"], row["leased_by"], row["done"]) == ("running", theirs.leased_by, HANDFUL)
    await quick.work(theirs, asyncio.Event())
    assert await works.flour(job) == list(range(3 * HANDFUL))
    by = await works.running.rows("SELECT grain, lease FROM flour WHERE job_id = $1 ORDER BY grain", job)
    assert [row["lease"] == mine.leased_by for row in by] == [True] * HANDFUL + [False] * 2 * HANDFUL


async def test_a_stopped_runner_finishes_its_step_and_leaves_the_job_to_others_at_once(works: Works) -> None:
    job = await works.asks(3 * HANDFUL)
    stop = asyncio.Event()
    MILL.gate.clear()
    running = asyncio.create_task(works.runner().run(stop))
    await asyncio.wait_for(MILL.inside.wait(), 10)
    stop.set()
    MILL.gate.set()
    await asyncio.wait_for(running, 10)
    row = await works.row(job)
    assert (row["state"], row["leased_by"], row["done"]) == ("running", None, HANDFUL)
    await works.running.work()
    assert await works.flour(job) == list(range(3 * HANDFUL))


async def test_a_new_job_wakes_the_runner_of_its_process(works: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "LOOK_EVERY", 3600.0)
    stop = asyncio.Event()
    running = asyncio.create_task(works.runner().run(stop))
    job = await works.asks(1)

    async def done() -> None:
        while (await works.row(job))["state"] != "succeeded":  # noqa: ASYNC110  (another process's state has no event)
            await asyncio.sleep(0.01)

    await asyncio.wait_for(done(), 10)
    stop.set()
    await asyncio.wait_for(running, 10)


async def test_jobs_take_turns(works: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "TURN", 0.0)
    long, short = await works.asks(5 * HANDFUL), await works.asks(1)
    order: list[str] = []

    async def note(job: Job) -> None:
        order.append(str(job.id))

    MILL.mishap = note
    await works.running.work()
    assert order[:2] == [long, short]
    assert order[2:] == [long] * 4
    assert await works.flour(long) == list(range(5 * HANDFUL))


async def test_what_is_transient_is_waited_out_for_ever_and_longer_each_time(works: Works) -> None:
    job = await works.asks(2 * HANDFUL)
    failures = 0

    async def away(_: Job) -> None:
        nonlocal failures
        failures += 1
        if failures <= 2 * rules.ATTEMPTS:
            raise Unavailable("the shop is shut")

    MILL.mishap = away
    waits = []
    for _ in range(2 * rules.ATTEMPTS):
        await works.running.work()
        row = await works.row(job)
        assert (row["state"], row["leased_by"], row["attempts"]) == ("running", None, 0)
        (wait,) = await works.running.rows(
            "SELECT extract(epoch FROM run_after - clock_timestamp())::float FROM job WHERE id = $1", job
        )
        waits.append(round(wait[0]))
        # Not before its time.
        await works.running.work()
        assert (await works.row(job))["waits"] == len(waits)
        await works.time_passes()
    assert waits[:4] == [1, 2, 4, 8]
    assert max(waits) == waits[-1] == 60
    await works.running.work()
    assert (await works.job(job))["state"] == "succeeded"
    assert await works.flour(job) == list(range(2 * HANDFUL))
    assert (await works.row(job))["waits"] == 0


async def test_poison_ends_the_job_after_some_attempts_without_telling_what_it_was(works: Works) -> None:
    job = await works.asks(3 * HANDFUL)

    async def poison(job: Job) -> None:
        if job.done >= HANDFUL:
            raise ZeroDivisionError("secret words")

    MILL.mishap = poison
    for _ in range(rules.ATTEMPTS):
        assert (await works.job(job))["state"] in ("queued", "running")
        await works.running.work()
        await works.time_passes()
    ended = await works.job(job)
    assert (ended["state"], ended["done"]) == ("failed", HANDFUL)
    assert ended["problem"]["code"] == "job.gave_up"
    assert "secret" not in str(ended.body)
    # What was done stays, with its rows.
    assert await works.flour(job) == list(range(HANDFUL))
    assert len(await works.rows(job)) == HANDFUL


async def test_a_job_that_kills_its_process_is_not_taken_for_ever(works: Works) -> None:
    job = await works.asks(1)
    for _ in range(rules.ATTEMPTS):
        taken = await works.runner().take()
        assert taken is not None
        await works.time_passes()
    await works.running.work()
    ended = await works.job(job)
    assert (ended["state"], ended["problem"]["code"]) == ("failed", "job.gave_up")
    assert await works.flour(job) == []


async def test_a_refusal_ends_the_job_and_is_told(works: Works) -> None:
    job = await works.asks(3 * HANDFUL)

    async def closed(job: Job) -> None:
        if job.done:
            raise MillClosed("At noon")

    MILL.mishap = closed
    await works.running.work()
    ended = await works.job(job)
    assert ended["state"] == "failed"
    assert ended["problem"] == {
        "code": "mill.closed",
        "title": "The mill is closed",
        "detail": "At noon",
        "errors": None,
    }
    assert await works.flour(job) == list(range(HANDFUL))


async def test_a_kind_that_this_program_does_not_know_waits_for_another(works: Works) -> None:
    job = await works.asks(1)
    await works.change("UPDATE job SET kind = 'sales.grain.bake'")
    await works.running.work()
    assert (await works.row(job))["state"] == "queued"


async def test_one_person_has_only_so_many_jobs_under_way(works: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crm_jobs.actions.MAX_OPEN", 2)
    for _ in range(2):
        await works.asks(1)
    refused = await works.caller().running.client.post(
        "/api/sales/v1/grinds", json={"grains": 1}, headers={"authorization": f"Bearer {works.caller().token}"}
    )
    assert (refused.status_code, refused.json()["code"]) == (409, "job.too_many")
    await works.running.work()
    await works.asks(1)


@pytest.mark.requirement("PL-45")
async def test_the_age_of_jobs_is_that_of_the_one_that_is_due_longest_and_held_by_nobody(works: Works) -> None:
    counting = works.runner()
    await counting.counted.look()
    assert counting.counted.now == Due(waiting=0, running=0, age=0)
    held, waits, later = [await works.asks(2) for _ in range(3)]
    await works.change("UPDATE job SET run_after = clock_timestamp() - interval '90 s' WHERE id = $1", waits)
    await works.change("UPDATE job SET run_after = clock_timestamp() + interval '90 s' WHERE id = $1", later)
    await works.change(
        "UPDATE job SET state = 'running', leased_by = id, lease_until = clock_timestamp() + interval '60 s' WHERE id = $1",
        held,
    )
    await counting.counted.look()
    assert counting.counted.now is not None
    assert (counting.counted.now.waiting, counting.counted.now.running) == (1, 1)
    assert 90 <= counting.counted.now.age < 150
    # A lease that ran out is somebody's who died: that job waits too.
    await works.change("UPDATE job SET lease_until = clock_timestamp() - interval '1 s' WHERE id = $1", held)
    await counting.counted.look()
    assert (counting.counted.now.waiting, counting.counted.now.running) == (2, 0)
    await works.change("DELETE FROM job WHERE id = $1", later)
    await works.running.work()
    await counting.counted.look()
    assert counting.counted.now == Due(waiting=0, running=0, age=0)

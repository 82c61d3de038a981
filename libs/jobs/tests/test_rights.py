"""A job is its asker's: nobody else sees it, and it does what the asker may do at the moment it runs."""

import asyncio
import datetime as dt

import pytest

from crm_kernel import new_id

from .conftest import RIGHTS, Works
from .mill import HANDFUL, MILL

pytestmark = pytest.mark.requirement("PL-40")


async def test_a_job_is_seen_by_who_asked_for_it_and_by_nobody_else(works: Works) -> None:
    job = await works.asks(2)
    await works.running.work()
    stranger = works.caller(works.running.people.manager)
    nowhere = await stranger("GET", f"/jobs/{new_id()}")
    for method, path in (
        ("GET", f"/jobs/{job}"),
        ("GET", f"/jobs/{job}/rows"),
        ("GET", f"/jobs/{job}/progress"),
        ("POST", f"/jobs/{job}/cancel"),
    ):
        answer = await stranger(method, path)
        assert (answer.status, answer["code"], answer["detail"]) == (404, nowhere["code"], nowhere["detail"])
    assert (await stranger.done("GET", "/jobs"))["items"] == []
    administrator = works.caller(works.running.people.administrator)
    assert (await administrator.done("GET", f"/jobs/{job}"))["asked_by"] == str(works.person.id)
    assert (await administrator.done("GET", "/jobs"))["items"] == []


async def test_ones_jobs_are_listed_newest_first(works: Works) -> None:
    jobs = []
    for _ in range(5):
        jobs.append(await works.asks(1))
        works.running.clock.advance(dt.timedelta(seconds=1))
    await works.asks(1, by=works.caller(works.running.people.manager))
    found, cursor = [], {}
    while True:
        page = await works.caller().done("GET", "/jobs", params={"limit": 2, **cursor})
        found += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert found == jobs[::-1]


async def test_a_job_stops_when_its_asker_is_dismissed_and_what_was_done_stays(works: Works) -> None:
    job = await works.asks(3 * HANDFUL)
    taken = await works.runner().take()
    assert taken is not None
    assert taken.leased_by is not None
    assert await works.runner().step(taken, taken.leased_by)
    await works.identity_says(status="dismissed")
    await works.time_passes()
    await works.running.work()
    row = await works.row(job)
    assert (row["state"], row["problem"]["code"], row["done"]) == ("failed", "job.not_allowed", HANDFUL)
    assert await works.flour(job) == list(range(HANDFUL))
    administrator = works.caller(works.running.people.administrator)
    assert len((await administrator.done("GET", f"/jobs/{job}/rows"))["items"]) == HANDFUL


async def test_a_job_stops_when_its_asker_loses_the_permission_whatever_the_token_still_says(works: Works) -> None:
    job = await works.asks(2)
    await works.identity_says(permissions=["sales.grain:look"])
    await works.running.work()
    ended = await works.job(job)
    assert (ended["state"], ended["problem"]["code"]) == ("failed", "job.not_allowed")
    assert "sales.grain:grind" in ended["problem"]["detail"]
    assert await works.flour(job) == []


async def test_the_title_of_a_problem_comes_in_the_readers_language(works: Works) -> None:
    job = await works.asks(1)
    await works.identity_says(permissions=[])
    await works.running.work()
    korean = await works.caller()("GET", f"/jobs/{job}", headers={"accept-language": "ko"})
    assert korean["problem"]["title"] == "작업을 요청한 사람에게 더 이상 권한이 없습니다"


async def test_a_runner_that_is_deaf_to_identity_waits(works: Works) -> None:
    job = await works.asks(1)
    await works.change(
        "UPDATE directory_version SET heard_at = $1", works.running.clock.now() - dt.timedelta(minutes=1)
    )
    await works.runner()._keeper.current(works.running.database, at_most=0)
    await works.running.work()
    row = await works.row(job)
    assert (row["state"], row["waits"], row["done"]) == ("running", 1, 0)
    await works.change("UPDATE directory_version SET heard_at = $1", works.running.clock.now())
    await works.runner()._keeper.current(works.running.database, at_most=0)
    await works.time_passes()
    await works.running.work()
    assert (await works.row(job))["state"] == "succeeded"


async def test_changes_are_the_askers_and_made_by_a_job(works: Works) -> None:
    job = await works.asks(1)
    seen = []

    async def look(_: object) -> None:
        seen.append(True)

    MILL.mishap = look
    taken = await works.runner().take()
    assert taken is not None
    context = works.runner()._context(taken)
    assert (context.actor_kind, context.actor_id, context.channel) == ("user", works.person.id, "job")
    assert context.client == "test"
    await works.time_passes()
    await works.running.work()
    (ground,) = await works.running.rows("SELECT ground_by FROM flour WHERE job_id = $1", job)
    assert ground["ground_by"] == works.person.id
    assert seen == [True]


async def test_a_queued_job_is_cancelled_and_never_begins(works: Works) -> None:
    job = await works.asks(2)
    for _ in range(2):
        answer = await works.caller().done("POST", f"/jobs/{job}/cancel")
        assert (answer["state"], answer["done"], answer["problem"]) == ("cancelled", 0, None)
    await works.running.work()
    assert await works.flour(job) == []
    assert (await works.job(job))["version"] == answer["version"]


async def test_a_running_job_is_cancelled_between_two_steps_and_what_was_done_stays(works: Works) -> None:
    job = await works.asks(3 * HANDFUL)
    runner = works.runner()
    taken = await runner.take()
    assert taken is not None
    assert taken.leased_by is not None
    assert await runner.step(taken, taken.leased_by)
    answer = await works.caller().done("POST", f"/jobs/{job}/cancel")
    assert (answer["state"], answer["done"]) == ("cancelled", HANDFUL)
    await runner.work(taken, asyncio.Event())
    await works.running.work()
    assert await works.flour(job) == list(range(HANDFUL))
    assert len(await works.rows(job)) == HANDFUL


async def test_a_job_that_has_ended_stays_as_it_is(works: Works) -> None:
    job = await works.asks(1)
    await works.running.work()
    answer = await works.caller().done("POST", f"/jobs/{job}/cancel")
    assert answer["state"] == "succeeded"


async def test_the_right_to_ask_is_checked_when_asking(works: Works) -> None:
    nobody = works.running.caller(works.person, rights=type(RIGHTS)(("sales.grain:look",)))
    answer = await nobody("POST", "/grinds", json={"grains": 1})
    assert (answer.status, answer["code"]) == (403, "permission.missing")

"""What the product does by itself: with nobody's rights, counted for nobody, ended by what began it; and steps that wait."""

import uuid

import pytest

from crm_database import WriteContext
from crm_jobs import JobKind, start_product_job
from crm_jobs.rules import ATTEMPTS, MAX_OPEN

from .conftest import Works
from .mill import GRIND, HANDFUL, MAINTAIN, MILL, MillClosed

pytestmark = pytest.mark.requirement("PL-40")


async def begins(works: Works, grains: int = 2 * HANDFUL) -> uuid.UUID:
    async with works.running.database.write(WriteContext(now=works.running.clock.now())) as session:
        parameters = {"grains": grains, "stones": []}
        return (await start_product_job(session, MAINTAIN, parameters, asked_by=works.person.id)).id


async def test_it_runs_although_its_asker_has_left_and_has_no_rights(works: Works) -> None:
    job = await begins(works)
    await works.identity_says(status="dismissed", permissions=[])
    await works.running.work()
    row = await works.row(str(job))
    assert (row["state"], row["done"], row["authority"]) == ("succeeded", 2 * HANDFUL, "product")
    seen = []

    async def look(one: object) -> None:
        seen.append(one)

    MILL.mishap = look
    await begins(works)
    taken = await works.runner().take()
    assert taken is not None
    context = works.runner()._context(taken)
    assert (context.actor_kind, context.actor_id, context.channel) == ("user", works.person.id, "job")


async def test_it_counts_for_nobody_and_is_not_ended_as_a_job(works: Works) -> None:
    jobs = [await begins(works) for _ in range(MAX_OPEN)]
    await works.asks(1)
    for caller in (works.caller(), works.caller(works.running.people.administrator)):
        refused = await caller("POST", f"/jobs/{jobs[0]}/cancel")
        assert (refused.status, refused["code"]) == (409, "job.of_the_product")
    stranger = await works.caller(works.running.people.manager)("POST", f"/jobs/{jobs[0]}/cancel")
    assert stranger.status == 404
    assert (await works.job(str(jobs[0])))["state"] == "queued"


@pytest.mark.parametrize("how", ["refused", "gave up"])
async def test_its_failure_is_written_down_where_it_is_waited_for_with_its_end(works: Works, how: str) -> None:
    job = await begins(works)

    async def fails(_: object) -> None:
        raise MillClosed if how == "refused" else RuntimeError("a cog broke")

    MILL.mishap = fails
    for _ in range(ATTEMPTS):
        await works.running.work()
        await works.time_passes()
    row = await works.row(str(job))
    code = "mill.closed" if how == "refused" else "job.gave_up"
    assert (row["state"], row["problem"]["code"]) == ("failed", code)
    told = await works.running.rows("SELECT ground_by FROM flour WHERE job_id = $1 AND grain = -1", job)
    assert [one["ground_by"] for one in told] == [works.person.id]


async def test_only_kinds_of_the_product_are_begun_so_and_they_say_why(works: Works) -> None:
    async with works.running.database.write(WriteContext(now=works.running.clock.now())) as session:
        with pytest.raises(ValueError, match="asker"):
            await start_product_job(session, GRIND, {}, asked_by=works.person.id)
    with pytest.raises(ValueError, match="says why"):
        JobKind("sales.mill.x", None, GRIND.step, authority="product")
    with pytest.raises(ValueError, match="says why"):
        JobKind("sales.mill.x", None, GRIND.step, reason="because")
    with pytest.raises(ValueError, match="permission"):
        JobKind("sales.mill.x", "sales.grain:grind", GRIND.step, authority="product", reason="because")


async def test_a_step_that_waits_puts_the_job_back_for_as_long_without_counting_a_failure(works: Works) -> None:
    answer = await works.caller().done("POST", "/naps")
    await works.running.work()
    row = await works.row(answer["id"])
    assert (row["state"], row["leased_by"], row["position"], row["attempts"], row["waits"]) == (
        "running",
        None,
        "rested",
        0,
        0,
    )
    (wait,) = await works.running.rows(
        "SELECT extract(epoch FROM run_after - clock_timestamp())::float FROM job WHERE id = $1", row["id"]
    )
    assert 290 < wait[0] <= 300
    await works.time_passes()
    await works.running.work()
    assert (await works.row(answer["id"]))["state"] == "succeeded"

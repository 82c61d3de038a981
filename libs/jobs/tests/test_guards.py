"""Each guard taken away by substitution: then a test of the ordinary suite must notice."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from crm_authz import Directory
from crm_jobs import progress, runner, store, unit
from crm_jobs.rules import Job

from . import test_progress, test_rights, test_running
from .conftest import Works

Test = Callable[[Works], Awaitable[None]]


async def notices(test: Awaitable[None]) -> None:
    # What is compared may not be there at all.
    with pytest.raises((AssertionError, TimeoutError, KeyError, TypeError, pytest.fail.Exception)):
        await test


async def test_the_lease_is_looked_at_under_the_lock(works: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "require_held", lambda job, _: job)
    await notices(test_running.test_who_lost_the_lease_commits_nothing_any_more(works))


async def test_jobs_under_way_are_passed_over(works: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    # Without the lease in the condition a job is taken by everybody who looks.
    taking = store._TAKE.replace("AND (lease_until IS NULL OR lease_until < clock_timestamp())", "")
    assert taking != store._TAKE
    monkeypatch.setattr(store, "_TAKE", taking)
    await notices(test_running.test_two_runners_share_the_jobs_and_neither_does_the_others(works))


async def test_position_and_rows_are_committed_with_the_work(works: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a step's work were committed before what it says of it."""
    original = runner.Runner.step

    async def in_two_halves(self: runner.Runner, job: Job, lease: Any) -> bool:
        kind = self.kinds[job.kind]
        async with self.database.write(self._context(job)) as session:
            held = await store.lock(session, job.id)
            assert held is not None
            await kind.step(unit.authorised(session, await self._directory(), held, kind), held)
        return await original(self, job, lease)

    monkeypatch.setattr(runner.Runner, "step", in_two_halves)
    await notices(
        test_running.test_killed_between_any_two_statements_no_grain_is_lost_or_doubled(works, monkeypatch, "before")
    )


@pytest.mark.parametrize(
    "test",
    [
        test_rights.test_a_job_stops_when_its_asker_is_dismissed_and_what_was_done_stays,
        test_rights.test_a_job_stops_when_its_asker_loses_the_permission_whatever_the_token_still_says,
    ],
)
async def test_the_asker_is_authorised_at_each_step(works: Works, monkeypatch: pytest.MonkeyPatch, test: Test) -> None:
    def trusting(session: Any, directory: Directory, job: Job, _: Any) -> unit.JobUnit:
        return unit.JobUnit(session, directory, directory.grants_of(job.asked_by), job)

    monkeypatch.setattr(runner, "authorised", trusting)
    await notices(test(works))


async def test_the_deaf_wait(works: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Directory, "is_deaf", lambda *_: False)
    await notices(test_rights.test_a_runner_that_is_deaf_to_identity_waits(works))


async def test_jobs_are_their_askers(works: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crm_jobs.actions.may_see", lambda *_: True)
    await notices(test_rights.test_a_job_is_seen_by_who_asked_for_it_and_by_nobody_else(works))


async def test_streams_look_whether_their_reader_is_still_admitted(
    works: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def yes(_: Any) -> bool:
        return True

    monkeypatch.setattr(progress, "_still_admitted", yes)
    await notices(test_progress.test_a_stream_ends_when_its_reader_is_dismissed(works, monkeypatch))

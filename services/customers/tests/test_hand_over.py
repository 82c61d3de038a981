"""A leaver's customers and contacts go to the successor (ID-6): all of them, once, whatever is told twice, late, or dies on the way."""

import asyncio
import datetime as dt
from typing import Any

import pytest
from services.customers.tests.conftest import make_contact, make_customer

from crm_database import WriteContext
from crm_jobs import Runner
from crm_jobs.rules import MAX_OPEN
from crm_records.hand_over import rules, work
from crm_records.hand_over.rules import Place, may_end
from crm_testing.dying import How, killed_at
from crm_testing.leaving import Leaving
from crm_testing.service import Caller, Running

pytestmark = pytest.mark.requirement("ID-6")

#: Records of one step.
HANDFUL = 3


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests hear of a dismissal at once here: there is one process. Steps are small."""
    monkeypatch.setattr(rules, "DIRECTORY_AGE", dt.timedelta(0))
    monkeypatch.setattr(work, "STEP_ROWS", HANDFUL)


@pytest.fixture
def leaving(customers: Running) -> Leaving:
    people = customers.people
    return Leaving(customers, people.rep, people.colleague, people.administrator)


async def owners(customers: Running, table: str) -> dict[str, Any]:
    found = await customers.rows(f"SELECT id, owner_id FROM {table}")
    return {str(row["id"]): row["owner_id"] for row in found}


async def test_customers_go_with_their_contacts_once_and_the_history_says_whose_doing_it_was(
    customers: Running, leaving: Leaving, rep: Caller, colleague: Caller, admin: Caller
) -> None:
    plain = await make_customer(rep, "Plain")
    following = await make_contact(rep, plain)
    locked = await make_customer(rep, "Locked")
    await admin.done("POST", f"/customers/{locked['id']}/lock")
    shared = await make_customer(rep, "Shared")
    member = {"right": "read"}
    await rep.done("PUT", f"/customers/{shared['id']}/members/{customers.people.colleague.id}", json=member)
    await rep.done("PUT", f"/customers/{shared['id']}/members/{customers.people.stranger.id}", json=member)
    others = await make_customer(colleague, "Other")
    # A contact of somebody else's customer, which is the leaver's own.
    own = await make_contact(admin, others, owner_id=str(customers.people.rep.id))
    deleted = await make_customer(rep, "Deleted")
    await admin.done("DELETE", f"/customers/{deleted['id']}")
    await leaving.dismissed()
    await leaving.asked()
    await customers.work()

    fact, state = await leaving.last()
    assert (fact, state["status"], state["attempt"]) == ("done", "done", 1)
    assert state["moved"] == {"customers.customer": 3, "customers.contact": 2}
    assert state["remaining"] == {"customers.customer": 0, "customers.contact": 0}
    heir = customers.people.colleague.id
    assert await owners(customers, "customer") == {
        **{one["id"]: heir for one in (plain, locked, shared, others)},
        deleted["id"]: customers.people.rep.id,
    }
    assert await owners(customers, "contact") == {following["id"]: heir, own["id"]: heir}
    (entry, *_) = (await admin.done("GET", f"/customers/{plain['id']}/history"))["items"]
    assert (entry["fact"], entry["actor"], entry["origin"]["channel"]) == (
        "transferred",
        {"kind": "user", "id": str(customers.people.administrator.id)},
        "job",
    )
    assert [times for _, times in await leaving.moved("customer")] == [1, 1, 1]
    assert (await admin("GET", f"/customers/{plain['id']}")).headers["etag"] == '"2"'
    members = (await admin.done("GET", f"/customers/{shared['id']}/members"))["items"]
    assert [one["user_id"] for one in members] == [str(customers.people.stranger.id)], (
        "the new owner needs no membership"
    )
    (job,) = await leaving.jobs()
    assert (job["state"], job["authority"], job["asked_by"]) == (
        "succeeded",
        "product",
        customers.people.administrator.id,
    )
    assert job["done"] == 4, "what follows its customer is no row of its own"


async def test_who_has_nothing_is_done_at_once(customers: Running, leaving: Leaving) -> None:
    await leaving.dismissed()
    await leaving.asked()
    await customers.work()
    assert [fact for fact, _ in await leaving.told()] == ["progressed", "done"]
    assert (await leaving.last())[1]["moved"] == {"customers.customer": 0, "customers.contact": 0}


async def test_an_ask_that_is_heard_twice_or_late_begins_nothing_more(
    customers: Running, leaving: Leaving, rep: Caller
) -> None:
    await make_customer(rep)
    await leaving.dismissed()
    for _ in range(2):
        await leaving.asked(2)
    await leaving.asked(1)
    await leaving.asked(9, status="done")
    assert len(await leaving.jobs()) == 1
    await customers.work()
    await leaving.asked(2)
    assert len(await leaving.jobs()) == 1
    assert [(fact, state["attempt"]) for fact, state in await leaving.told()] == [("progressed", 2), ("done", 2)]
    # Asked again although it was done: identity didn't hear the answer, and gets it again.
    await leaving.asked(3)
    await customers.work()
    fact, state = await leaving.last()
    assert (fact, state["attempt"], state["moved"]["customers.customer"]) == ("done", 3, 1)


async def test_nothing_moves_before_the_service_has_heard_of_the_dismissal(
    customers: Running, leaving: Leaving, rep: Caller
) -> None:
    made = await make_customer(rep)
    await leaving.asked()
    await customers.work()
    (job,) = await leaving.jobs()
    assert (job["state"], job["waits"], job["done"]) == ("running", 1, 0)
    assert (await owners(customers, "customer"))[made["id"]] == customers.people.rep.id
    late = await make_customer(rep, "While nobody knows")
    await leaving.dismissed()
    await leaving.time_passes()
    await customers.work()
    assert (await leaving.last())[0] == "done"
    assert set((await owners(customers, "customer")).values()) == {customers.people.colleague.id}
    assert late["id"] in await owners(customers, "customer")


async def test_a_successor_of_whom_it_has_not_heard_yet_is_waited_for(
    customers: Running, leaving: Leaving, rep: Caller
) -> None:
    await make_customer(rep)
    await leaving.dismissed()
    await leaving.status(customers.people.colleague, "pending_activation", epoch=0)
    await leaving.asked()
    await customers.work()
    assert [job["state"] for job in await leaving.jobs()] == ["running"]
    await leaving.status(customers.people.colleague, "active", epoch=1)
    await leaving.time_passes()
    await customers.work()
    assert (await leaving.last())[0] == "done"


async def test_a_successor_who_left_ends_the_attempt_and_another_one_gets_what_is_left(
    customers: Running, leaving: Leaving, rep: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(2 * HANDFUL):
        await make_customer(rep, f"Customer {n}")
    await leaving.dismissed()
    await leaving.asked()
    await one_step(customers)
    await leaving.status(customers.people.colleague, "dismissed", epoch=2)
    await leaving.time_passes()
    await customers.work()
    fact, state = await leaving.last()
    assert (fact, state["problem"]["code"]) == ("failed", "hand_over.successor_not_active")
    assert state["moved"]["customers.customer"] == HANDFUL
    assert [(job["state"], job["problem"]["code"]) for job in await leaving.jobs()] == [
        ("failed", "hand_over.successor_not_active")
    ]
    await leaving.asked(2, successor=customers.people.manager)
    await customers.work()
    fact, state = await leaving.last()
    assert (fact, state["attempt"], state["problem"]) == ("done", 2, None)
    assert state["moved"]["customers.customer"] == 2 * HANDFUL
    found = list((await owners(customers, "customer")).values())
    assert (found.count(customers.people.colleague.id), found.count(customers.people.manager.id)) == (HANDFUL, HANDFUL)


async def one_step(customers: Running) -> None:
    """The job's next step; then its process is gone."""
    assert customers.service.jobs is not None
    runner = Runner(customers.database, customers.service.jobs.kinds, customers.clock)
    job = await runner.take()
    assert job is not None
    assert job.leased_by is not None
    await runner.step(job, job.leased_by)


async def test_a_newer_ask_takes_over_from_the_job_that_is_at_it(
    customers: Running, leaving: Leaving, rep: Caller
) -> None:
    """Else a failure for the old successor could be told as one of the new attempt."""
    for n in range(2 * HANDFUL):
        await make_customer(rep, f"Customer {n}")
    await leaving.dismissed()
    await leaving.asked()
    await one_step(customers)
    await leaving.asked(2, successor=customers.people.manager)
    await leaving.time_passes()
    await customers.work()
    old, new = await leaving.jobs()
    assert (old["state"], old["done"]) == ("succeeded", HANDFUL)
    assert new["done"] == HANDFUL
    fact, state = await leaving.last()
    assert (fact, state["attempt"], state["moved"]["customers.customer"]) == ("done", 2, 2 * HANDFUL)


async def test_cancelled_in_the_middle_it_stops_and_counts_what_it_did(
    customers: Running, leaving: Leaving, rep: Caller
) -> None:
    for n in range(2 * HANDFUL):
        await make_customer(rep, f"Customer {n}")
    await leaving.dismissed()
    await leaving.asked()
    await one_step(customers)
    await leaving.cancelled()
    await leaving.time_passes()
    await customers.work()
    fact, state = await leaving.last()
    assert (fact, state["status"], state["moved"]["customers.customer"]) == ("progressed", "cancelled", HANDFUL)
    found = list((await owners(customers, "customer")).values())
    assert found.count(customers.people.rep.id) == HANDFUL
    assert [job["state"] for job in await leaving.jobs()] == ["succeeded"]
    told = len(await leaving.told())
    await leaving.cancelled()
    await leaving.asked(2)
    await customers.work()
    assert len(await leaving.told()) == told, "cancelled is for good"


async def test_cancelled_before_it_was_heard_of_it_never_begins(
    customers: Running, leaving: Leaving, rep: Caller
) -> None:
    made = await make_customer(rep)
    await leaving.dismissed()
    await leaving.cancelled()
    await leaving.asked()
    await customers.work()
    assert await leaving.jobs() == []
    assert (await owners(customers, "customer"))[made["id"]] == customers.people.rep.id
    assert [(fact, state["status"]) for fact, state in await leaving.told()] == [("progressed", "cancelled")]


async def test_what_is_done_is_not_cancelled(customers: Running, leaving: Leaving) -> None:
    await leaving.dismissed()
    await leaving.asked()
    await customers.work()
    await leaving.cancelled()
    assert (await leaving.last())[0] == "done"


async def test_who_is_back_keeps_what_is_left_until_the_cancellation_is_heard(
    customers: Running, leaving: Leaving, rep: Caller
) -> None:
    await make_customer(rep)
    await leaving.status(leaving.leaver, "active", epoch=3)
    await leaving.asked()
    await customers.work()
    assert [(job["state"], job["waits"]) for job in await leaving.jobs()] == [("running", 1)]
    await leaving.cancelled()
    await leaving.time_passes()
    await customers.work()
    assert set((await owners(customers, "customer")).values()) == {customers.people.rep.id}


async def test_it_ends_only_when_no_request_is_under_way_that_may_not_know_of_the_dismissal(
    customers: Running, leaving: Leaving, rep: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "LOOK_AGAIN", dt.timedelta(0))
    made = await make_customer(rep)
    async with customers.database.write(WriteContext(now=customers.clock.now())) as slow:
        await slow.connection.execute("SELECT 1")
        await leaving.dismissed()
        await leaving.asked()
        await one_step(customers)
        await leaving.time_passes()
        await one_step(customers)
        await leaving.time_passes()
        await one_step(customers)
        assert [job["state"] for job in await leaving.jobs()] == ["running"]
        # Such a request gives the leaver a record, as one that began before the dismissal was heard of may.
        await slow.connection.execute(
            "UPDATE customer SET owner_id = $1, version = version + 1 WHERE id = $2",
            customers.people.rep.id,
            made["id"],
        )
    await leaving.time_passes()
    await customers.work()
    assert (await leaving.last())[0] == "done"
    assert (await owners(customers, "customer"))[made["id"]] == customers.people.colleague.id


def test_the_end_waits_for_what_began_too_early_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "DIRECTORY_AGE", dt.timedelta(seconds=5))
    begun = dt.datetime(2026, 11, 23, 3, 0, tzinfo=dt.UTC)
    place = Place(begun)

    def at(seconds: float) -> dt.datetime:
        return begun + dt.timedelta(seconds=seconds)

    assert not may_end(place, at(4.9), None)
    assert may_end(place, at(5), None)
    assert not may_end(place, at(20), at(4.9))
    assert may_end(place, at(20), at(5))
    assert may_end(place, at(65), at(-900)), "a forgotten transaction doesn't keep it for ever"
    assert Place.read(place.json(), at(9)) == place
    assert Place.read(None, at(9)) == Place(at(9))


async def test_what_somebody_else_was_given_meanwhile_is_theirs(
    customers: Running, leaving: Leaving, rep: Caller
) -> None:
    made = await make_customer(rep)
    await leaving.dismissed()
    await leaving.asked()
    async with customers.database.write(WriteContext(now=customers.clock.now())) as session:
        await session.connection.execute(
            "UPDATE customer SET owner_id = $1, version = version + 1 WHERE id = $2",
            customers.people.stranger.id,
            made["id"],
        )
        working = asyncio.create_task(customers.work())
        # The job waits for the row.
        async with asyncio.timeout(10):
            waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            while not await customers.rows(waits):  # noqa: ASYNC110  (another connection's state has no event)
                await asyncio.sleep(0.01)
    await working
    assert (await owners(customers, "customer"))[made["id"]] == customers.people.stranger.id
    assert (await leaving.last())[1]["moved"]["customers.customer"] == 0


async def test_progress_is_told_at_most_once_a_second(customers: Running, leaving: Leaving, rep: Caller) -> None:
    for n in range(3 * HANDFUL):
        await make_customer(rep, f"Customer {n}")
    await leaving.dismissed()
    await leaving.asked()
    await one_step(customers)
    assert [fact for fact, _ in await leaving.told()] == ["progressed"], "no time has passed since it was taken up"
    customers.clock.advance(dt.timedelta(seconds=2))
    await leaving.time_passes()
    await one_step(customers)
    fact, state = await leaving.last()
    assert (fact, state["status"]) == ("progressed", "running")
    assert state["moved"] == {"customers.customer": 2 * HANDFUL, "customers.contact": 0}
    assert state["remaining"] == {"customers.customer": HANDFUL, "customers.contact": 0}


async def test_records_that_stay_refused_are_told_as_a_failure(
    customers: Running, leaving: Leaving, rep: Caller, admin: Caller
) -> None:
    made = await make_customer(rep)
    pool = (await admin.done("GET", "/pools"))["items"][0]["id"]
    async with customers.database.write(WriteContext(now=customers.clock.now())) as session:
        # What no action makes: owned and in a pool at once.
        await session.connection.execute("UPDATE customer SET pool_id = $1 WHERE id = $2", pool, made["id"])
    await leaving.dismissed()
    await leaving.asked()
    await customers.work()
    fact, state = await leaving.last()
    assert (fact, state["problem"]["code"]) == ("failed", "hand_over.records_refused")
    (job,) = await leaving.jobs()
    rows = await customers.rows("SELECT status, code FROM job_row WHERE job_id = $1", job["id"])
    assert [(row["status"], row["code"]) for row in rows] == [("error", "customer.already_in_pool")]


async def test_its_job_counts_for_nobody_and_is_not_ended_as_a_job(
    customers: Running, leaving: Leaving, admin: Caller
) -> None:
    for n in range(MAX_OPEN):
        other = Leaving(customers, customers.people.rep, customers.people.colleague, customers.people.administrator)
        await other.asked()
        assert len(await other.jobs()) == 1, n
    await leaving.asked()
    (job,) = await leaving.jobs()
    refused = await admin("POST", f"/jobs/{job['id']}/cancel")
    assert (refused.status, refused["code"]) == (409, "job.of_the_product")
    rows = [{"name": "A"}]
    assert (await admin("POST", "/customers/batch-jobs", json={"mode": "create", "rows": rows})).status == 202


@pytest.mark.parametrize("how", ["before", "after"])
async def test_killed_between_any_two_statements_each_record_changes_hands_once(
    customers: Running, admin: Caller, monkeypatch: pytest.MonkeyPatch, how: How
) -> None:
    people = customers.people
    nth, seen = 0, 0
    epoch = 2
    while True:
        nth += 1
        leaving = Leaving(customers, people.rep, people.colleague, people.administrator, versions=10 * nth)
        await leaving.status(people.rep, "active", epoch=epoch)
        made = [await make_customer(admin, f"Customer {n}", owner_id=str(people.rep.id)) for n in range(HANDFUL + 1)]
        await leaving.status(people.rep, "dismissed", epoch=epoch)
        await leaving.asked()
        with killed_at(nth, how, monkeypatch) as asked:
            await Runner(customers.database, customers.service.jobs.kinds, customers.clock).run_due()  # type: ignore[union-attr]
        seen = max(seen, len(asked))
        await leaving.time_passes()
        await customers.work()
        fact, state = await leaving.last()
        assert (fact, state["moved"]["customers.customer"]) == ("done", len(made)), asked
        transferred = {str(subject): times for subject, times in await leaving.moved("customer")}
        assert {transferred[one["id"]] for one in made} == {1}, asked
        if len(asked) < nth:
            break
    assert seen >= 30, asked

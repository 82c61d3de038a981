"""What is too much for one request becomes a job, through the same actions and guards (PL-9, PL-22, PL-40)."""

import asyncio
import datetime as dt
from typing import Any

import pytest
from services.customers.tests.conftest import make_customer

from crm_authz import apply_state
from crm_contracts import identity
from crm_customers.app import SERVICE
from crm_database import WriteContext
from crm_jobs import Runner
from crm_kernel import new_id
from crm_records.jobs import matching
from crm_records.routes import bulk
from crm_testing.service import Answered, Caller, Person, Running

pytestmark = pytest.mark.requirement("PL-9", "PL-40")

STEP = 4


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than ten records are too many for one request, and a step takes four."""
    monkeypatch.setattr(matching, "MAX_ROWS", 10)
    monkeypatch.setattr(matching, "STEP_ROWS", STEP)
    monkeypatch.setattr(bulk, "STEP_ROWS", STEP)


async def make_many(caller: Caller, count: int, **fields: Any) -> list[str]:
    """New customers; their ids in the order of making."""
    ids: list[str] = []
    for start in range(0, count, 1000):
        rows = [{"name": f"Customer {n}", **fields} for n in range(start, min(start + 1000, count))]
        answer = await caller.done("POST", "/customers/batch", json={"mode": "create", "rows": rows})
        assert answer["failed"] == 0
        ids += [row["id"] for row in answer["rows"]]
    return ids


async def ended(running: Running, caller: Caller, accepted: Answered) -> Any:
    """The job of a 202, after it was done."""
    assert accepted.status == 202, accepted
    assert accepted.headers["location"] == f"/api/customers/v1/jobs/{accepted['id']}"
    await running.work()
    return await caller.done("GET", accepted.headers["location"])


async def rows_of(caller: Caller, job: Any, **params: Any) -> list[Any]:
    found: list[Any] = []
    cursor: dict[str, Any] = {}
    while True:
        page = await caller.done("GET", f"/jobs/{job['id']}/rows", params={"limit": 1000, **params, **cursor})
        found += page["items"]
        if page["next"] is None:
            return found
        cursor = {"cursor": page["next"]}


async def owners(running: Running, ids: list[str]) -> list[str]:
    found = await running.rows("SELECT id, owner_id FROM customer WHERE id = ANY($1::uuid[])", ids)
    by_id = {str(row["id"]): str(row["owner_id"]) for row in found}
    return [by_id[one] for one in ids]


async def becomes(running: Running, person: Person, **fields: Any) -> None:
    """What identity tells of somebody from now on."""
    (row,) = await running.rows("SELECT * FROM directory_user WHERE id = $1", person.id)
    state = {
        "name": "Kim",
        "status": "active",
        "department_id": person.department,
        "superior_id": person.superior,
        "role_ids": [str(one) for one in row["role_ids"]],
        "super_admin": False,
        "epoch": 1,
    }
    async with running.database.write(WriteContext(now=running.clock.now())) as session:
        told = identity.UserState.model_validate({**state, **fields})
        await apply_state(session, identity.USER_TOPIC.name, person.id, row["version"] + 1, told)
    await _runner(running)._keeper.current(running.database, at_most=0)


def _runner(running: Running) -> Runner:
    assert SERVICE.jobs is not None
    return Runner(running.database, SERVICE.jobs.kinds, running.clock)


async def one_step(running: Running) -> Runner:
    """The next due job, taken, and one step of it done."""
    runner = _runner(running)
    job = await runner.take()
    assert job is not None
    assert job.leased_by is not None
    assert await runner.step(job, job.leased_by)
    # Its runner is gone.
    async with running.database.write(WriteContext(now=running.clock.now())) as session:
        await session.connection.execute("UPDATE job SET lease_until = NULL, leased_by = NULL")
    return runner


@pytest.mark.requirement("PL-22", "PL-23")
async def test_more_than_a_thousand_matches_are_transferred_by_a_job(
    customers: Running, rep: Caller, manager: Caller
) -> None:
    people = customers.people
    ids = await make_many(rep, 1201)
    since = await customers.position()
    accepted = await manager(
        "POST",
        "/customers/transfer",
        json={
            "filter": {"field": "owner_id", "op": "eq", "value": str(people.rep.id)},
            "to_user_id": str(people.colleague.id),
            "reason": "moved",
        },
    )
    assert (accepted["state"], accepted["total"]) == ("queued", 1201)
    assert accepted["kind"] == "customers.customer.transfer"
    customers.clock.advance(dt.timedelta(minutes=2))
    later = await make_customer(rep)
    job = await ended(customers, manager, accepted)
    assert (job["state"], job["done"], job["failed"]) == ("succeeded", 1201, 0)
    assert set(await owners(customers, ids)) == {str(people.colleague.id)}
    assert await owners(customers, [later["id"]]) == [str(people.rep.id)], "it was made after the job was asked for"
    rows = await rows_of(manager, job)
    assert [row["index"] for row in rows] == list(range(1201))
    assert {row["id"] for row in rows} == set(ids)
    assert {(row["status"], row["done"], row["version"]) for row in rows} == {("ok", "transferred", 2)}
    events = await customers.events("%.transferred.v1", since=since)
    assert {str(event["subject"]) for event in events} == set(ids)
    assert len(events) == 1201
    assert {event["data"]["actor"]["id"] for event in events} == {str(people.manager.id)}
    assert {event["data"]["origin"]["channel"] for event in events} == {"job"}
    (entry, _) = (await manager.done("GET", f"/customers/{ids[0]}/owners"))["items"]
    assert (entry["by"]["id"], entry["reason"]) == (str(people.manager.id), "moved")


async def test_named_records_are_transferred_by_a_job_and_each_is_answered(
    customers: Running, rep: Caller, manager: Caller, small: None
) -> None:
    ids = await make_many(rep, 11)
    unknown = str(new_id())
    named = [*ids[:5], unknown, *ids[5:]]
    body = {"ids": named, "to_user_id": str(customers.people.colleague.id)}
    job = await ended(customers, manager, await manager("POST", "/customers/transfer", json=body))
    assert (job["state"], job["total"], job["done"], job["failed"]) == ("succeeded", 12, 11, 1)
    rows = await rows_of(manager, job)
    assert [row["id"] for row in rows] == named
    (failed,) = await rows_of(manager, job, status="error")
    assert (failed["index"], failed["id"], failed["code"]) == (5, unknown, "record.not_found")
    assert set(await owners(customers, ids)) == {str(customers.people.colleague.id)}
    twice = await manager("POST", "/customers/transfer", json={**body, "ids": [*named, named[0]]})
    assert twice.codes == [("/ids", "field.repeated")]


async def test_a_job_goes_on_with_the_scope_that_its_asker_has_by_then(
    customers: Running, rep: Caller, manager: Caller, small: None
) -> None:
    people = customers.people
    ids = sorted(await make_many(rep, 11))
    body = {
        "filter": {"field": "name", "op": "starts_with", "value": "Customer"},
        "to_user_id": str(people.colleague.id),
    }
    accepted = await manager("POST", "/customers/transfer", json=body)
    await one_step(customers)
    # The rep gets another superior: the rest is out of the manager's reach.
    await becomes(customers, people.rep, superior_id=people.other_manager.id, department_id=people.south)
    job = await ended(customers, manager, accepted)
    assert (job["state"], job["done"], job["failed"]) == ("succeeded", STEP, 0)
    assert await owners(customers, ids) == [str(people.colleague.id)] * STEP + [str(people.rep.id)] * (11 - STEP)


async def test_a_job_ends_when_its_target_leaves_and_what_was_done_stays(
    customers: Running, rep: Caller, manager: Caller, small: None
) -> None:
    people = customers.people
    ids = sorted(await make_many(rep, 11))
    body = {
        "filter": {"field": "name", "op": "starts_with", "value": "Customer"},
        "to_user_id": str(people.colleague.id),
    }
    accepted = await manager("POST", "/customers/transfer", json=body)
    await one_step(customers)
    await becomes(customers, people.colleague, status="dismissed")
    job = await ended(customers, manager, accepted)
    assert (job["state"], job["problem"]["code"], job["done"]) == ("failed", "record.owner_not_active", STEP)
    assert await owners(customers, ids) == [str(people.colleague.id)] * STEP + [str(people.rep.id)] * (11 - STEP)


async def test_a_job_ends_when_its_asker_may_transfer_no_more(
    customers: Running, rep: Caller, manager: Caller, small: None
) -> None:
    people = customers.people
    ids = await make_many(rep, 11)
    body = {"ids": ids, "to_user_id": str(people.colleague.id)}
    accepted = await manager("POST", "/customers/transfer", json=body)
    (role,) = await customers.rows("SELECT role_ids FROM directory_user WHERE id = $1", people.rep.id)
    await becomes(customers, people.manager, role_ids=[str(one) for one in role["role_ids"]])
    job = await ended(customers, manager, accepted)
    assert (job["state"], job["problem"]["code"]) == ("failed", "job.not_allowed")
    assert set(await owners(customers, ids)) == {str(people.rep.id)}


async def test_nobody_asks_for_what_they_may_not_do(
    customers: Running, rep: Caller, manager: Caller, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = customers.people
    ids = await make_many(rep, 11)
    everything = {"field": "name", "op": "starts_with", "value": "Customer"}
    body = {"filter": everything, "to_user_id": str(people.stranger.id)}
    refused = await manager("POST", "/customers/transfer", json=body)
    assert (refused.status, refused["code"]) == (403, "scope.target_out_of_scope")
    refused = await rep("POST", "/customers/transfer", json={**body, "ids": ids, "filter": None})
    assert (refused.status, refused["code"]) == (403, "permission.missing")
    monkeypatch.setattr(matching, "MAX_MATCHES", 10)
    refused = await manager(
        "POST", "/customers/transfer", json={"filter": everything, "to_user_id": str(people.colleague.id)}
    )
    assert (refused.status, refused["code"]) == (422, "record.too_many_matches")
    assert await customers.rows("SELECT * FROM job") == []


async def test_asked_twice_under_one_key_it_is_one_job(
    customers: Running, rep: Caller, manager: Caller, small: None
) -> None:
    body = {"ids": await make_many(rep, 11), "to_user_id": str(customers.people.colleague.id)}
    key = {"idempotency-key": "one"}
    first, second = [await manager("POST", "/customers/transfer", json=body, headers=key) for _ in range(2)]
    assert first["id"] == second["id"]
    assert second.headers["location"] == first.headers["location"]


async def test_a_large_batch_is_a_job_with_an_answer_per_row(
    customers: Running, rep: Caller, manager: Caller, small: None
) -> None:
    def ref(n: int) -> dict[str, Any]:
        return {"external_ref": {"system": "erp", "id": f"{n}"}}

    rows: list[Any] = [{"name": f"C {n}", **ref(n)} for n in range(STEP * 3 + 1)]
    rows[1] = {"name": "", **ref(1)}
    rows[6] = "no object"
    rows[9] = {"name": "Again", **ref(0)}
    refused = await rep("POST", "/customers/batch", json={"mode": "create", "rows": rows * 100})
    assert refused.status == 422
    accepted = await rep("POST", "/customers/batch-jobs", json={"mode": "create", "rows": rows})
    job = await ended(customers, rep, accepted)
    assert (job["state"], job["total"], job["done"], job["failed"]) == ("succeeded", 13, 10, 3)
    failed = await rows_of(rep, job, status="error")
    assert [(row["index"], row["code"]) for row in failed] == [
        (1, "request.invalid"),
        (6, "request.invalid"),
        (9, "record.external_ref_repeated"),
    ]
    assert failed[0]["errors"][0]["pointer"] == "/rows/1/name"
    made = await rows_of(rep, job, status="ok")
    assert {row["done"] for row in made} == {"created"}
    # The same again changes what is there, and finds what is wrong the same way.
    rows[2]["name"] = "Changed"
    again = await ended(
        customers,
        manager,
        await manager("POST", "/customers/batch-jobs", json={"mode": "upsert", "rows": rows}),
    )
    assert (again["done"], again["failed"]) == (10, 3)
    done = {row["index"]: (row["done"], row["id"]) for row in await rows_of(manager, again, status="ok")}
    assert done == {row["index"]: ("changed" if row["index"] == 2 else "unchanged", row["id"]) for row in made}


async def test_a_large_batch_asks_for_the_permissions_of_its_mode(customers: Running, rep: Caller) -> None:
    reader = customers.caller(customers.people.executive)
    for mode in ("create", "change", "upsert"):
        answer = await reader("POST", "/customers/batch-jobs", json={"mode": mode, "rows": [{}]})
        assert (answer.status, answer["code"]) == (403, "permission.missing")
    accepted = await rep("POST", "/customers/batch-jobs", json={"mode": "create", "rows": [{"name": "A"}]})
    await becomes(customers, customers.people.rep, role_ids=[])
    job = await ended(customers, rep, accepted)
    assert (job["state"], job["problem"]["code"]) == ("failed", "job.not_allowed")


async def test_fifty_thousand_rows_are_taken_and_not_one_more(customers: Running, rep: Caller) -> None:
    rows: list[Any] = [{"name": "A"}] * 50_001
    answer = await rep("POST", "/customers/batch-jobs", json={"mode": "create", "rows": rows})
    assert (answer.status, answer.codes) == (422, [("/rows", "field.too_long")])
    accepted = await rep("POST", "/customers/batch-jobs", json={"mode": "create", "rows": rows[1:]})
    assert (accepted.status, accepted["total"]) == (202, 50_000)
    (parts,) = await customers.rows("SELECT count(*) FROM job_input")
    assert parts[0] == 100


async def test_records_are_changed_alike_by_ids_or_filter(customers: Running, rep: Caller, manager: Caller) -> None:
    ids = await make_many(rep, 5)
    unknown = str(new_id())
    answer = await rep("POST", "/customers/change", json={"ids": [*ids[:2], unknown], "values": {"industry": "Mills"}})
    assert answer.status == 200
    assert [(row["id"], row["status"]) for row in answer["rows"]] == [
        (ids[0], "ok"),
        (ids[1], "ok"),
        (unknown, "error"),
    ]
    industry = {"field": "industry", "op": "eq", "value": "Mills"}
    answer = await manager("POST", "/customers/change", json={"filter": industry, "values": {"industry": "Bakers"}})
    assert answer["ok"] == 2
    assert {row["id"] for row in answer["rows"]} == set(ids[:2])
    for values, expected in (
        ({"industry": 7}, ("/values/industry", "field.type")),
        ({"nonsense": 7}, ("/values/nonsense", "field.unknown")),
        ({"external_ref": {"system": "a", "id": "b"}}, ("/values/external_ref", "field.read_only")),
        ({}, ("/values", "field.required")),
        ("text", ("/values", "field.required")),
    ):
        refused = await rep("POST", "/customers/change", json={"ids": ids, "values": values})
        assert refused.codes == [expected], values
    stranger = customers.caller(customers.people.stranger)
    answer = await stranger("POST", "/customers/change", json={"ids": ids[:1], "values": {"industry": "X"}})
    assert answer["rows"][0]["code"] == "record.not_found"


async def test_many_records_are_changed_alike_by_a_job(customers: Running, rep: Caller, small: None) -> None:
    ids = await make_many(rep, 11)
    body = {"filter": {"field": "industry", "op": "is_empty"}, "values": {"industry": "Mills"}}
    job = await ended(customers, rep, await rep("POST", "/customers/change", json=body))
    assert (job["state"], job["done"]) == ("succeeded", 11)
    shown = await rep.done("GET", "/customers", params={"limit": 50})
    assert {item["id"]: item["industry"] for item in shown["items"]} == dict.fromkeys(ids, "Mills")
    assert {item["version"] for item in shown["items"]} == {2}


async def test_two_runners_double_no_transfer(customers: Running, rep: Caller, manager: Caller, small: None) -> None:
    ids = await make_many(rep, 40)
    for start in (0, 20):
        body = {"ids": ids[start : start + 20], "to_user_id": str(customers.people.colleague.id)}
        assert (await manager("POST", "/customers/transfer", json=body)).status == 202
    await asyncio.gather(*(_runner(customers).run_due() for _ in range(3)))
    versions = await customers.rows("SELECT DISTINCT version, owner_id FROM customer")
    assert [(row["version"], str(row["owner_id"])) for row in versions] == [(2, str(customers.people.colleague.id))]


@pytest.mark.requirement("PL-9")
async def test_rows_that_no_document_can_hold_are_refused_at_once(rep: Caller) -> None:
    for text in (rb"\ud800", rb"a\u0000b"):
        body = b'{"mode": "create", "rows": [{"name": "%s"}]}' % text
        headers = {"content-type": "application/json"}
        answer = await rep("POST", "/customers/batch-jobs", content=body, headers=headers)
        assert (answer.status, answer["code"]) == (400, "request.malformed"), answer
    # Six letters that only look like NUL.
    looks = b'{"mode": "create", "rows": [{"name": "%s"}]}' % rb"a\\u0000b"
    assert (await rep("POST", "/customers/batch-jobs", content=looks, headers=headers)).status == 202

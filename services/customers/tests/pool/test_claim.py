"""Claiming (CU-43): by members, exactly once, within the pool's limits."""

import asyncio
import datetime as dt
from collections import Counter
from typing import Any

import pytest
from services.customers.tests.conftest import make_customer, told
from services.customers.tests.pool.pools import assign, claim, make_pool, pooled, rewind

from crm_authz import Rule
from crm_customers.app import SERVICE
from crm_testing.service import Caller, Rights, Running, running

CLAIMERS = 64
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)


@pytest.mark.requirement("CU-43")
async def test_a_member_claims_a_customer_and_is_its_owner(customers: Running, rep: Caller, colleague: Caller) -> None:
    waiting = await pooled(rep)
    taken = await claim(colleague, waiting)
    assert taken.status == 200
    people = customers.people
    assert (taken["owner_id"], taken["pool_id"], taken["pooled_at"]) == (str(people.colleague.id), None, None)
    assert taken.headers["etag"] == f'"{taken["version"]}"'
    (*_, (fact, event)) = await told(customers, waiting)
    assert (fact, str(event.pool_id), event.previous_owner_id) == ("claimed", waiting["pool_id"], people.rep.id)
    assert event.access is not None
    assert event.credit is not None
    assert (event.access.owner_id, event.credit.user_id) == (people.colleague.id, people.colleague.id)
    assert (event.changes["owner_id"].old, event.changes["owner_id"].new) == (None, str(people.colleague.id))
    assert (await rep("GET", f"/customers/{waiting['id']}")).status == 404
    assert (await colleague.done("GET", f"/customers/{waiting['id']}"))["id"] == waiting["id"]


@pytest.mark.requirement("CU-43")
async def test_what_is_in_no_pool_is_not_claimed(
    customers: Running, rep: Caller, colleague: Caller, manager: Caller
) -> None:
    owned = await make_customer(rep)
    assert (await claim(colleague, owned)).status == 404
    assert (await claim(manager, owned))["code"] == "customer.not_in_pool"
    assert (await claim(rep, {"id": "01900000-0000-7000-8000-00000000ffff"})).status == 404
    waiting = await pooled(rep)
    assert (await claim(colleague, waiting)).status == 200
    late = await claim(rep, waiting)
    assert (late.status, late["code"]) == (409, "customer.already_claimed")
    executive = customers.caller(customers.people.executive)
    assert (await claim(executive, await pooled(rep)))["code"] == "permission.missing"


@pytest.mark.requirement("CU-43")
async def test_a_deleted_customer_is_not_claimed(rep: Caller, colleague: Caller, admin: Caller) -> None:
    waiting = await pooled(rep)
    await admin.done("DELETE", f"/customers/{waiting['id']}")
    assert (await claim(colleague, waiting)).status == 404


@pytest.mark.requirement("CU-40", "CU-43")
async def test_only_members_claim_and_others_do_not_learn_of_it(
    customers: Running, admin: Caller, rep: Caller, colleague: Caller
) -> None:
    people = customers.people
    stranger = customers.caller(people.stranger)
    by_department = await make_pool(admin, open_to_all=False, member_department_ids=[str(people.north)])
    by_name = await make_pool(admin, open_to_all=False, member_user_ids=[str(people.stranger.id)])
    top = await make_pool(admin, open_to_all=False, member_department_ids=[str(people.headquarters)])
    for pool, member, other in ((by_department, colleague, stranger), (by_name, stranger, colleague)):
        waiting = await pooled(rep, pool)
        assert (await claim(other, waiting)).status == 404
        assert (await claim(member, waiting)).status == 200
        assert (await claim(other, waiting)).status == 404, "nor afterwards"
    assert (await claim(stranger, await pooled(rep, top))).status == 200, "of a department below"


@pytest.mark.requirement("CU-43")
async def test_of_many_who_claim_at_once_exactly_one_gets_the_customer(customers_dsn: str) -> None:
    # A connection for each, and time for all of them to connect while the row is held.
    async with running(SERVICE, customers_dsn, pool_max=CLAIMERS + 2, lock_timeout_seconds=60) as customers:
        people = customers.people
        waiting = await pooled(customers.caller(people.rep))
        claimers = [customers.caller(person) for person in (people.colleague, people.manager, people.stranger)]
        await race(customers, claimers, waiting)


async def race(customers: Running, claimers: list[Caller], waiting: Any) -> None:
    """64 claims that have all begun before one goes on: each waits for the row, or for who waits for it, on its own connection."""
    async with customers.database.pool.acquire() as blocker:
        await blocker.execute("BEGIN READ WRITE")
        await blocker.execute("SELECT FROM customer WHERE id = $1 FOR UPDATE", waiting["id"])
        tasks = [asyncio.ensure_future(claim(claimers[n % len(claimers)], waiting)) for n in range(CLAIMERS)]
        try:
            await _until_waiting(customers, CLAIMERS)
        finally:
            await blocker.execute("ROLLBACK")
        answers = await asyncio.gather(*tasks)
    outcomes = Counter((answer.status, answer.body.get("code")) for answer in answers)
    assert outcomes == {(200, None): 1, (409, "customer.already_claimed"): CLAIMERS - 1}
    winner = next(answer for answer in answers if answer.status == 200)
    assert [fact for fact, _ in await told(customers, waiting)] == ["created", "released", "claimed"]
    (row,) = await customers.rows("SELECT owner_id, pool_id, version FROM customer WHERE id = $1", waiting["id"])
    assert (str(row["owner_id"]), row["pool_id"], row["version"]) == (winner["owner_id"], None, 3)


async def _until_waiting(customers: Running, count: int) -> None:
    """Until so many sessions wait for a lock; fail after 50 s."""
    found = 0
    sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    try:
        async with asyncio.timeout(50):
            while found < count:
                found = (await customers.rows(sql))[0][0]
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"{found} of {count} claims waited for the row") from None


@pytest.mark.requirement("CU-43")
async def test_the_daily_cap_holds_under_parallel_claims(
    customers: Running, admin: Caller, rep: Caller, colleague: Caller, manager: Caller
) -> None:
    pool = await make_pool(admin, daily_claim_cap=3)
    waiting = [await pooled(rep, pool, f"Pooled {number}") for number in range(10)]
    answers = await asyncio.gather(*(claim(colleague, one) for one in waiting))
    outcomes = Counter((answer.status, answer.body.get("code")) for answer in answers)
    assert outcomes == {(200, None): 3, (409, "pool.claim_cap_reached"): 7}
    refused = next(answer for answer in answers if answer.status == 409)
    # 2026-11-24 in Seoul begins at 15:00 UTC.
    assert refused["available_from"] == "2026-11-23T15:00:00Z"
    left = [one for one, answer in zip(waiting, answers, strict=True) if answer.status == 409]
    assert (await claim(manager, left[0])).status == 200, "each user has a cap of their own"


@pytest.mark.requirement("CU-43")
async def test_the_cap_counts_claims_from_the_pools_history_and_nothing_else(
    customers: Running, admin: Caller, rep: Caller, colleague: Caller
) -> None:
    people = customers.people
    pool, other = await make_pool(admin, daily_claim_cap=2), await make_pool(admin, daily_claim_cap=2)
    await make_customer(colleague, "Created")
    (given,) = [await pooled(rep, pool)]
    assert (await assign(admin, pool["id"], [given], people.colleague)).body["rows"][0]["status"] == "ok"
    assert (await claim(colleague, await pooled(rep, other))).status == 200
    first = await pooled(rep, pool)
    assert (await claim(colleague, first)).status == 200
    # Given back, it still was a claim.
    await colleague.done("POST", f"/customers/{first['id']}/release", json={"reason": "wrong one"})
    assert (await claim(colleague, await pooled(rep, pool))).status == 200
    refused = await claim(colleague, await pooled(rep, pool))
    assert (refused.status, refused["code"]) == (409, "pool.claim_cap_reached")


@pytest.mark.requirement("CU-43", "PL-10")
async def test_the_cap_is_of_the_companys_day(customers: Running) -> None:
    rewind(customers)
    people = customers.people
    pool = await make_pool(customers.caller(people.administrator), daily_claim_cap=1)
    rep = customers.caller(people.rep)
    waiting = [await pooled(rep, pool) for _ in range(4)]

    async def after(hours: float, customer: Any) -> int:
        customers.clock.advance(dt.timedelta(hours=hours))
        return (await claim(customers.caller(people.colleague), customer)).status

    # From 12:00 in Seoul; the next day begins there twelve hours later.
    assert await after(0, waiting[0]) == 200
    assert await after(11.99, waiting[1]) == 409
    assert await after(0.01, waiting[1]) == 200
    assert await after(1, waiting[2]) == 409
    assert await after(24, waiting[2]) == 200


@pytest.mark.requirement("CU-43")
async def test_a_new_arrival_is_held_and_its_previous_owner_cools_down(customers: Running) -> None:
    rewind(customers)
    people = customers.people

    def caller(person: Any) -> Caller:
        return customers.caller(person)

    admin = caller(people.administrator)
    pool = await make_pool(admin, hold_hours=6, cooldown_days=3)
    waiting = await pooled(caller(people.rep), pool)
    arrived = customers.clock.now()

    async def refused_until(person: Any, code: str, until: dt.datetime) -> None:
        answer = await claim(caller(person), waiting)
        assert (answer.status, answer["code"]) == (409, code)
        assert answer["available_from"] == until.isoformat().replace("+00:00", "Z")

    await refused_until(people.colleague, "pool.on_hold", arrived + 6 * HOUR)
    await refused_until(people.rep, "pool.on_hold", arrived + 6 * HOUR)
    customers.clock.advance(6 * HOUR)
    await refused_until(people.rep, "pool.cooling_down", arrived + 3 * DAY)
    assert (await claim(caller(people.colleague), waiting)).status == 200
    # The cool-down is of who gave it up last.
    await caller(people.colleague).done(
        "POST", f"/customers/{waiting['id']}/release", json={"reason": "no", "pool_id": pool["id"]}
    )
    customers.clock.advance(6 * HOUR)
    assert (await claim(caller(people.rep), waiting)).status == 200
    await caller(people.rep).done(
        "POST", f"/customers/{waiting['id']}/release", json={"reason": "no", "pool_id": pool["id"]}
    )
    customers.clock.advance(3 * DAY)
    assert (await claim(caller(people.rep), waiting)).status == 200


@pytest.mark.requirement("CU-43", "PL-8")
async def test_a_repeated_claim_with_the_same_key_is_one_claim(
    customers: Running, rep: Caller, colleague: Caller
) -> None:
    waiting = await pooled(rep)
    headers = {"Idempotency-Key": "claim-1"}
    answers = [await colleague("POST", f"/customers/{waiting['id']}/claim", headers=headers) for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 200]
    assert answers[0].body == answers[1].body
    assert [fact for fact, _ in await told(customers, waiting)] == ["created", "released", "claimed"]


@pytest.mark.requirement("CU-43")
async def test_who_may_claim_needs_no_scope_over_customers(customers: Running, rep: Caller) -> None:
    waiting = await pooled(rep)
    rights = Rights(("customers.customer:claim",), {"customers.*": {"read": Rule("self")}})
    assert (await claim(customers.caller(customers.people.general, rights=rights), waiting)).status == 200

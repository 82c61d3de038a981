"""Which customers an opportunity can be for: those that the caller sees, as the replica knows them (SA-2, PL-13)."""

import asyncio
import datetime as dt
import uuid
from typing import Any

import pytest
from services.sales.tests.conftest import customer_event, make_customer, make_opportunity

from crm_contracts.customers import CUSTOMER_EVENTS
from crm_testing.service import Caller, Person, Rights, Running, consistency_token


async def takes(caller: Caller, customer_id: str) -> bool:
    answer = await caller("POST", "/opportunities", json={"name": "X", "customer_id": customer_id})
    if answer.status == 201:
        return True
    assert (answer.status, answer["code"]) == (422, "opportunity.customer_unknown")
    assert answer.codes == [("/customer_id", "opportunity.customer_unknown")]
    return False


async def change(
    sales: Running, customer_id: str, owner: Person | None, version: int, kind: str = "changed", **more: Any
) -> None:
    extra = {"members": more.pop("members")} if "members" in more else {}
    await sales.hear(customer_event(kind, id=uuid.UUID(customer_id), owner=owner, version=version, **extra, **more))


@pytest.mark.requirement("SA-2", "PL-30")
async def test_only_customers_that_the_caller_sees(sales: Running) -> None:
    people = sales.people
    mine = await make_customer(sales, people.rep)
    nobodys = await make_customer(sales, people.rep)
    await change(sales, nobodys, None, 2)
    expected = {people.rep: True, people.colleague: False, people.manager: True, people.other_manager: False}
    for person, sees in expected.items():
        assert await takes(sales.caller(person), mine) is sees
        # One in a pool is nobody's.
        assert not await takes(sales.caller(person), nobodys)
    assert await takes(sales.caller(people.administrator), nobodys)
    assert not await takes(sales.caller(people.administrator), str(uuid.uuid4()))


@pytest.mark.requirement("PL-21", "SA-2")
async def test_members_of_a_customer_see_it_until_they_expire(sales: Running) -> None:
    people = sales.people
    customer = await make_customer(sales, people.rep)
    colleague = sales.caller(people.colleague)
    until = sales.clock.now() + dt.timedelta(minutes=1)
    members = [{"user_id": str(people.colleague.id), "right": "read", "expires_at": until.isoformat()}]
    await sales.hear(
        customer_event("members_changed", id=uuid.UUID(customer), owner=people.rep, version=2, members=members)
    )
    assert await takes(colleague, customer)
    sales.clock.advance(dt.timedelta(minutes=1))
    assert not await takes(sales.caller(people.colleague), customer)
    await change(sales, customer, people.rep, 3, members=[{"user_id": str(people.colleague.id), "right": "read"}])
    assert await takes(sales.caller(people.colleague), customer)
    await change(sales, customer, people.rep, 4)
    assert not await takes(sales.caller(people.colleague), customer)


@pytest.mark.requirement("SA-2")
async def test_a_deleted_customer_gets_no_new_opportunity(sales: Running, rep: Caller) -> None:
    customer = await make_customer(sales, sales.people.rep)
    made = await make_opportunity(rep, customer_id=customer)
    await change(sales, customer, sales.people.rep, 2, "deleted", deleted=True)
    assert not await takes(rep, customer)
    # What it has it keeps.
    path = f"/opportunities/{made['id']}"
    assert (await rep.done("PATCH", path, json={"name": "Y", "customer_id": customer}))["customer_id"] == customer
    await change(sales, customer, sales.people.rep, 3, "restored")
    assert await takes(rep, customer)


async def test_older_events_change_nothing_whenever_they_come(sales: Running, rep: Caller) -> None:
    people = sales.people
    customer = uuid.uuid4()
    await sales.hear(customer_event("changed", id=customer, owner=people.colleague, version=3))
    await sales.hear(
        customer_event("created", id=customer, owner=people.rep, version=1),
        customer_event(
            "members_changed",
            id=customer,
            owner=people.rep,
            version=2,
            members=[{"user_id": str(people.rep.id), "right": "write"}],
        ),
    )
    assert not await takes(rep, str(customer))
    assert await takes(sales.caller(people.colleague), str(customer))


async def test_another_customer_is_checked_like_a_new_ones(sales: Running, rep: Caller) -> None:
    mine = await make_customer(sales, sales.people.rep)
    theirs = await make_customer(sales, sales.people.stranger)
    made = await make_opportunity(rep, customer_id=mine)
    path = f"/opportunities/{made['id']}"
    refused = await rep("PATCH", path, json={"customer_id": theirs})
    assert (refused.status, refused["code"]) == (422, "opportunity.customer_unknown")
    assert (await rep.done("PATCH", path, json={"customer_id": None}))["customer_id"] is None


async def test_who_may_not_see_customers_names_none(sales: Running) -> None:
    """A data scope over customers without the permission to read them."""
    person = sales.people.rep
    mine = await make_customer(sales, person)
    rights = Rights(("sales.opportunity:create",), person.role.scopes)
    assert not await takes(sales.caller(person, rights=rights), mine)
    more = Rights(("sales.opportunity:create", "customers.customer:read"), person.role.scopes)
    assert await takes(sales.caller(person, rights=more), mine)


@pytest.mark.requirement("PL-13")
async def test_who_sends_the_consistency_token_never_meets_an_unknown_customer(sales: Running, rep: Caller) -> None:
    customer, write_id = uuid.uuid4(), uuid.uuid4()
    token = await consistency_token("customers", sales, write_id, {CUSTOMER_EVENTS.created.type: 1})
    body = {"name": "At once", "customer_id": str(customer)}
    # Without it: the event has not arrived, and the answer says so.
    assert not await takes(rep, str(customer))
    asked = asyncio.create_task(rep("POST", "/opportunities", json=body, headers={"consistency-token": token}))
    async with asyncio.timeout(5):
        while not any("inbox" in (row["query"] or "") for row in await _statements(sales)):
            assert not asked.done(), asked.result()
            await asyncio.sleep(0.005)
    assert not asked.done()
    await sales.hear(customer_event(id=customer, owner=sales.people.rep, write_id=write_id))
    assert (await asked).status == 201


@pytest.mark.requirement("PL-13")
async def test_a_customer_that_never_arrives_is_told_as_not_yet(sales: Running, rep: Caller) -> None:
    token = await consistency_token("customers", sales, uuid.uuid4(), {CUSTOMER_EVENTS.created.type: 1})
    body = {"name": "At once", "customer_id": str(uuid.uuid4())}
    answer = await rep("POST", "/opportunities", json=body, headers={"consistency-token": token})
    assert (answer.status, answer["code"]) == (503, "consistency_token.not_applied")
    assert answer.headers["retry-after"]


async def _statements(sales: Running) -> Any:
    """What the service's connections ran last: whether a request waits for the inbox."""
    return await sales.rows(
        "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )

"""An activity's customer is that of what it is about: none that is gone when it is linked, and along when it changes (SA-30)."""

import asyncio
import uuid
from typing import Any

import pytest
from services.sales.tests.activity.stand import (
    FOREIGN,
    body,
    contact_event,
    foreign_event,
    link,
    make_contact,
    make_foreign,
    note,
)
from services.sales.tests.conftest import customer_event, make_customer, make_opportunity

from crm_database import WriteContext
from crm_kernel import new_id
from crm_records import SystemUnit
from crm_records.actions.create import create_record
from crm_records.inputs import given_of
from crm_sales.activity.record import ACTIVITY
from crm_testing.service import NOW, Caller, Person, Running

#: What has a customer and comes from another service.
HEARD = ("contact", *FOREIGN)


def event_of(record: str, id: str, customer: str | None, owner: Person, version: int = 2, **state: Any) -> Any:
    """What another service tells of a change of this record."""
    known: dict[str, Any] = {"id": uuid.UUID(id), "customer_id": customer, "owner": owner, "version": version, **state}
    return contact_event("changed", **known) if record == "contact" else foreign_event(record, "changed", **known)


async def make(sales: Running, record: str, owner: Person, customer: str) -> str:
    if record == "contact":
        return await make_contact(sales, owner, customer)
    return await make_foreign(sales, record, owner, customer)


async def customer_of(caller: Caller, activity: Any) -> Any:
    return (await caller.done("GET", f"/activities/{activity['id']}"))["customer_id"]


@pytest.mark.requirement("SA-30")
async def test_a_deleted_customer_gets_no_new_activities_through_what_is_its(sales: Running, manager: Caller) -> None:
    mine = sales.people.manager
    gone, other = await make_customer(sales, mine), await make_customer(sales, mine)
    theirs = {record: await make(sales, record, mine, gone) for record in HEARD}
    theirs["opportunity"] = (await make_opportunity(manager, customer_id=gone))["id"]
    before = {record: await note(manager, link(record, key)) for record, key in theirs.items()}
    unrelated = await note(manager, link("customer", other))
    await sales.hear(customer_event("deleted", id=uuid.UUID(gone), owner=mine, version=2, deleted=True))
    for record, key in theirs.items():
        refused = await manager("POST", "/activities", json=body(link("customer", other), link(record, key)))
        assert (refused.status, refused.codes) == (422, [("/links/1", "link.unknown")]), record
        path = f"/activities/{unrelated['id']}"
        refused = await manager("PATCH", path, json={"links": [link(record, key)]})
        assert (refused.status, refused.codes) == (422, [("/links/0", "link.unknown")]), record
        # What is linked already stays, with another beside it; and what is about it is found.
        path = f"/activities/{before[record]['id']}"
        kept = await manager.done("PATCH", path, json={"links": [link(record, key), link("customer", other)]})
        assert kept["customer_id"] == gone
        found = await manager.done("GET", "/activities", params={"about": "{type}:{id}".format(**link(record, key))})
        assert [one["id"] for one in found["items"]] == [kept["id"]]


@pytest.mark.requirement("SA-30")
async def test_a_customer_not_heard_of_yet_is_not_one_that_is_gone(sales: Running, manager: Caller) -> None:
    unheard = str(new_id())
    contact = await make_contact(sales, sales.people.manager, unheard)
    assert (await note(manager, link("contact", contact)))["customer_id"] == unheard


@pytest.mark.requirement("SA-30")
@pytest.mark.parametrize("record", HEARD)
async def test_activities_go_along_with_what_they_are_about(sales: Running, manager: Caller, record: str) -> None:
    mine = sales.people.manager
    first, second, third = [await make_customer(sales, mine) for _ in range(3)]
    moving = await make(sales, record, mine, first)
    follows = await note(manager, link(record, moving))
    # The first link that has a customer counts: here it is another.
    stays = await note(manager, link("customer", third), link(record, moving))
    deleted = await note(manager, link(record, moving))
    await manager.done("DELETE", f"/activities/{deleted['id']}")
    unrelated = await note(manager, link("customer", first))
    moved = event_of(record, moving, second, mine)
    position = await sales.position()
    await sales.hear(moved)
    assert await customer_of(manager, follows) == second
    assert await customer_of(manager, stays) == third
    assert await customer_of(manager, unrelated) == first
    (told,) = await sales.events(since=position)
    assert (told["type"], str(told["subject"]), told["version"]) == (
        "crm.sales.activity.changed.v1",
        follows["id"],
        2,
    )
    assert told["data"]["changes"] == {"customer_id": {"old": first, "new": second}}
    assert (told["data"]["actor"]["kind"], told["data"]["state"]["customer_id"]) == ("system", second)
    # Once more, an older one, and one that says nothing new of the customer change nothing.
    await sales.hear(moved, event_of(record, moving, first, mine, 1), event_of(record, moving, second, mine, 3))
    assert len(await sales.events(since=position)) == 1
    # A deleted one looks when it comes back.
    await manager.done("POST", f"/activities/{deleted['id']}/restore")
    assert await customer_of(manager, deleted) == second


@pytest.mark.requirement("SA-30")
async def test_a_strangers_ticket_brings_its_activities_when_it_gets_a_customer(
    sales: Running, manager: Caller
) -> None:
    mine = sales.people.manager
    customer = await make_customer(sales, mine)
    ticket = await make_foreign(sales, "ticket", mine, None)
    made = await note(manager, link("ticket", ticket))
    await sales.hear(event_of("ticket", ticket, customer, mine))
    assert await customer_of(manager, made) == customer
    await sales.hear(event_of("ticket", ticket, None, mine, 3))
    assert await customer_of(manager, made) is None


@pytest.mark.requirement("SA-30")
async def test_activities_go_along_with_an_opportunity_whoever_owns_them(sales: Running, manager: Caller) -> None:
    people = sales.people
    first, second = [await make_customer(sales, people.rep) for _ in range(2)]
    rep = sales.caller(people.rep)
    deal = await make_opportunity(rep, customer_id=first)
    theirs, mine = (
        await note(rep, link("opportunity", deal["id"])),
        await note(manager, link("opportunity", deal["id"])),
    )
    position = await sales.position()
    await rep.done("PATCH", f"/opportunities/{deal['id']}", json={"customer_id": second})
    assert [await customer_of(manager, one) for one in (theirs, mine)] == [second, second]
    assert len(await sales.events("%activity.changed%", since=position)) == 2
    # A change of something else looks for none.
    await rep.done("PATCH", f"/opportunities/{deal['id']}", json={"name": "Another"})
    assert len(await sales.events("%activity%", since=position)) == 2


@pytest.mark.requirement("SA-30")
async def test_who_links_while_the_record_goes_to_another_customer_is_waited_for(
    sales: Running, manager: Caller
) -> None:
    """The link is made with the customer of before, and committed after the event has come."""
    mine = sales.people.manager
    first, second = [await make_customer(sales, mine) for _ in range(2)]
    contact = await make_contact(sales, mine, first)
    async with sales.database.write(WriteContext(now=NOW)) as session:
        unit = await SystemUnit.within(session, "what a request does, held open")
        given = given_of(ACTIVITY, ACTIVITY.models.create.model_validate(body(link("contact", contact))))
        made = await create_record(unit, ACTIVITY, given)
        assert str(made["customer_id"]) == first
        moving = asyncio.create_task(sales.hear(event_of("contact", contact, second, mine)))
        async with asyncio.timeout(10):
            while not moving.done() and not await _somebody_waits(sales):
                pass
        assert not moving.done()
    await moving
    (row,) = await sales.rows("SELECT customer_id FROM activity WHERE id = $1", made.id)
    assert str(row["customer_id"]) == second


async def _somebody_waits(sales: Running) -> bool:
    (row,) = await sales.rows(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    return bool(row[0])

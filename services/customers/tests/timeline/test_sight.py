"""Who sees what of a timeline: by permission and scope over each type of record, as they are now (CU-17, PL-30)."""

import datetime as dt
from typing import Any

import pytest
from services.customers.tests.conftest import make_contact, make_customer
from services.customers.tests.timeline.stories import kinds, relayed, timeline, told

from crm_authz import Principal, Rule
from crm_contracts.billing import CONTRACT_EVENTS, PAYMENT_EVENTS
from crm_contracts.records import StandardEvents
from crm_contracts.sales import ACTIVITY_EVENTS, OPPORTUNITY_EVENTS
from crm_contracts.support import TICKET_EVENTS
from crm_customers.timeline import page_store as page
from crm_kernel import new_id
from crm_testing.service import NOW, Caller, Person, Rights, Running

FOREIGN = {
    "opportunity": OPPORTUNITY_EVENTS,
    "activity": ACTIVITY_EVENTS,
    "contract": CONTRACT_EVENTS,
    "ticket": TICKET_EVENTS,
}
ALL_RECORDS = ["activity", "contact", "contract", "customer", "opportunity", "payment", "ticket"]


READS = [f"{source}:read" for source in page.SOURCES]
OWN = {"*": {"*": Rule("self")}}


@pytest.fixture
def reader(customers: Running) -> Caller:
    """The representative, with the right to see their own records of every type."""
    return customers.caller(customers.people.rep, rights=Rights(READS, OWN))


async def one_of_each(customers: Running, customer: Any, owner: Person) -> dict[str, Any]:
    """A record of each type that the person owns, at the customer: kind → id."""
    contact = await make_contact(customers.caller(customers.people.administrator), customer, owner_id=str(owner.id))
    made: dict[str, Any] = {name: new_id() for name in FOREIGN}
    await customers.hear(*await relayed(customers))
    for name, events in FOREIGN.items():
        await customers.hear(told(events.created, id=made[name], owner=owner, customer_id=customer["id"]))
    payment = told(PAYMENT_EVENTS.created, owner=owner, contract_id=str(made["contract"]))
    await customers.hear(payment)
    return {**made, "contact": contact["id"], "payment": payment.subject}


async def seen(caller: Caller, customer: Any) -> list[str]:
    """The types of records that the caller finds in a timeline."""
    return sorted({record for record, _ in await kinds(caller, customer)})


@pytest.mark.requirement("CU-17", "PL-30")
async def test_a_timeline_is_there_for_who_sees_the_customer(customers: Running, rep: Caller) -> None:
    customer = await make_customer(rep)
    await customers.hear(*await relayed(customers))
    people = customers.people
    path = f"/customers/{customer['id']}/timeline"
    reads = {people.rep: 200, people.manager: 200, people.executive: 200, people.agent: 200}
    reads |= {people.colleague: 404, people.other_manager: 404, people.general: 403}
    for person, status in reads.items():
        assert (await customers.caller(person)("GET", path)).status == status, person.role.key
    assert (await rep("GET", f"/customers/{new_id()}/timeline")).status == 404
    await customers.caller(people.manager).done("DELETE", f"/customers/{customer['id']}")
    assert (await rep("GET", path)).status == 404


@pytest.mark.requirement("CU-17", "PL-30")
async def test_each_sees_the_entries_of_the_records_that_they_see(customers: Running, rep: Caller) -> None:
    people = customers.people
    customer = await make_customer(rep)
    await one_of_each(customers, customer, people.stranger)
    # The customer is the rep's; everything about it is somebody else's.
    assert await seen(rep, customer) == ["customer"]
    assert await seen(customers.caller(people.manager), customer) == ["customer"]
    assert await seen(customers.caller(people.executive), customer) == ALL_RECORDS
    # Who supports customers sees tickets of their department's, and contacts of all.
    assert await seen(customers.caller(people.agent), customer) == ["contact", "customer"]
    await one_of_each(customers, customer, people.rep)
    # Payments and tickets are not for sales representatives, whoever owns them.
    assert await seen(rep, customer) == [name for name in ALL_RECORDS if name not in ("payment", "ticket")]


@pytest.mark.requirement("CU-17", "PL-22", "PL-21")
async def test_the_present_owner_and_members_count(customers: Running, rep: Caller, reader: Caller) -> None:
    people = customers.people
    customer = await make_customer(rep)
    for name, events in FOREIGN.items():
        record, ours = new_id(), {"customer_id": customer["id"]}
        await customers.hear(told(events.created, id=record, version=1, owner=people.rep, **ours))
        assert await seen(reader, customer) == [name], "before it goes to somebody else"
        transferred, members_changed = events.transferred, events.members_changed
        assert transferred is not None
        assert members_changed is not None
        away = {"from_user_id": str(people.rep.id), "to_user_id": str(people.stranger.id)}
        gone = told(transferred, id=record, version=2, owner=people.stranger, extra=away, **ours)
        await customers.hear(gone)
        assert await seen(reader, customer) == []
        ends = (NOW + dt.timedelta(hours=1)).isoformat()
        member = {"user_id": str(people.rep.id), "right": "read", "expires_at": ends}
        await customers.hear(
            told(members_changed, id=record, version=3, owner=people.stranger, members=[member], **ours)
        )
        assert await seen(reader, customer) == [name]
        customers.clock.advance(dt.timedelta(hours=1))
        assert await seen(customers.caller(people.rep, rights=Rights(READS, OWN)), customer) == []
        customers.clock.advance(-dt.timedelta(hours=1))
        await customers.hear(told(events.deleted, id=record, version=4, owner=people.rep, deleted=True, **ours))


@pytest.mark.requirement("CU-17", "ID-16")
async def test_a_type_without_its_permission_is_left_out(customers: Running, rep: Caller) -> None:
    person = customers.people.rep
    customer = await make_customer(rep)
    await one_of_each(customers, customer, person)
    assert await seen(customers.caller(person, rights=Rights(READS, OWN)), customer) == ALL_RECORDS
    for source in page.SOURCES:
        if source == "customers.customer":
            continue
        rights = Rights([one for one in READS if one != f"{source}:read"], OWN)
        left = await seen(customers.caller(person, rights=rights), customer)
        assert left == [name for name in ALL_RECORDS if name != source.split(".")[1]]
        # A permission without a scope reaches nothing.
        some = {one: {"*": Rule("self")} for one in page.SOURCES if one != source}
        left = await seen(customers.caller(person, rights=Rights(READS, some)), customer)
        assert left == [name for name in ALL_RECORDS if name != source.split(".")[1]]


async def test_a_missing_look_at_permissions_is_noticed(
    customers: Running, rep: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard taken away: then the test above must notice."""
    real = Principal.allows
    monkeypatch.setattr(
        Principal, "allows", lambda self, code: real(self, code) or not code.startswith("customers.customer")
    )
    with pytest.raises(AssertionError):
        await test_a_type_without_its_permission_is_left_out(customers, rep)


def test_foreign_records_are_all_here() -> None:
    assert all(isinstance(one, StandardEvents) for one in FOREIGN.values())
    assert sorted(one.split(".")[1] for one in page.SOURCES) == ALL_RECORDS


@pytest.mark.requirement("CU-17")
async def test_what_is_asked_for_by_type_and_time(customers: Running, rep: Caller) -> None:
    customer, owner = await make_customer(rep), customers.people.rep
    for day in range(1, 8):
        at = f"2026-11-{day:02}T09:00:00Z"
        await customers.hear(
            told(OPPORTUNITY_EVENTS.created, owner=owner, customer_id=customer["id"], occurred_at=at),
            told(ACTIVITY_EVENTS.created, owner=owner, customer_id=customer["id"], happened_at=at),
        )
    assert len(await timeline(rep, customer)) == 14
    assert set(await kinds(rep, customer, types="sales.activity")) == {("activity", "noted")}
    assert len(await timeline(rep, customer, types="sales.activity,sales.opportunity,sales.activity")) == 14
    window = {"from": "2026-11-03T09:00:00Z", "before": "2026-11-05T18:00:00+09:00", "types": "sales.activity"}
    assert [one["at"][:10] for one in await timeline(rep, customer, **window)] == ["2026-11-04", "2026-11-03"]
    for wrong in ("sales.quote", "", "sales.activity,", "*"):
        refused = await rep("GET", f"/customers/{customer['id']}/timeline", params={"types": wrong})
        assert (refused.status, refused.codes) == (422, [("query:types", "timeline.type_unknown")]), wrong
    for name in ("from", "before"):
        refused = await rep("GET", f"/customers/{customer['id']}/timeline", params={name: "yesterday"})
        assert (refused.status, refused.codes[0][0]) == (422, f"query:{name}")


@pytest.mark.requirement("CU-17", "PL-4")
async def test_pages_have_everything_once_and_their_cursors_are_for_one_caller_and_question(
    customers: Running, rep: Caller, reader: Caller, manager: Caller
) -> None:
    customer, other = await make_customer(rep), await make_customer(rep, name="Other")
    owner = customers.people.rep
    # Many at one instant: the order goes on by their ids.
    for number in range(9):
        at = f"2026-11-0{1 + number // 4}T09:00:00Z"
        ours: dict[str, Any] = {"owner": owner, "customer_id": customer["id"]}
        await customers.hear(
            told(OPPORTUNITY_EVENTS.created, occurred_at=at, **ours),
            told(TICKET_EVENTS.created, occurred_at=at, **ours),
            told(ACTIVITY_EVENTS.created, happened_at=at, **ours),
        )
    whole = await timeline(reader, customer, limit=200)
    assert len(whole) == 9 * 2 + 9
    order = [(one["at"], one["id"]) for one in whole]
    assert order == sorted(order, reverse=True)
    for limit in (1, 2, 5, 26, 27):
        assert await timeline(reader, customer, limit=limit) == whole, limit
    path = f"/customers/{customer['id']}/timeline"
    first = await reader.done("GET", path, params={"limit": 5})
    goes_on = {"limit": 5, "cursor": first["next"]}
    for caller, at, asked in (
        (manager, path, goes_on),
        (reader, f"/customers/{other['id']}/timeline", goes_on),
        (reader, path, goes_on | {"types": "sales.activity"}),
        (reader, path, goes_on | {"before": "2026-11-02T00:00:00Z"}),
        (reader, path, goes_on | {"cursor": first["next"][:-2]}),
    ):
        refused = await caller("GET", at, params=asked)
        assert (refused.status, refused["code"]) == (422, "cursor.invalid")
    # What comes meanwhile is newer, and moves nothing.
    await customers.hear(told(OPPORTUNITY_EVENTS.created, occurred_at="2026-11-20T09:00:00Z", **ours))
    assert (await reader.done("GET", path, params=goes_on))["items"] == whole[5:10]

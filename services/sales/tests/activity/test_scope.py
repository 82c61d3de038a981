"""What an activity may be linked to, and who finds it by that (SA-30, PL-30)."""

import json
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

from crm_authz import Rule
from crm_authz.shipped import COLLECTIONS_REPRESENTATIVE
from crm_testing.service import Answered, Caller, Person, Rights, Running


async def records_of(sales: Running, person: Person) -> dict[str, str]:
    """A record of each type that the person owns: kind → id."""
    customer = await make_customer(sales, person)
    made = await make_opportunity(sales.caller(person))
    contact = await make_contact(sales, person, customer)
    foreign = {record: await make_foreign(sales, record, person, customer) for record in FOREIGN}
    return {"customer": customer, "contact": contact, "opportunity": made["id"], **foreign}


def is_unknown(answer: Answered, pointer: str = "/links/0") -> bool:
    if answer.status < 300:
        return False
    assert (answer.status, answer["code"]) == (422, "link.unknown"), answer
    assert answer.codes == [(pointer, "link.unknown")]
    return True


def _words(answer: Answered) -> dict[str, Any]:
    return {name: answer.body.get(name) for name in ("status", "code", "title", "detail", "errors")}


@pytest.mark.requirement("SA-30", "PL-30")
async def test_only_records_that_the_writer_sees(sales: Running) -> None:
    people = sales.people
    theirs = await records_of(sales, people.rep)
    sees = {people.rep: "self", people.colleague: "self", people.manager: "subordinates", people.other_manager: "peers"}
    allowed = {people.rep, people.manager}
    reads = ("sales.activity:create", *(f"{link(kind, '')['type']}:read" for kind in theirs))
    for kind, record_id in theirs.items():
        for person, rule in sees.items():
            caller = sales.caller(person, rights=Rights(reads, {"*": {"*": Rule(rule)}}))
            answer = await caller("POST", "/activities", json=body(link(kind, record_id)))
            assert is_unknown(answer) is (person not in allowed), (kind, answer)
        # What is missing is answered in the same words as what can't be seen.
        colleague = sales.caller(people.colleague, rights=Rights(reads, {"*": {"*": Rule("self")}}))
        hidden = await colleague("POST", "/activities", json=body(link(kind, record_id)))
        missing = await colleague("POST", "/activities", json=body(link(kind, str(uuid.uuid4()))))
        assert _words(hidden) == _words(missing)
    # An id is not enough: the type must be the record's.
    swapped = await sales.caller(people.rep)("POST", "/activities", json=body(link("contact", theirs["customer"])))
    assert is_unknown(swapped)


@pytest.mark.requirement("SA-30", "PL-30")
async def test_who_may_not_read_a_type_of_record_links_none(sales: Running) -> None:
    """A data scope over the records without the permission to read them."""
    person = sales.people.rep
    theirs = await records_of(sales, person)
    for kind, record_id in theirs.items():
        permission = f"{link(kind, record_id)['type']}:read"
        reach = {"*": {"*": Rule("self")}}
        without = Rights(("sales.activity:create",), reach)
        assert is_unknown(
            await sales.caller(person, rights=without)("POST", "/activities", json=body(link(kind, record_id)))
        )
        allowed = Rights(("sales.activity:create", permission), reach)
        assert not is_unknown(
            await sales.caller(person, rights=allowed)("POST", "/activities", json=body(link(kind, record_id)))
        )


@pytest.mark.requirement("SA-30")
async def test_deleted_records_get_no_new_activity_and_keep_those_they_have(sales: Running, rep: Caller) -> None:
    person = sales.people.rep
    theirs = await records_of(sales, person)
    # Tickets are not for sales representatives.
    del theirs["ticket"]
    kept = {kind: await note(rep, link(kind, record_id)) for kind, record_id in theirs.items()}
    customer, contact, contract = (uuid.UUID(theirs[kind]) for kind in ("customer", "contact", "contract"))
    await sales.hear(
        customer_event("deleted", id=customer, owner=person, version=2, deleted=True),
        contact_event("deleted", id=contact, owner=person, version=2, deleted=True, customer_id=str(customer)),
        foreign_event(
            "contract", "deleted", id=contract, owner=person, version=2, deleted=True, customer_id=str(customer)
        ),
    )
    # A representative has no permission to delete opportunities; somebody else removed it.
    await sales.caller(sales.people.manager).done("DELETE", f"/opportunities/{theirs['opportunity']}")
    for kind, record_id in theirs.items():
        assert is_unknown(await rep("POST", "/activities", json=body(link(kind, record_id)))), kind
        path = f"/activities/{kept[kind]['id']}"
        same = {"subject": f"About a {kind}", "links": [link(kind, record_id)]}
        assert (await rep.done("PATCH", path, json=same))["customer_id"] == kept[kind]["customer_id"]


@pytest.mark.requirement("SA-30")
async def test_a_new_link_is_checked_and_a_present_one_may_stay_unseen(sales: Running, rep: Caller) -> None:
    people = sales.people
    seen = await make_customer(sales, people.rep)
    made = await note(rep, link("customer", seen))
    path = f"/activities/{made['id']}"
    theirs = await make_customer(sales, people.stranger)
    refused = await rep("PATCH", path, json={"links": [link("customer", seen), link("customer", theirs)]})
    assert is_unknown(refused, "/links/1")
    await sales.hear(customer_event("changed", id=uuid.UUID(seen), owner=people.stranger, version=2))
    other = await make_customer(sales, people.rep)
    links = [link("customer", other), link("customer", seen)]
    assert (await rep.done("PATCH", path, json={"links": links}))["links"] == links
    # Taken away, it can't come back.
    await rep.done("PATCH", path, json={"links": links[:1]})
    assert is_unknown(await rep("PATCH", path, json={"links": links}), "/links/1")


@pytest.mark.requirement("SA-30", "PL-30")
async def test_what_is_about_a_record_is_shown_within_the_own_scope(sales: Running) -> None:
    people = sales.people
    rep, colleague, manager = (sales.caller(one) for one in (people.rep, people.colleague, people.manager))
    customer = await make_customer(sales, people.rep)
    members = [{"user_id": str(people.colleague.id), "right": "read"}]
    await sales.hear(
        customer_event("members_changed", id=uuid.UUID(customer), owner=people.rep, version=2, members=members)
    )
    elsewhere = await make_customer(sales, people.rep)
    first = await note(rep, link("customer", customer), happened_at="2026-11-20T00:00:00Z")
    both = await note(rep, link("customer", elsewhere), link("customer", customer), kind="visit")
    await note(rep, link("customer", elsewhere))
    own = await note(colleague, link("customer", customer), happened_at="2026-11-21T00:00:00Z")
    about = f"customers.customer:{customer}"
    assert await _about(rep, about) == [both["id"], first["id"]]
    # The colleague sees the customer, and of the activities about it the own one only.
    assert await _about(colleague, about) == [own["id"]]
    assert await _about(manager, about) == [both["id"], own["id"], first["id"]]
    assert await _about(rep, about, filter={"field": "kind", "op": "eq", "value": "visit"}) == [both["id"]]
    # The same as a condition of any filter.
    condition = {"field": "links", "op": "contains", "value": about}
    found = await manager.done("POST", "/activities/search", json={"filter": condition})
    assert [one["id"] for one in found["items"]] == [both["id"], own["id"], first["id"]]
    page = await manager.done("GET", "/activities", params={"about": about, "limit": 2, "count": "exact"})
    rest = await manager.done("GET", "/activities", params={"about": about, "limit": 2, "cursor": page["next"]})
    assert (page["count"], [one["id"] for one in rest["items"]]) == (3, [first["id"]])
    # A cursor is for the list that it was given for.
    other = await manager("GET", "/activities", params={"limit": 2, "cursor": page["next"]})
    assert (other.status, other["code"]) == (422, "cursor.invalid")


@pytest.mark.requirement("SA-30", "PL-30")
async def test_about_an_unseen_or_missing_record_nothing_is_said(sales: Running) -> None:
    people = sales.people
    stranger = sales.caller(people.stranger)
    theirs = await records_of(sales, people.rep)
    everything = Rights(
        ("sales.activity:create", *(f"{link(kind, '')['type']}:read" for kind in theirs)), {"*": {"*": Rule("self")}}
    )
    for kind, record_id in theirs.items():
        await note(sales.caller(people.rep, rights=everything), link(kind, record_id))
        for asked in (record_id, str(uuid.uuid4())):
            answer = await stranger("GET", "/activities", params={"about": f"{link(kind, record_id)['type']}:{asked}"})
            assert is_unknown(answer, "query:about"), kind
    for asked in ("x", f"support.queue:{theirs['customer']}", "customers.customer:", theirs["customer"]):
        answer = await stranger("GET", "/activities", params={"about": asked})
        assert (answer.status, answer.codes[0][0]) == (422, "query:about"), asked
    # What is wrong with a filter beside it is pointed to as it was sent.
    wrong = {"about": f"customers.customer:{theirs['customer']}", "filter": json.dumps({"field": "x", "op": "eq"})}
    refused = await sales.caller(people.rep)("GET", "/activities", params=wrong)
    assert refused.codes == [("query:filter/field", "filter.unknown_field")]


@pytest.mark.requirement("PL-30")
async def test_shipped_roles_reach_activities_as_they_reach_opportunities(sales: Running) -> None:
    people = sales.people
    customer = link("customer", await make_customer(sales, people.rep))
    path = f"/activities/{(await note(sales.caller(people.rep), customer))['id']}"
    reads = {people.rep: 200, people.manager: 200, people.executive: 200, people.colleague: 404, people.general: 403}
    changes = {people.rep: 200, people.manager: 200, people.executive: 403, people.colleague: 404, people.general: 403}
    for person, status in reads.items():
        assert (await sales.caller(person)("GET", path)).status == status, person.role.key
    for person, status in changes.items():
        answer = await sales.caller(person)("PATCH", path, json={"subject": person.role.key})
        assert answer.status == status, person.role.key
    given = await sales.caller(people.manager).done(
        "POST", f"{path}/transfer", json={"to_user_id": str(people.colleague.id)}
    )
    assert given["owner_id"] == str(people.colleague.id)
    assert (await sales.caller(people.rep)("GET", path)).status == 404


@pytest.mark.requirement("SA-30", "PL-4")
async def test_a_filter_that_is_as_large_as_may_be_stands_beside_about(sales: Running, rep: Caller) -> None:
    customer = await make_customer(sales, sales.people.rep)
    made = await note(rep, link("customer", customer))
    await note(rep, link("customer", await make_customer(sales, sales.people.rep)))
    about = f"customers.customer:{customer}"
    condition = {"field": "kind", "op": "eq", "value": "call"}
    deep: dict[str, Any] = condition
    for _ in range(5):
        deep = {"and": [deep]}
    for given in ({"and": [condition] * 50}, {"or": [condition] * 50}, deep, {"not": {"not": condition}}):
        assert await _about(rep, about, filter=given) == [made["id"]]
        assert len((await rep.done("GET", "/activities", params={"filter": json.dumps(given)}))["items"]) == 2
    # One more is refused where it was sent.
    for given, pointer in (
        ({"and": [deep]}, "query:filter" + "/and/0" * 6),
        ({"or": [condition] * 51}, "query:filter/or"),
    ):
        refused = await rep("GET", "/activities", params={"about": about, "filter": json.dumps(given)})
        assert (refused.status, refused.codes[0][0]) == (422, pointer)


@pytest.mark.requirement("SA-30", "PL-30")
async def test_who_is_no_salesperson_notes_what_they_did_and_sees_that(sales: Running, manager: Caller) -> None:
    people = sales.people
    customer = await make_customer(sales, people.stranger)
    ticket = await make_foreign(sales, "ticket", people.agent, customer)
    theirs = await make_foreign(sales, "ticket", people.stranger, customer)
    agent = sales.caller(people.agent)
    made = await note(agent, link("ticket", ticket), outcome="They restart it")
    assert (made["customer_id"], made["owner_id"], made["outcome"]) == (
        customer,
        str(people.agent.id),
        "They restart it",
    )
    # A ticket of the south is not within the department of the north.
    assert is_unknown(await agent("POST", "/activities", json=body(link("ticket", theirs))))
    contract = await make_foreign(sales, "contract", people.stranger, customer)
    collecting = Rights(COLLECTIONS_REPRESENTATIVE.permissions, COLLECTIONS_REPRESENTATIVE.scopes)
    collector = sales.caller(people.general, rights=collecting)
    called = await note(collector, link("contract", contract))
    assert called["customer_id"] == customer
    # Their own, and nobody else's; they change and delete it, and hand it to nobody.
    for caller, own, other in ((agent, made, called), (collector, called, made)):
        assert [one["id"] for one in (await caller.done("GET", "/activities"))["items"]] == [own["id"]]
        assert (await caller("GET", f"/activities/{other['id']}")).status == 404
        assert (await caller.done("PATCH", f"/activities/{own['id']}", json={"outcome": "Paid"}))["outcome"] == "Paid"
        given = {"to_user_id": str(people.rep.id)}
        assert (await caller("POST", f"/activities/{own['id']}/transfer", json=given)).status == 403
        await caller.done("DELETE", f"/activities/{own['id']}")
        await caller.done("POST", f"/activities/{own['id']}/restore")
        assert (await caller("GET", "/opportunities")).status == 403


async def _about(caller: Caller, about: str, filter: Any = None) -> list[str]:
    parameters = {"about": about} | ({} if filter is None else {"filter": json.dumps(filter)})
    return [one["id"] for one in (await caller.done("GET", "/activities", params=parameters))["items"]]

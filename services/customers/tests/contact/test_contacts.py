"""Contacts over HTTP: they hang on a customer, and follow its owner (CU-30)."""

import asyncio
from typing import Any

import pytest
from services.customers.tests.conftest import make_contact, make_customer, told

from crm_testing.service import Caller, Rights, Running


async def owner_of(admin: Caller, contact: Any) -> str | None:
    return (await admin.done("GET", f"/contacts/{contact['id']}"))["owner_id"]


async def hand_over(caller: Caller, kind: str, record: Any, to: Any, **more: Any) -> Any:
    return await caller("POST", f"/{kind}/{record['id']}/transfer", json={"to_user_id": str(to.id), **more})


async def share(caller: Caller, kind: str, record: Any, user: Any, right: str = "write") -> None:
    await caller.done("PUT", f"/{kind}/{record['id']}/members/{user.id}", json={"right": right})


@pytest.mark.requirement("CU-30")
async def test_a_contact_hangs_on_a_customer_that_its_user_sees(customers: Running, rep: Caller) -> None:
    seen = await make_customer(rep)
    made = await make_contact(rep, seen, mobile="010-1234-5678", decision_role="decides", birthday="1990-02-28")
    assert (made["mobile"], made["owner_id"]) == ("+821012345678", str(customers.people.rep.id))
    hidden = await make_customer(customers.caller(customers.people.stranger))
    for customer_id in (hidden["id"], "01900000-0000-7000-8000-00000000ffff"):
        refused = await rep("POST", "/contacts", json={"name": "X", "customer_id": customer_id})
        assert (refused.status, refused.codes) == (422, [("/customer_id", "contact.customer_unknown")])
        refused = await rep("PATCH", f"/contacts/{made['id']}", json={"customer_id": customer_id})
        assert (refused.status, refused.codes) == (422, [("/customer_id", "contact.customer_unknown")])
    assert (await rep("POST", "/contacts", json={"name": "X"})).codes == [("/customer_id", "field.required")]


@pytest.mark.requirement("CU-30")
async def test_a_contact_may_stay_at_a_customer_that_went_out_of_sight(
    customers: Running, rep: Caller, manager: Caller
) -> None:
    customer = await make_customer(rep)
    contact = await make_contact(manager, customer, owner_id=str(customers.people.rep.id))
    assert (await hand_over(manager, "customers", customer, customers.people.colleague)).status == 200
    body = {"customer_id": customer["id"], "name": "Renamed"}
    assert (await rep.done("PATCH", f"/contacts/{contact['id']}", json=body))["name"] == "Renamed"


@pytest.mark.requirement("CU-30")
async def test_contacts_follow_their_customer_unless_they_have_owners_of_their_own(
    customers: Running, rep: Caller, manager: Caller, admin: Caller
) -> None:
    people = customers.people
    customer = await make_customer(rep)
    following = await make_contact(rep, customer, "Following")
    named = await make_contact(manager, customer, "Named", owner_id=str(people.rep.id))
    moved = await make_contact(rep, customer, "Moved")
    assert (await hand_over(manager, "contacts", moved, people.manager)).status == 200
    since = await customers.position()
    assert (await hand_over(manager, "customers", customer, people.colleague)).status == 200
    assert await owner_of(admin, following) == str(people.colleague.id)
    assert await owner_of(admin, named) == str(people.rep.id)
    assert await owner_of(admin, moved) == str(people.manager.id)
    [(fact, event)] = await told(customers, following, since=since)
    assert (fact, event.from_user_id, event.to_user_id) == ("transferred", people.rep.id, people.colleague.id)
    assert event.access is not None
    assert event.credit is not None
    assert (event.access.owner_id, event.credit.user_id) == (people.colleague.id, people.colleague.id)
    assert await told(customers, named, since=since) == []
    assert await told(customers, moved, since=since) == []


@pytest.mark.requirement("CU-30", "PL-9")
async def test_the_contacts_of_all_customers_of_a_bulk_transfer_go_with_them(
    customers: Running, rep: Caller, manager: Caller, admin: Caller
) -> None:
    mine = [await make_customer(rep, f"Customer {number}") for number in range(3)]
    contacts = [await make_contact(rep, one) for one in mine for _ in range(2)]
    body = {
        "filter": {"field": "owner_id", "op": "eq", "value": str(customers.people.rep.id)},
        "to_user_id": str(customers.people.colleague.id),
    }
    assert (await manager.done("POST", "/customers/transfer", json=body))["ok"] == 3
    assert {await owner_of(admin, one) for one in contacts} == {str(customers.people.colleague.id)}


@pytest.mark.requirement("CU-30", "CU-43")
async def test_contacts_of_a_pooled_customer_are_nobodys_until_it_is_claimed_or_assigned(
    customers: Running, rep: Caller, colleague: Caller, manager: Caller, admin: Caller
) -> None:
    customer = await make_customer(rep)
    contact = await make_contact(rep, customer)
    await rep.done("POST", f"/customers/{customer['id']}/release", json={"reason": "no need"})
    assert await owner_of(admin, contact) is None
    assert (await rep("GET", f"/contacts/{contact['id']}")).status == 404
    late = await make_contact(admin, customer, "Late")
    assert late["owner_id"] is None
    await colleague.done("POST", f"/customers/{customer['id']}/claim")
    for one in (contact, late):
        assert (await colleague.done("GET", f"/contacts/{one['id']}"))["owner_id"] == str(customers.people.colleague.id)
    released = await colleague.done("POST", f"/customers/{customer['id']}/release", json={"reason": "no need"})
    body = {"customer_ids": [customer["id"]], "user_id": str(customers.people.rep.id)}
    await admin.done("POST", f"/pools/{released['pool_id']}/assign", json=body)
    assert await owner_of(admin, contact) == str(customers.people.rep.id)


@pytest.mark.requirement("CU-30")
async def test_a_following_contact_that_goes_to_another_customer_gets_its_owner(
    customers: Running, rep: Caller, manager: Caller
) -> None:
    mine, theirs = await make_customer(rep), await make_customer(customers.caller(customers.people.colleague))
    contact = await make_contact(rep, mine)
    own = await make_contact(manager, mine, owner_id=str(customers.people.rep.id))
    for one, owner in ((contact, customers.people.colleague), (own, customers.people.rep)):
        answer = await manager.done("PATCH", f"/contacts/{one['id']}", json={"customer_id": theirs["id"]})
        assert answer["owner_id"] == str(owner.id)
    owners = (await manager.done("GET", f"/contacts/{contact['id']}/owners"))["items"]
    assert [(one["fact"], one["to_user_id"]) for one in owners] == [
        ("changed", str(customers.people.colleague.id)),
        ("created", str(customers.people.rep.id)),
    ]


@pytest.mark.requirement("CU-30", "PL-21")
async def test_who_only_shares_in_a_contact_gives_it_no_other_owner(
    customers: Running, rep: Caller, colleague: Caller
) -> None:
    contact = await make_contact(rep, await make_customer(rep))
    await share(rep, "contacts", contact, customers.people.colleague)
    theirs = await make_customer(colleague)
    refused = await colleague("PATCH", f"/contacts/{contact['id']}", json={"customer_id": theirs["id"]})
    assert (refused.status, refused["code"]) == (403, "scope.record")
    assert (await colleague.done("PATCH", f"/contacts/{contact['id']}", json={"name": "Ok"}))["name"] == "Ok"


@pytest.mark.requirement("CU-30", "PL-20")
async def test_a_restored_contact_belongs_to_whom_its_customer_belongs_now(
    customers: Running, rep: Caller, manager: Caller
) -> None:
    customer = await make_customer(rep)
    contact = await make_contact(rep, customer)
    await manager.done("DELETE", f"/contacts/{contact['id']}")
    assert (await hand_over(manager, "customers", customer, customers.people.colleague)).status == 200
    restored = await manager.done("POST", f"/contacts/{contact['id']}/restore")
    assert restored["owner_id"] == str(customers.people.colleague.id)
    assert (await rep("GET", f"/contacts/{contact['id']}")).status == 404


@pytest.mark.requirement("CU-30", "PL-21")
async def test_a_new_owner_keeps_no_membership_from_before(
    customers: Running, rep: Caller, colleague: Caller, manager: Caller
) -> None:
    customer = await make_customer(rep)
    contact = await make_contact(rep, customer)
    for kind, record in (("customers", customer), ("contacts", contact)):
        await share(rep, kind, record, customers.people.colleague, "read")
    await rep.done("POST", f"/customers/{customer['id']}/release", json={"reason": "no need"})
    await colleague.done("POST", f"/customers/{customer['id']}/claim")
    for kind, record in (("customers", customer), ("contacts", contact)):
        assert (await colleague.done("GET", f"/{kind}/{record['id']}/members"))["items"] == []
        event = (await told(customers, record))[-1][1]
        assert event.access is not None
        assert event.access.members == []
    await colleague.done("POST", f"/customers/{customer['id']}/release", json={"reason": "no need"})
    assert (await colleague("GET", f"/customers/{customer['id']}")).status == 404
    assert (await colleague("GET", f"/contacts/{contact['id']}")).status == 404


@pytest.mark.requirement("CU-30")
async def test_contacts_made_while_their_customer_changes_hands_end_with_its_owner(
    customers: Running, rep: Caller, manager: Caller, admin: Caller
) -> None:
    people = customers.people
    for _ in range(5):
        customer = await make_customer(rep)
        body = {"customer_id": customer["id"], "name": "New"}
        answers = await asyncio.gather(
            *(manager("POST", "/contacts", json=body) for _ in range(4)),
            hand_over(manager, "customers", customer, people.colleague),
        )
        assert [answer.status for answer in answers] == [201, 201, 201, 201, 200]
        assert {await owner_of(admin, answer) for answer in answers[:4]} == {str(people.colleague.id)}


async def test_the_customer_must_be_seen_by_its_own_scope(customers: Running, rep: Caller) -> None:
    """The right over contacts says nothing of customers."""
    customer = await make_customer(rep)
    from crm_authz import Rule

    rights = Rights(
        ("customers.contact:*", "customers.customer:read"),
        {"customers.contact": {"*": Rule("all")}, "customers.customer": {"*": Rule("self")}},
    )
    caller = customers.caller(customers.people.agent, rights=rights)
    refused = await caller("POST", "/contacts", json={"name": "X", "customer_id": customer["id"]})
    assert refused.codes == [("/customer_id", "contact.customer_unknown")]

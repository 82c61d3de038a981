"""What happens with one customer in five services stands in its timeline, for each as far as they see it (CU-17)."""

from typing import Any

import pytest

from .company import Company, usd
from .person import Person
from .waiting import A_SECOND, until

#: Which kind of broker carries the events makes no difference here.
STACKS = ("together",)


def timeline(person: Person, customer: Any, *, after: str) -> list[tuple[str, str]]:
    """The entries, the newest first: the record's type and what happened. after: a Consistency-Token."""
    page = person.get(f"customers/customers/{customer['id']}/timeline", after=after)
    return [(one["record"]["type"], one["kind"]) for one in page["items"]]


@pytest.mark.requirement("CU-17", "SA-30", "PL-13")
def test_what_happens_in_all_services_stands_in_the_customers_timeline(company: Company) -> None:
    office = company.department("Timeline Office")
    lead = company.hire("Timeline Lead", "supervisor", office)
    rep = company.hire("Timeline Rep", "sales_representative", office, lead)

    customer = rep.post("customers/customers", {"name": "주식회사 예시"})
    # Our own events come round over the bus, too: the token waits for them.
    assert timeline(rep, customer, after=customer.consistency) == [("customers.customer", "created")]
    named = {"customer_id": customer["id"]}
    deal = rep.post(
        "sales/opportunities", {"name": "Servers", "value": usd("100.00"), **named}, after=customer.consistency
    )
    won = rep.post(f"sales/opportunities/{deal['id']}/win", {})
    seen = timeline(rep, customer, after=won.consistency)
    assert {("sales.opportunity", "created"), ("sales.opportunity", "won")} <= set(seen)
    contract = rep.post(
        "billing/contracts", {"name": "Servers", "value": usd("100.00"), **named}, after=customer.consistency
    )
    ticket = lead.post(
        "support/tickets", {"subject": "Does not start", "owner_id": lead.id, **named}, after=customer.consistency
    )
    links = [{"type": "billing.contract", "id": contract["id"]}]
    call = rep.post(
        "sales/activities", {"kind": "call", "subject": "About it", "links": links}, after=contract.consistency
    )
    assert call["customer_id"] == customer["id"]
    visit = lead.post(
        "sales/activities",
        {"kind": "visit", "subject": "Looked at it", "links": [{"type": "support.ticket", "id": ticket["id"]}]},
        after=ticket.consistency,
    )
    assert visit["customer_id"] == customer["id"]

    for written in (contract, ticket, call):
        timeline(rep, customer, after=written.consistency)
    of_rep = timeline(rep, customer, after=visit.consistency)
    assert of_rep.count(("sales.activity", "noted")) == 1, "the lead's visit is the lead's"
    assert ("billing.contract", "created") in of_rep
    assert not [kind for kind, _ in of_rep if kind == "support.ticket"]
    of_lead = timeline(lead, customer, after=visit.consistency)
    assert set(of_rep) < set(of_lead)
    assert of_lead.count(("sales.activity", "noted")) == 2
    assert [kind for kind, _ in of_lead if kind == "support.ticket"] == ["support.ticket"]


@pytest.mark.requirement("SU-1", "SA-30", "PL-13")
def test_a_deleted_customer_gets_no_new_tickets_and_activities_through_its_contact(company: Company) -> None:
    office = company.department("Leaving Office")
    lead = company.hire("Leaving Lead", "supervisor", office)
    customer = lead.post("customers/customers", {"name": "Leaving"})
    contact = lead.post("customers/contacts", {"name": "Анна", "customer_id": customer["id"]})
    ticket = {"subject": "Does not start", "contact_id": contact["id"], "owner_id": lead.id}
    links = [{"type": "customers.contact", "id": contact["id"]}]
    call = {"kind": "call", "subject": "About it", "links": links}
    made = lead.post("support/tickets", ticket, after=contact.consistency)
    assert made["customer_id"] == customer["id"]
    assert lead.get(f"support/tickets/{made['id']}")["customer"]["name"] == "Leaving"
    assert lead.post("sales/activities", call, after=contact.consistency)["customer_id"] == customer["id"]

    deleted = lead.done("DELETE", f"customers/customers/{customer['id']}")
    refused = lead.call("POST", "support/tickets", json=ticket, after=deleted.consistency)
    assert (refused.status, refused.errors) == (422, [("/contact_id", "ticket.customer_unknown")])
    refused = lead.call("POST", "sales/activities", json=call, after=deleted.consistency)
    assert (refused.status, refused.errors) == (422, [("/links/0", "link.unknown")])
    assert lead.get(f"support/tickets/{made['id']}")["customer"] is None


@pytest.mark.requirement("SU-1", "SA-30", "ID-10")
def test_an_agent_notes_what_was_done_about_an_own_ticket(company: Company) -> None:
    office = company.department("Agents Office")
    lead = company.hire("Agents Lead", "supervisor", office)
    agent = company.hire("Noting Agent", "support_agent", office, lead)
    customer = lead.post("customers/customers", {"name": "주식회사 예시"})
    contact = lead.post("customers/contacts", {"name": "Анна", "customer_id": customer["id"]})
    other = lead.post("customers/customers", {"name": "Другая"})
    ticket = agent.post("support/tickets", {"subject": "Help", "contact_id": contact["id"]}, after=contact.consistency)
    claimed = agent.post(f"support/tickets/{ticket['id']}/claim", {})
    links = [{"type": "support.ticket", "id": ticket["id"]}]
    visit = {"kind": "visit", "subject": "Was there", "links": links, "outcome": "It runs again"}
    noted = agent.post("sales/activities", visit, after=claimed.consistency)
    assert (noted["customer_id"], noted["outcome"]) == (customer["id"], "It runs again")
    assert [one["id"] for one in agent.get("sales/activities")["items"]] == [noted["id"]]
    # The ticket turns out to be another customer's: the activity goes along, in the other timeline too.
    agent.done(
        "PATCH",
        f"support/tickets/{ticket['id']}",
        json={"contact_id": None, "customer_id": other["id"]},
        after=other.consistency,
    )
    until(
        lambda: ("sales.activity", "noted") in timeline(lead, other, after=other.consistency),
        A_SECOND * 5,
        "the activity stands in the other customer's timeline",
    )
    assert agent.get(f"sales/activities/{noted['id']}")["customer_id"] == other["id"]

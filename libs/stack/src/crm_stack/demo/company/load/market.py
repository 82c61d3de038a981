"""Customers and contacts, entered by who leads their owners: what was before is backdated. In the end some are given up."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from crm_stack.demo.company.facts import Contact, Customer
from crm_stack.demo.company.load.organisation import money
from crm_stack.demo.company.load.staff import Staff, ref

T = TypeVar("T")
Rows = dict[str, list[Mapping[str, Any]]]


def load_market(staff: Staff, currency: str) -> None:
    """Customers, then the contacts at them."""
    new = [one for key, one in staff.plan.customers.items() if key not in staff.known["customer"]]
    staff.rows(
        "customers",
        "/api/customers/v1/customers/batch",
        grouped(new, lambda one: staff.leader(one.owner), lambda one: _customer(staff, one, currency)),
        mode="upsert",
    )
    people = [one for key, one in staff.plan.contacts.items() if key not in staff.known["contact"]]
    staff.rows(
        "contacts",
        "/api/customers/v1/contacts/batch",
        grouped(people, lambda one: staff.leader(_owner(staff, one)), lambda one: _contact(staff, one)),
        mode="upsert",
    )


def give_up(staff: Staff) -> None:
    """Owners give customers to a pool, who leads them deletes some. Last of all: who is gone can't be entered about any more."""
    releasing, deleting = [], []
    for key, one in staff.plan.customers.items():
        seen = staff.known["customer"].get(key, {})
        if seen.get("deleted_at") or seen.get("pool_id"):
            continue
        if one.fate == "pooled":
            releasing.append(one)
        elif one.fate == "deleted":
            deleting.append(one)
    staff.each("given up", releasing, lambda one: _release(staff, one))
    staff.each("deleted", deleting, lambda one: _delete(staff, one))


def grouped(some: Iterable[T], by: Callable[[T], str], row: Callable[[T], Mapping[str, Any]]) -> Rows:
    """Rows by who enters them, in the order given."""
    found: Rows = {}
    for one in some:
        found.setdefault(by(one), []).append(row(one))
    return found


def _owner(staff: Staff, contact: Contact) -> str:
    return staff.plan.customers[contact.customer].owner


def _customer(staff: Staff, one: Customer, currency: str) -> dict[str, Any]:
    number = one.key.rpartition("/")[2]
    return {
        "external_ref": ref(one.key),
        "name": one.name,
        "owner_id": staff.ids[one.owner],
        "occurred_at": one.since.isoformat(),
        "industry": one.industry,
        "employees": one.employees,
        "founded_year": one.founded,
        "annual_revenue": money(one.revenue, currency),
        "phone": one.phone,
        "email": f"office@c{number}.example",
        "website": f"https://c{number}.example",
        "address": one.address,
        "country": _country(one),
        "source": one.source,
        "grade": one.grade,
    }


def _country(one: Customer) -> str:
    from crm_stack.demo.company.words import LANGUAGES

    return LANGUAGES[one.language].country


def _contact(staff: Staff, one: Contact) -> dict[str, Any]:
    _, customer, place = one.key.split("/")
    return {
        "external_ref": ref(one.key),
        "customer_id": staff.ids[one.customer],
        "occurred_at": staff.plan.customers[one.customer].since.isoformat(),
        "name": one.name,
        "job_title": one.job,
        "decision_role": one.decision_role,
        "phone": one.phone,
        "email": f"contact{place}@c{customer}.example",
        "is_primary": one.primary,
    }


def _release(staff: Staff, one: Customer) -> None:
    number = int(one.key.rpartition("/")[2])
    # Every other one is a trade fair's; the rest goes to the company's first pool.
    pool = {"pool_id": staff.ids["pool"]} if number % 2 else {}
    body = {"reason": one.reason, **pool}
    staff.person(one.owner).once("POST", f"/api/customers/v1/customers/{staff.ids[one.key]}/release", body)


def _delete(staff: Staff, one: Customer) -> None:
    staff.person(staff.leader(one.owner)).once("DELETE", f"/api/customers/v1/customers/{staff.ids[one.key]}", None)

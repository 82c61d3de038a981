"""The order in which the company comes into being."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from crm_stack.demo.company.facts import Company
from crm_stack.demo.company.load.contracts import load_contracts, load_payments
from crm_stack.demo.company.load.deals import load_activities, load_deals
from crm_stack.demo.company.load.market import give_up, load_market
from crm_stack.demo.company.load.organisation import load_people, load_settings
from crm_stack.demo.company.load.present import look_around
from crm_stack.demo.company.load.staff import Staff, ref
from crm_stack.demo.company.load.tickets import load_tickets
from crm_stack.demo.progress import Progress, untold

_RECORDS = ("customers", "sales", "billing", "support")


@dataclass(frozen=True)
class Loaded:
    """What a load did. ids: key → id of everything. written: how many rows or actions of each kind were missing. writes: requests that
    changed something. seconds: how long which step took."""

    ids: Mapping[str, str]
    written: Mapping[str, int]
    writes: int
    seconds: Mapping[str, float]


def find_company(plan: Company, address: str, operator_token: str) -> Mapping[str, str] | None:
    """Ids of what is there of the company; None when nothing of it is, as on a database that was made anew."""
    staff = Staff(plan, address, operator_token, "", untold)
    try:
        departments = staff.operator.pages("/api/identity/v1/departments")
        if all(one["external_ref"] != ref(plan.departments[0].key) for one in departments):
            return None
        look_around(staff)
        return dict(staff.ids)
    finally:
        staff.close()


def load_company(plan: Company, address: str, operator_token: str, *, password: str, progress: Progress) -> Loaded:
    """Load what is missing of the plan. password: of the company's people. Raises LoadRefused."""
    staff = Staff(plan, address, operator_token, password, progress)
    seconds: dict[str, float] = {}
    started = time.monotonic()

    def took(step: str) -> None:
        nonlocal started
        seconds[step] = time.monotonic() - started
        started = time.monotonic()

    try:
        currency = staff.operator.get("/api/identity/v1/company")["currency"]
        load_people(staff, password)
        staff.settle(*_RECORDS, "analytics")
        took("people")
        look_around(staff)
        took("looking")
        load_settings(staff, currency)
        load_market(staff, currency)
        staff.settle(*_RECORDS)
        took("market")
        load_deals(staff, currency)
        # Billing drafts contracts from what was won; customers are to hear of each first deal before the contract of it.
        staff.settle("billing", "customers")
        took("deals")
        load_activities(staff)
        took("activities")
        load_contracts(staff, currency)
        took("contracts")
        load_payments(staff, currency)
        took("payments")
        load_tickets(staff)
        took("tickets")
        give_up(staff)
        staff.settle("analytics")
        took("given up")
        return Loaded(dict(staff.ids), dict(staff.written), staff.writes, seconds)
    finally:
        staff.close()

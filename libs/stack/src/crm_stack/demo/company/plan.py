"""The sample company as a pure function of seed, size and week."""

import datetime as dt

from crm_stack.demo.company.contracts import plan_contracts, plan_payments
from crm_stack.demo.company.dealings import plan_activities, plan_tickets
from crm_stack.demo.company.deals import plan_opportunities
from crm_stack.demo.company.facts import WHOLE, Company, Size
from crm_stack.demo.company.market import PRODUCTS, plan_customers
from crm_stack.demo.company.moments import Moments
from crm_stack.demo.company.people import plan_people
from crm_stack.demo.company.shift import shifted

DEFAULT_SEED = 2026
#: The day that every company is planned for, before it is moved to the present; a Tuesday. Another one would make other companies.
ANCHOR = dt.date(2026, 11, 24)


def plan_company(seed: int, day: dt.date, size: Size = WHOLE) -> Company:
    """The company: the same for the same seed and size, on every machine and every day; only its dates go with the day, by whole weeks.

    day: today. The plan's own day is the last one up to it that is of ANCHOR's weekday; the story ends two days before that, and what is
    due later is due. Parts draw from generators of their own, so that another number of tickets changes no customer.
    """
    return shifted(_planned(seed, size), (day - ANCHOR).days // 7)


def _planned(seed: int, size: Size) -> Company:
    """The company as of ANCHOR. Chance depends on what has happened by then: planned for each day anew it would be another every day."""
    moments = Moments(ANCHOR)
    departments, people = plan_people(seed)
    customers, contacts = plan_customers(seed, moments, people, size.customers)
    opportunities = plan_opportunities(seed, moments, customers, contacts, PRODUCTS, size.opportunities)
    contracts = plan_contracts(seed, moments, people, customers, contacts, opportunities, size.contracts)
    return Company(
        seed=seed,
        day=ANCHOR,
        departments=departments,
        people=people,
        products=PRODUCTS,
        customers=customers,
        contacts=contacts,
        opportunities=opportunities,
        contracts=contracts,
        payments=plan_payments(seed, moments, contracts),
        activities=plan_activities(seed, moments, customers, contacts, opportunities, size.activities),
        tickets=plan_tickets(seed, people, customers, contacts, size.tickets),
    )

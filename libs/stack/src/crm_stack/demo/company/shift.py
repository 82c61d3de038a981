"""The same company, some weeks earlier or later. Pure.

Whole weeks, so that working days stay working days; and by the clocks of the place, so that office hours stay office hours when the
clocks were changed in between.
"""

import datetime as dt
import zoneinfo
from dataclasses import dataclass, replace

from crm_stack.demo.company.facts import Activity, Company, Contract, Customer, Opportunity
from crm_stack.demo.company.words import LANGUAGES


def shifted(plan: Company, weeks: int) -> Company:
    """All its days and instants so many weeks later; nothing else is another."""
    by = _Shift(plan, dt.timedelta(weeks=weeks))
    return replace(
        plan,
        day=plan.day + by.time,
        customers={key: by.customer(one) for key, one in plan.customers.items()},
        opportunities={key: by.opportunity(one) for key, one in plan.opportunities.items()},
        contracts={key: by.contract(one) for key, one in plan.contracts.items()},
        payments=tuple(replace(one, paid=one.paid + by.time) for one in plan.payments),
        activities=tuple(by.activity(one) for one in plan.activities),
    )


@dataclass(frozen=True)
class _Shift:
    plan: Company
    time: dt.timedelta

    def at(self, moment: dt.datetime, owner: str) -> dt.datetime:
        """The same hour of whoever's clock it is, on another day."""
        local = moment.astimezone(zoneinfo.ZoneInfo(LANGUAGES[self.plan.people[owner].language].time_zone))
        # Python adds to what the clock shows, not to the time that passes.
        return (local + self.time).astimezone(dt.UTC)

    def customer(self, one: Customer) -> Customer:
        return replace(one, since=self.at(one.since, one.owner))

    def opportunity(self, one: Opportunity) -> Opportunity:
        return replace(
            one,
            opened=self.at(one.opened, one.owner),
            steps=tuple((stage, self.at(moment, one.owner)) for stage, moment in one.steps),
            ended=one.ended and self.at(one.ended, one.owner),
            deadline=one.deadline and one.deadline + self.time,
        )

    def contract(self, one: Contract) -> Contract:
        return replace(
            one,
            signed=one.signed + self.time,
            starts=one.starts + self.time,
            ends=one.ends + self.time,
            instalments=tuple((amount, due + self.time) for amount, due in one.instalments),
        )

    def activity(self, one: Activity) -> Activity:
        return replace(
            one,
            happened=self.at(one.happened, one.owner),
            next_contact=one.next_contact and self.at(one.next_contact, one.owner),
        )

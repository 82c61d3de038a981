"""What to look at in the sample company: a login per role, and lines for a shell."""

import datetime as dt
import json
import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from crm_stack.demo.company.facts import Company, Contract
from crm_stack.demo.company.moments import PERIOD_DAYS

#: Operations that lines are made of when the deployment has them.
CONTRACT_VALUES = "/api/analytics/v1/reports/contract-values"
TIMELINE = "/api/customers/v1/customers/{id}/timeline"
_UNDONE = ("new", "open", "pending", "on_hold")
#: Who is told to come back in a moment (429, 503) does: the limit of log-ins is soon reached by hand.
_CURL = "curl -sSf --retry 5"


@dataclass(frozen=True)
class Faces:
    """One person per shipped role whose day is worth looking at, by key; and contract and customer to look at."""

    people: Mapping[str, str]
    contract: str
    customer: str


def faces(plan: Company) -> Faces:
    """Whom to log in as: who has most to do, of each role."""
    waiting = Counter(
        plan.people[one.owner].superior or "" for one in plan.contracts.values() if one.ending == "in_approval"
    )
    tickets = Counter(one.agent for one in plan.tickets if one.claimed and one.status in _UNDONE)
    owed = max(plan.contracts.values(), key=lambda one: (_is_owed(plan, one), one.key))
    busiest = Counter(one.owner for one in plan.activities if plan.people[one.owner].role == "sales_representative")
    chosen: dict[str, str] = {}
    most = waiting + tickets + busiest
    for key, person in plan.people.items():
        known = chosen.get(person.role)
        if known is None or most[key] > most[known]:
            chosen[person.role] = key
    told = Counter(
        plan.opportunities[key].customer
        for one in plan.activities
        for kind, key in one.links
        if kind == "sales.opportunity"
    )
    mine = [
        one.key for one in plan.customers.values() if one.owner == chosen["sales_representative"] and one.fate == "kept"
    ]
    return Faces(chosen, owed.key, max(mine, key=lambda key: (told[key], key)))


def _is_owed(plan: Company, one: Contract) -> int:
    """How much there is to see in its balance: how many parts, of which some are paid."""
    paid = sum(payment.contract == one.key for payment in plan.payments)
    return len(one.instalments) if one.ending == "active" and 0 < paid < len(one.instalments) else 0


def logins(plan: Company, found: Faces) -> list[tuple[str, str, str, str]]:
    """(shipped role, e-mail, position, name), in the order of the organisation."""
    people = [plan.people[key] for key in found.people.values()]
    return [(one.role.replace("_", " "), one.email, one.position, one.name) for one in people]


def curl_lines(
    plan: Company, found: Faces, ids: Mapping[str, str], address: str, password: str, operations: Collection[str]
) -> list[str]:
    """Lines for any POSIX shell with curl and sed: the first two say where and how to log in, the others each show something.

    operations: the paths that the deployment has.
    """
    period = {"from": (plan.day - dt.timedelta(days=PERIOD_DAYS)).isoformat(), "to": plan.day.isoformat()}
    report = CONTRACT_VALUES if CONTRACT_VALUES in operations else "/api/analytics/v1/reports/opportunity-outcomes"
    told = TIMELINE if TIMELINE in operations else "/api/customers/v1/customers/{id}/history"
    mine = {"and": [{"field": "owner_id", "op": "me"}, {"field": "status", "op": "in", "value": list(_UNDONE)}]}
    tickets = {
        "filter": json.dumps(mine, separators=(",", ":")),
        "fields": "number,subject,status,priority",
        "limit": "5",
    }

    def line(role: str, path: str, parameters: Mapping[str, str]) -> str:
        email = plan.people[found.people[role]].email
        given = " ".join(f"--data-urlencode {shlex.quote(f'{name}={value}')}" for name, value in parameters.items())
        return f'{_CURL} -G -H "Authorization: Bearer $(T {email})" $A{path} {given}'.rstrip()

    return [
        f"A={address} P={shlex.quote(password)}",
        f"T() {{ {_CURL} $A/oauth/token -d grant_type=password -d username=$1 --data-urlencode password=$P "
        """| sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/'; }""",
        line("executive", report, {**period, "group_by": "department", "level": "2"}),
        line("supervisor", "/api/billing/v1/approvals", {"role": "to_decide"}),
        line("support_agent", "/api/support/v1/tickets", tickets),
        line("collections_representative", f"/api/billing/v1/contracts/{ids[found.contract]}/balance", {}),
        line("sales_representative", told.format(id=ids[found.customer]), {"limit": "5"}),
    ]


def counts(plan: Company) -> Iterable[tuple[str, int]]:
    """What there is, in one line."""
    return (
        ("people", len(plan.people)),
        ("customers", len(plan.customers)),
        ("contacts", len(plan.contacts)),
        ("opportunities", len(plan.opportunities)),
        ("activities", len(plan.activities)),
        ("contracts", len(plan.contracts)),
        ("payments", len(plan.payments)),
        ("tickets", len(plan.tickets)),
    )

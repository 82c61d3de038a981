"""Every figure obeys the caller's present data scope, exactly as a list of the same records would."""

import datetime as dt
import importlib.util
import uuid
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from crm_authz import Rule

from . import reckoning
from .company import Company
from .conftest import Analytics
from .history import data_of
from .test_outcomes import by, compare

FIRST, LAST = dt.date(2016, 1, 1), dt.date(2018, 12, 31)
RULES = ("self", "peers", "subordinates", "department", "department_tree", "all")


def _oracle() -> ModuleType:
    """The scopes of ID-12, told once more (tests/scope/oracle.py)."""
    path = Path(__file__).parents[3] / "tests" / "scope" / "oracle.py"
    spec = importlib.util.spec_from_file_location("scope_oracle", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


oracle = _oracle()


def _organisation(company: Company) -> dict[str, Any]:
    return {
        "users": {
            user: {"department": place, "superior": company.superior[user], "super_admin": False}
            for user, place in company.history.place.items()
        },
        "departments": {d: {"parent": p, "deleted": False} for d, p in company.history.parent.items()},
        "sets": {},
    }


def _reaches(company: Company, rules: tuple[str, ...], holder: uuid.UUID, now: dt.datetime) -> Any:
    organisation = _organisation(company)

    def visible(deal: dict[str, Any]) -> bool:
        record = {
            "owner": uuid.UUID(deal["owner"]) if deal["owner"] else None,
            "members": [
                {
                    "user": uuid.UUID(member["user_id"]),
                    "right": member["right"],
                    "expires_at": dt.datetime.fromisoformat(member["expires_at"]) if member["expires_at"] else None,
                }
                for member in deal["members"]
            ],
        }
        return bool(oracle.may_reach(organisation, rules, holder, record, "read", now))

    return visible


@pytest.mark.requirement("PL-30", "AN-6", "ID-12")
@pytest.mark.parametrize("seed", range(100, 104))
async def test_outcomes_are_of_the_records_that_the_caller_may_read_now(analytics: Analytics, seed: int) -> None:
    company = Company(seed).live(220)
    await analytics.hear(company.history.interleaved(seed), log_too=False)
    await analytics.organise(company.history.place, company.history.parent, company.superior)
    events = [(e, data_of(e)) for e in company.history.told]
    seen = set()
    for holder in company.users[:6]:
        for name in RULES:
            token = analytics.token(holder, Rule(name))  # type: ignore[arg-type]
            now = dt.datetime.now(dt.UTC)
            visible = _reaches(company, (name,), holder, now)
            for group_by in ("user", "product"):
                answer = await analytics.report(
                    "opportunity-outcomes", token, first=FIRST, last=LAST, group_by=group_by
                )
                compare(answer, reckoning.outcomes(events, FIRST, LAST, by(group_by), visible))
            funnel = await analytics.report("funnel", token, first=FIRST, last=LAST)
            # Who entered a stage at all: everybody, at their opening.
            expected = [d for d in reckoning.deals(events) if not d["state"]["deleted"] and visible(d)]
            assert funnel["total"]["entered"]["count"] == len(expected)
            seen.add(len(expected))
    assert len(seen) > 5, "the scopes differ"


@pytest.mark.requirement("PL-30")
async def test_a_transfer_takes_the_figures_along_and_a_share_adds_them(analytics: Analytics) -> None:
    company = Company(31)
    history, (seller, heir) = company.history, company.users[2:4]
    deal = history.opportunity(seller, company.pipeline, value=("100", "USD"))
    history.close(deal, "won")
    await analytics.organise(history.place, history.parent, company.superior)
    await analytics.hear(history.told)

    async def sees(user: uuid.UUID) -> int:
        answer = await analytics.report(
            "opportunity-outcomes", analytics.token(user, Rule("self")), first=FIRST, last=LAST, group_by="user"
        )
        assert {row["key"] for row in answer["rows"]} <= {str(seller)}, "the credit stays with who won it"
        count: int = answer["total"]["won"]["count"]
        return count

    assert (await sees(seller), await sees(heir)) == (1, 0)
    history.transfer(deal, heir)
    await analytics.hear(history.told[-1:])
    assert (await sees(seller), await sees(heir)) == (0, 1)
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    history.share(deal, (seller, "read", soon))
    await analytics.hear(history.told[-1:])
    assert (await sees(seller), await sees(heir)) == (1, 1)
    history.share(deal, (seller, "read", dt.datetime.now(dt.UTC)))
    await analytics.hear(history.told[-1:])
    assert (await sees(seller), await sees(heir)) == (0, 1)


@pytest.mark.requirement("PL-30")
async def test_a_reorganisation_counts_from_its_event_on(analytics: Analytics) -> None:
    company = Company(32)
    history, boss, seller = company.history, company.users[2], company.users[5]
    company.superior[seller] = None
    history.opportunity(seller, company.pipeline)
    await analytics.organise(history.place, history.parent, company.superior)
    await analytics.hear(history.told)
    token = analytics.token(boss, Rule("subordinates"))

    async def entered() -> int:
        count: int = (await analytics.report("funnel", token, first=FIRST, last=LAST))["total"]["entered"]["count"]
        return count

    assert await entered() == 0
    company.superior[seller] = boss
    await analytics.organise(history.place, history.parent, company.superior)
    async with analytics.database.read() as session:
        assert await session.connection.fetchval("SELECT version FROM directory_version") > 0
    # The directory is looked at every 200 ms.
    async with _soon():
        while await entered() != 1:
            pass


def _soon() -> Any:
    import asyncio

    return asyncio.timeout(5)


@pytest.mark.requirement("PL-30", "AN-1")
async def test_the_brief_obeys_each_records_own_scope_and_permission(analytics: Analytics) -> None:
    company = Company(33)
    history, (mine, other) = company.history, company.users[2:4]
    for owner in (mine, other):
        customer = history.customer(owner)
        history.contact(owner, customer)
        history.close(history.opportunity(owner, company.pipeline, value=("10", "USD")), "won")
    await analytics.organise(history.place, history.parent, company.superior)
    await analytics.hear(history.told)
    narrow, wide = {"*": Rule("self")}, {"*": Rule("all")}
    token = analytics.token(
        mine,
        permissions=["analytics.report:read", "customers.customer:read", "sales.opportunity:read"],
        scopes={"customers.customer": narrow, "sales.opportunity": wide, "customers.contact": wide},
    )
    figures = (await analytics.report("sales-brief", token, first="2017-01-01", last="2017-12-31"))["figures"]
    assert figures["new_customers"]["current"] == {"count": 1}
    assert figures["new_contacts"] is None
    assert figures["won"]["current"] == {"count": 2, "value": {"amount": "20.00", "currency": "USD"}}

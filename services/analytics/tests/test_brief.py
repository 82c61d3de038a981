"""The sales brief against the same figures reckoned from the events alone."""

import datetime as dt
import uuid
from typing import Any

import pytest

from crm_kernel import Money

from . import reckoning
from .company import Company
from .conftest import Analytics
from .history import data_of
from .test_funnel import SEOUL

VALUED = ("won", "contracts", "payments")


def moments(events: Any, topic: str, fact: str, at: str = "occurred_at") -> list[tuple[dt.date, Any]]:
    """Day (of the company) and credit of each first such fact of records that are there still."""
    found = []
    for told in reckoning.records(events, topic).values():
        if not told[-1][1]["state"]["deleted"]:
            dates = [data for kind, data in told if kind == fact]
            if dates:
                text = dates[0][at] if at in dates[0] else dates[0]["state"][at]
                found.append((dt.datetime.fromisoformat(text).astimezone(SEOUL).date(), dates[0]["credit"]))
    return found


def reckoned(events: Any, first: dt.date, last: dt.date, whose: Any) -> dict[str, Any]:
    def count(days: list[tuple[dt.date, Any]]) -> dict[str, int]:
        return {"count": sum(first <= day <= last and whose(credit) for day, credit in days)}

    def total(found: list[dict[str, Any]]) -> dict[str, Any]:
        value: dict[str, int] = {}
        mine = [one for one in found if first <= one["day"] <= last and whose(one["credit"])]
        for one in mine:
            money = one["value"]
            value[money["currency"]] = value.get(money["currency"], 0) + reckoning.minor(money)
        return {"count": len(mine), "value": value}

    alive = [deal for deal in reckoning.deals(events) if not deal["state"]["deleted"]]
    closed = [
        deal
        for deal in alive
        if deal["state"]["outcome"] in ("won", "lost")
        and first <= dt.date.fromisoformat(deal["state"]["closed_on"]) <= last
        and whose(deal["closed_by"])
    ]
    won: dict[str, int] = {}
    for deal in closed:
        money = deal["state"]["value"]
        if deal["state"]["outcome"] == "won" and money is not None:
            won[money["currency"]] = won.get(money["currency"], 0) + reckoning.minor(money)
    return {
        "new_customers": count(moments(events, "crm.customers.customer", "created")),
        "dealt_customers": count(moments(events, "crm.customers.customer", "dealt", "dealt_at")),
        "new_contacts": count(moments(events, "crm.customers.contact", "created")),
        "new_opportunities": count([(dt.date.fromisoformat(d["state"]["opened_on"]), d["opened_by"]) for d in alive]),
        "won": {"count": sum(d["state"]["outcome"] == "won" for d in closed), "value": won},
        "lost": {"count": sum(d["state"]["outcome"] == "lost" for d in closed)},
        "contracts": total([*reckoning.signed(events)]),
        "payments": total([*reckoning.received(events)]),
        "activities": count(activities(events)),
    }


def activities(events: Any) -> list[tuple[dt.date, Any]]:
    """Day on which each happened, as it is known now, and the credit of when it was noted."""
    found = []
    for told in reckoning.records(events, "crm.sales.activity").values():
        state = told[-1][1]["state"]
        if not state["deleted"]:
            day = dt.datetime.fromisoformat(state["happened_at"]).astimezone(SEOUL).date()
            found.append((day, told[0][1]["credit"]))
    return found


def plain(figures: dict[str, Any], which: str) -> dict[str, Any]:
    """The report's figures in the form of the reckoned ones."""
    shown = {name: dict(figure[which]) for name, figure in figures.items()}
    for name in VALUED:
        figure = shown[name]
        monies = figure.pop("values", None) or [figure["value"]]
        minors = {m["currency"]: Money.parse(m["amount"], m["currency"]).minor for m in monies}
        figure["value"] = {currency: minor for currency, minor in minors.items() if minor}
    return shown


def _without_zeros(figures: dict[str, Any]) -> dict[str, Any]:
    shown = dict(figures)
    for name in VALUED:
        value = {currency: minor for currency, minor in figures[name]["value"].items() if minor}
        shown[name] = {**figures[name], "value": value}
    return shown


@pytest.mark.requirement("AN-1", "AN-3", "AN-6")
@pytest.mark.parametrize("seed", range(300, 305))
async def test_the_brief_is_the_one_reckoned_from_the_events(analytics: Analytics, seed: int) -> None:
    company = Company(seed).live(250)
    await analytics.organise(company.history.place, company.history.parent, company.superior)
    await analytics.hear(company.history.interleaved(seed), log_too=False)
    events = [(e, data_of(e)) for e in company.history.told]
    token = analytics.token(company.users[0])
    d = dt.date
    user, office = company.users[4], company.offices[0]
    periods = [
        (d(2017, 1, 1), d(2017, 1, 31), d(2016, 12, 1), d(2016, 12, 31), "previous"),
        (d(2017, 1, 9), d(2017, 1, 15), d(2017, 1, 2), d(2017, 1, 8), "previous"),
        (d(2017, 1, 8), d(2017, 1, 14), d(2017, 1, 1), d(2017, 1, 7), "previous"),
        (d(2017, 1, 1), d(2017, 12, 31), d(2016, 1, 1), d(2016, 12, 31), "year"),
    ]
    for query, whose in (
        ({}, lambda credit: True),
        ({"user": user}, lambda credit: credit is not None and credit["user_id"] == str(user)),
        ({"department": office}, lambda credit: credit is not None and str(office) in credit["department_path"]),
    ):
        for first, last, first_before, last_before, compare in periods:
            answer = await analytics.report("sales-brief", token, first=first, last=last, compare=compare, **query)
            shown = (answer["before"]["first"], answer["before"]["last"])
            assert shown == (first_before.isoformat(), last_before.isoformat())
            for which, start, end in (("current", first, last), ("before", first_before, last_before)):
                expected = _without_zeros(reckoned(events, start, end, whose))
                assert plain(answer["figures"], which) == expected, (query, which, first)


@pytest.mark.requirement("PL-3")
async def test_bad_parameters_are_refused_with_a_pointer(analytics: Analytics) -> None:
    user, department = uuid.uuid4(), uuid.uuid4()
    await analytics.organise({user: department}, {department: None}, {})
    token = analytics.token(user)
    for query, pointer in (
        ({"first": "2017-01-02", "last": "2017-01-01"}, "query:to"),
        ({"first": "2017-01-01", "last": "2018-06-01", "compare": "year"}, "query:compare"),
        ({"first": "2017-01-01", "last": "2018-06-01", "compare": "decade"}, "query:compare"),
        ({"first": "1000-01-01", "last": "1000-01-01"}, "query:from"),
        ({"first": "2017-01-01", "last": "2017-01-01", "department": "sales"}, "query:department"),
    ):
        answer = await analytics.ask("/reports/sales-brief", token, **query)
        assert (answer.status_code, [e["pointer"] for e in answer.json()["errors"]]) == (422, [pointer]), query

"""The outcome report against the same figures reckoned from the events alone."""

import datetime as dt
import uuid
from typing import Any

import pytest

from crm_analytics.report import folding, parameters
from crm_authz import Rule
from crm_kernel import Money

from . import reckoning
from .company import Company
from .conftest import Analytics
from .history import data_of

#: The history lasts some three weeks from New Year on; deals are opened up to 400 days before and closed up to 20 days after.
PERIODS = [(dt.date(2017, 1, 5), dt.date(2017, 1, 15)), (dt.date(2016, 12, 1), dt.date(2017, 3, 31))]


def shown(row: dict[str, Any], company_currency: str = "USD") -> dict[str, Any]:
    """A reckoned row as the report shows it."""
    value = row["value"]
    single = len(value) == 1
    currency = next(iter(value)) if single else company_currency
    money = Money(value.get(currency, 0), currency)
    won: dict[str, Any] = {"count": row["won"], "value": {"amount": money.amount, "currency": currency}}
    if len(value) > 1:
        won["values"] = [{"amount": Money(value[c], c).amount, "currency": c} for c in sorted(value)]
    return {"won": won, "lost": {"count": row["lost"]}, "open": {"count": row["open"]}}


def by(group_by: str, level: int | None = None) -> Any:
    """The keys of a deal for a grouping, with the part of its value that counts under each."""

    def keys(deal: dict[str, Any], credit: dict[str, Any] | None, day: dt.date) -> dict[Any, int | None]:
        value = reckoning.minor(deal["state"]["value"])
        if group_by == "product":
            divided: dict[Any, int | None] = reckoning.parts(deal["state"])
            return divided
        if group_by == "department":
            path = credit["department_path"] if credit else []
            own = credit["department_id"] if credit else None
            return {own if level is None or len(path) <= level else path[level]: value}
        key = {
            "user": credit["user_id"] if credit else None,
            "pipeline": deal["state"]["pipeline_id"],
            "source": deal["state"]["source"],
            "day": f"{day:%Y-%m-%d}",
            "week": f"{day:%G-W%V}",
            "month": f"{day:%Y-%m}",
            "quarter": f"{day:%Y}-Q{(day.month + 2) // 3}",
            "year": f"{day:%Y}",
        }[group_by]
        return {key: value}

    return keys


def compare(answer: dict[str, Any], expected: dict[Any, dict[str, Any]]) -> None:
    empty = {"won": 0, "lost": 0, "open": 0, "value": {}}
    assert answer["total"] == shown(expected.pop("total", empty))
    got = {row["key"]: {k: row[k] for k in ("won", "lost", "open")} for row in answer["rows"]}
    assert len(got) == len(answer["rows"])
    assert got == {key: shown(row) for key, row in expected.items()}


GROUPINGS = [
    (g, None)
    for g in ("department", "user", "product", "pipeline", "source", "day", "week", "month", "quarter", "year")
]
GROUPINGS += [("department", 0), ("department", 1), ("department", 2)]


@pytest.mark.requirement("AN-3", "AN-6")
@pytest.mark.parametrize("seed", range(4))
async def test_outcomes_are_those_reckoned_from_the_events(analytics: Analytics, seed: int) -> None:
    company = Company(seed).live(220)
    await analytics.organise(company.history.place, company.history.parent, company.superior)
    await analytics.hear(company.history.interleaved(seed), batch=37)
    token = analytics.token(company.users[0])
    events = [(e, data_of(e)) for e in company.history.told]
    for first, last in PERIODS:
        for group_by, level in GROUPINGS:
            answer = await analytics.report(
                "opportunity-outcomes", token, first=first, last=last, group_by=group_by, level=level
            )
            expected = reckoning.outcomes(events, first, last, by(group_by, level), lambda deal: True)
            total = expected["total"]
            assert min(total["won"] + total["lost"], total["open"]) > 0, "there is something to compare"
            compare(answer, expected)
    first, last = PERIODS[1]
    for name, place in (("user", company.users[3]), ("department", company.offices[0])):
        whose = _credited(name, str(place))
        for group_by in ("month", "product"):
            answer = await analytics.report(
                "opportunity-outcomes", token, first=first, last=last, group_by=group_by, **{name: place}
            )
            compare(answer, reckoning.outcomes(events, first, last, by(group_by), lambda deal: True, whose=whose))


def _credited(name: str, key: str) -> Any:
    def whose(credit: dict[str, Any] | None) -> bool:
        if credit is None:
            return False
        return credit["user_id"] == key if name == "user" else key in credit["department_path"]

    return whose


@pytest.mark.requirement("AN-6")
async def test_later_transfers_and_moves_change_no_figure_of_the_past(analytics: Analytics) -> None:
    company = Company(1)
    history, (seller, heir) = company.history, company.users[2:4]
    history.parent[company.teams[0]] = company.offices[0]
    history.place[seller], history.place[heir] = company.teams[0], company.teams[1]
    deal = history.opportunity(seller, company.pipeline, value=("100", "USD"))
    history.close(deal, "won")
    await analytics.organise(history.place, history.parent, company.superior)
    await analytics.hear(history.told)
    token = analytics.token(company.users[0])
    day = deal.state["closed_on"]

    async def figures() -> list[Any]:
        return [
            (await analytics.report("opportunity-outcomes", token, first=day, last=day, group_by=g, level=level))[
                "rows"
            ]
            for g, level in (("user", None), ("department", None), ("department", 1))
        ]

    before = await figures()
    assert [row["key"] for rows in before for row in rows] == [
        str(seller),
        str(company.teams[0]),
        str(company.offices[0]),
    ]
    told = len(history.told)
    history.parent[company.teams[0]] = company.offices[1]
    history.place[seller] = company.teams[2]
    history.transfer(deal, heir)
    await analytics.organise(history.place, history.parent, company.superior)
    await analytics.hear(history.told[told:])
    assert await figures() == before


async def test_a_deal_closed_again_is_credited_to_who_closed_it_last(analytics: Analytics) -> None:
    company = Company(1)
    history, (first, second) = company.history, company.users[2:4]
    deal = history.opportunity(first, company.pipeline, value=("100", "USD"))
    history.close(deal, "won")
    history.transfer(deal, second)
    history.reopen(deal)
    history.close(deal, "lost")
    await analytics.hear(history.told)
    answer = await analytics.report(
        "opportunity-outcomes",
        analytics.token(await _known(analytics)),
        first="2017-01-01",
        last="2017-12-31",
        group_by="user",
    )
    assert [(row["key"], row["won"]["count"], row["lost"]["count"]) for row in answer["rows"]] == [(str(second), 0, 1)]


async def _known(analytics: Analytics) -> uuid.UUID:
    """Somebody whom the directory knows."""
    user, department = uuid.uuid4(), uuid.uuid4()
    await analytics.organise({user: department}, {department: None}, {})
    return user


async def test_names_are_the_present_ones_and_what_is_unknown_shows_as_its_id(analytics: Analytics) -> None:
    company = Company(3)
    history, user = company.history, company.users[4]
    stranger = uuid.uuid4()
    for owner in (user, stranger, None):
        history.opportunity(owner, company.pipeline, products=company.products[:1])
    await analytics.organise(history.place, history.parent, company.superior, {user: "김철수"})
    # The product's own event is still on its way.
    await analytics.hear([e for e in history.told if e.topic != "crm.sales.product"])
    token = analytics.token(company.users[0])
    asked = {"first": "2017-01-01", "last": "2017-12-31"}
    answer = await analytics.report("opportunity-outcomes", token, group_by="user", **asked)
    named = sorted([(str(user), "김철수"), (str(stranger), str(stranger))], key=lambda pair: pair[1])
    assert [(row["key"], row["label"]) for row in answer["rows"]] == [*named, (None, None)]
    product = company.products[0]
    answer = await analytics.report("opportunity-outcomes", token, group_by="product", **asked)
    assert [(row["key"], row["label"]) for row in answer["rows"]] == [(str(product.id), str(product.id))]
    await analytics.hear([e for e in history.told if e.topic == "crm.sales.product"])
    answer = await analytics.report("opportunity-outcomes", token, group_by="product", **asked)
    assert [row["label"] for row in answer["rows"]] == ["alpha"]


@pytest.mark.requirement("AN-15")
async def test_as_of_is_when_the_newest_change_in_the_figures_was_recorded(analytics: Analytics) -> None:
    user = await _known(analytics)
    asked = {"first": "2017-01-01", "last": "2017-12-31", "group_by": "year"}
    assert (await analytics.report("opportunity-outcomes", analytics.token(user), **asked))["as_of"] is None
    company = Company(5).live(30)
    told = company.history.told
    for heard in (told[:10], told[10:]):
        await analytics.hear(heard)
        answer = await analytics.report("opportunity-outcomes", analytics.token(user), **asked)
        assert dt.datetime.fromisoformat(answer["as_of"]) == heard[-1].time


async def test_the_company_currency_counts_where_there_are_several(analytics: Analytics) -> None:
    company = Company(6)
    for value in (("10.50", "USD"), ("3000", "KRW"), ("1.005", "KWD")):
        deal = company.history.opportunity(company.users[0], company.pipeline, value=value)
        company.history.close(deal, "won", on=dt.date(2017, 3, 5))
    await analytics.hear(company.history.told)
    token = analytics.token(await _known(analytics))
    answer = await analytics.report(
        "opportunity-outcomes", token, first="2017-03-01", last="2017-03-31", group_by="month"
    )
    assert answer["rows"][0]["key"] == answer["rows"][0]["label"] == "2017-03"
    assert answer["total"]["won"] == {
        "count": 3,
        "value": {"amount": "10.50", "currency": "USD"},
        "values": [
            {"amount": "3000", "currency": "KRW"},
            {"amount": "1.005", "currency": "KWD"},
            {"amount": "10.50", "currency": "USD"},
        ],
    }


async def test_an_open_one_is_counted_at_the_end_of_the_period(analytics: Analytics) -> None:
    company = Company(7)
    deal = company.history.opportunity(company.users[0], company.pipeline, opened_on=dt.date(2017, 1, 31))
    company.history.close(deal, "won", on=dt.date(2017, 3, 1))
    held = company.history.opportunity(company.users[0], company.pipeline, opened_on=dt.date(2017, 1, 31))
    held.state["outcome"] = "on_hold"
    company.history.tell(held, "held")
    await analytics.hear(company.history.told)
    token = analytics.token(await _known(analytics))
    for first, last, won, still_open in (
        ("2017-01-31", "2017-01-31", 0, 2),
        ("2017-01-01", "2017-02-28", 0, 2),
        ("2017-01-01", "2017-03-01", 1, 1),
        ("2017-02-01", "2017-02-28", 0, 0),
        ("2017-03-01", "2017-03-31", 1, 0),
    ):
        answer = await analytics.report("opportunity-outcomes", token, first=first, last=last, group_by="year")
        total = answer["total"]
        assert (total["won"]["count"], total["open"]["count"]) == (won, still_open)


async def test_a_product_that_leaves_a_deal_leaves_its_figures(analytics: Analytics) -> None:
    company = Company(9)
    history, (alpha, beta, _) = company.history, company.products
    deal = history.opportunity(
        company.users[0], company.pipeline, value=("30", "USD"), lines=[(alpha, "10"), (beta, "20")]
    )
    deal.state["lines"] = [line for line in deal.state["lines"] if line["product_id"] == beta.id]
    deal.state["value"] = {"amount": "20", "currency": "USD"}
    history.tell(deal, "changed")
    history.close(deal, "won")
    await analytics.hear(history.told, batch=1)
    answer = await analytics.report(
        "opportunity-outcomes",
        analytics.token(await _known(analytics)),
        first="2017-01-01",
        last="2017-12-31",
        group_by="product",
    )
    assert [(row["label"], row["won"]["value"]["amount"]) for row in answer["rows"]] == [("beta", "20.00")]


REFUSED = [
    ({"first": "2017-13-01", "last": "2017-12-31", "group_by": "month"}, "query:from"),
    ({"first": "1483228800", "last": "2017-12-31", "group_by": "month"}, "query:from"),
    ({"first": "2017-01-01T00:00:00", "last": "2017-12-31", "group_by": "month"}, "query:from"),
    ({"last": "2017-12-31", "group_by": "month"}, "query:from"),
    ({"first": "2017-01-01", "group_by": "month"}, "query:to"),
    ({"first": "2017-01-01", "last": "2016-12-31", "group_by": "month"}, "query:to"),
    ({"first": "0001-01-01", "last": "2016-12-31", "group_by": "month"}, "query:from"),
    ({"first": "2017-01-01", "last": "9999-12-31", "group_by": "year"}, "query:to"),
    ({"first": "2017-01-01", "last": "2099-12-31", "group_by": "year"}, "query:to"),
    ({"first": "2007-01-01", "last": "2017-12-31", "group_by": "day"}, "query:group_by"),
    ({"first": "2017-01-01", "last": "2017-12-31", "group_by": "moon"}, "query:group_by"),
    ({"first": "2017-01-01", "last": "2017-12-31"}, "query:group_by"),
    ({"first": "2017-01-01", "last": "2017-12-31", "group_by": "department", "level": -1}, "query:level"),
    ({"first": "2017-01-01", "last": "2017-12-31", "group_by": "department", "level": 51}, "query:level"),
    ({"first": "2017-01-01", "last": "2017-12-31", "group_by": "user", "level": 1}, "query:level"),
    ({"first": "2017-01-01", "last": "2017-12-31", "group_by": "user", "user": "me"}, "query:user"),
    ({"first": "2017-01-01", "last": "2017-12-31", "group_by": "user", "colour": "red"}, "query:colour"),
]


@pytest.mark.requirement("PL-3")
async def test_bad_parameters_are_refused_with_a_pointer(analytics: Analytics) -> None:
    token = analytics.token(await _known(analytics))
    for query, pointer in REFUSED:
        answer = await analytics.ask("/reports/opportunity-outcomes", token, **query)
        assert (answer.status_code, [e["pointer"] for e in answer.json()["errors"]]) == (422, [pointer]), query


async def test_reports_need_their_permission_and_that_to_read_the_records(analytics: Analytics) -> None:
    user = await _known(analytics)
    asked = {"first": "2017-01-01", "last": "2017-12-31", "group_by": "year"}
    for permissions, missing in (
        (["sales.*:read"], "analytics.report:read"),
        (["analytics.report:read"], "sales.opportunity:read"),
    ):
        token = analytics.token(user, permissions=permissions)
        answer = await analytics.ask("/reports/opportunity-outcomes", token, **asked)
        assert (answer.status_code, answer.json()["permission"]) == (403, missing)


@pytest.mark.requirement("PL-30")
async def test_who_reaches_nothing_gets_zeros_and_no_hint(analytics: Analytics) -> None:
    company = Company(8).live(60)
    await analytics.hear(company.history.told)
    user = await _known(analytics)
    token = analytics.token(user, scopes={"customers.*": {"*": Rule("all")}})
    answer = await analytics.report(
        "opportunity-outcomes", token, first="2017-01-01", last="2017-12-31", group_by="user"
    )
    assert answer["rows"] == []
    assert answer["total"] == shown({"won": 0, "lost": 0, "open": 0, "value": {}})


async def test_more_sources_than_a_report_answers_are_refused_and_no_more_than_needed_is_read(
    analytics: Analytics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sources are free text. Each has rows for what is won and open, in several currencies: keys are counted, not rows."""
    monkeypatch.setattr(parameters, "MAX_ROWS", 2)
    read: list[Any] = []
    original = folding.fold

    def noted(counted: Any, new: Any) -> Any:
        read.extend({row["key"] for row in counted if not row["is_total"]})
        return original(counted, new)

    monkeypatch.setattr("crm_analytics.outcomes.routes.fold", noted)
    company = Company(8)
    history, user = company.history, company.users[2]
    await analytics.organise(history.place, history.parent, company.superior)
    token = analytics.token(company.users[0])
    asked = {"first": "2016-01-01", "last": "2018-12-31", "group_by": "source"}
    for sources, expected in ((1, 200), (2, 200), (3, 422), (4, 422), (5, 422)):
        told = len(history.told)
        for currency in ("USD", "EUR"):
            deal = history.opportunity(user, company.pipeline, value=("1", currency), source=f"source {sources}")
            history.close(deal, "won")
            history.opportunity(user, company.pipeline, value=("1", currency), source=f"source {sources}")
        await analytics.hear(history.told[told:], log_too=False)
        read.clear()
        answer = await analytics.ask("/reports/opportunity-outcomes", token, **asked)
        assert answer.status_code == expected
        assert len(read) == min(sources, 3), "one more than is answered, to know that there are too many"
        if expected == 200:
            total = answer.json()["total"]
            assert (total["won"]["count"], total["open"]["count"]) == (2 * sources, 2 * sources)
    assert [(e["pointer"], e["code"]) for e in answer.json()["errors"]] == [("query:group_by", "report.too_many_rows")]

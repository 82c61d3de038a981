"""Contract values and payments received against the same figures reckoned from the events alone."""

import datetime as dt
import random
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from crm_analytics.report import parameters
from crm_authz import Rule
from crm_kernel import Money, new_id

from . import reckoning
from .company import Company
from .conftest import Analytics
from .history import data_of
from .test_scope import RULES, _reaches

#: The history lasts some three weeks from New Year on; contracts were signed up to 40 days before, payments came up to 30 days before.
PERIODS = [(dt.date(2016, 12, 15), dt.date(2017, 1, 10)), (dt.date(2016, 11, 1), dt.date(2017, 3, 31))]
#: Report → its figures, each with the kinds that it counts; and how the records are reckoned.
REPORTS: dict[str, tuple[dict[str, tuple[str, ...]], Callable[[Any], Any]]] = {
    "contract-values": (
        {"signed": ("active", "terminated"), "terminated": ("terminated",)},
        reckoning.signed,
    ),
    "payments-received": ({"received": ("received",)}, reckoning.received),
}
GROUPINGS: list[tuple[str, int | None]] = [
    (g, None) for g in ("department", "user", "product", "customer", "day", "week", "month", "quarter", "year")
]
GROUPINGS += [("department", 0), ("department", 1), ("department", 2)]


def shown(name: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """A reckoned row as the report shows it."""
    answer = {}
    for figure, kinds in REPORTS[name][0].items():
        count, value = 0, dict[str, int]()
        for kind in kinds:
            more, amounts = row.get(kind, (0, {}))
            count += more
            for currency, minor in amounts.items():
                value[currency] = value.get(currency, 0) + minor
        currency = next(iter(value)) if len(value) == 1 else "USD"
        money = Money(value.get(currency, 0), currency)
        answer[figure] = {"count": count, "value": {"amount": money.amount, "currency": currency}}
        if len(value) > 1:
            answer[figure]["values"] = [{"amount": Money(value[c], c).amount, "currency": c} for c in sorted(value)]
    return answer


def by(group_by: str, level: int | None = None) -> Any:
    """The keys of a record for a grouping, with the part of its value that counts under each."""

    def keys(one: dict[str, Any]) -> dict[Any, int]:
        if group_by == "product":
            parts: dict[Any, int] = one["parts"]
            return parts
        day, credit = one["day"], one["credit"]
        path = credit["department_path"] if credit else []
        own = credit["department_id"] if credit else None
        key = {
            "department": own if level is None or len(path) <= level else path[level],
            "user": credit["user_id"] if credit else None,
            "customer": one["customer"],
            "day": f"{day:%Y-%m-%d}",
            "week": f"{day:%G-W%V}",
            "month": f"{day:%Y-%m}",
            "quarter": f"{day:%Y}-Q{(day.month + 2) // 3}",
            "year": f"{day:%Y}",
        }[group_by]
        return {key: reckoning.minor(one["value"])}

    return keys


def compare(name: str, answer: dict[str, Any], expected: dict[Any, Any]) -> None:
    assert answer["total"] == shown(name, expected.pop("total", {}))
    got = {row["key"]: {figure: row[figure] for figure in REPORTS[name][0]} for row in answer["rows"]}
    assert len(got) == len(answer["rows"])
    assert got == {key: shown(name, row) for key, row in expected.items()}


@pytest.mark.requirement("AN-3", "AN-6", "AN-7")
@pytest.mark.parametrize("seed", range(3))
async def test_figures_are_those_reckoned_from_the_events(analytics: Analytics, seed: int) -> None:
    company = Company(seed).live(250)
    await analytics.organise(company.history.place, company.history.parent, company.superior)
    await analytics.hear(company.history.interleaved(seed), batch=37, log_too=False)
    token = analytics.token(company.users[0])
    events = [(e, data_of(e)) for e in company.history.told]
    for name, (_, reckoned) in REPORTS.items():
        found = [*reckoned(events)]
        assert any(len(one["parts"]) > 1 for one in found), "there is something to divide"
        for first, last in PERIODS:
            for group_by, level in GROUPINGS:
                answer = await analytics.report(name, token, first=first, last=last, group_by=group_by, level=level)
                expected = reckoning.sums(found, first, last, by(group_by, level), lambda one: True)
                assert expected, "there is something to compare"
                compare(name, answer, expected)
        first, last = PERIODS[1]
        for query, chosen in _filters(company.users[3], company.offices[0], found[0]["customer"]):
            for group_by in ("month", "product"):
                answer = await analytics.report(name, token, first=first, last=last, group_by=group_by, **query)
                compare(name, answer, reckoning.sums(found, first, last, by(group_by), chosen))


def _filters(user: uuid.UUID, office: uuid.UUID, customer: str) -> list[tuple[dict[str, Any], Any]]:
    """What is asked for, and which reckoned records that is."""
    return [
        ({"user": user}, lambda one: one["credit"] and one["credit"]["user_id"] == str(user)),
        ({"department": office}, lambda one: one["credit"] and str(office) in one["credit"]["department_path"]),
        ({"customer": customer}, lambda one: one["customer"] == customer),
    ]


@pytest.mark.requirement("AN-9", "AN-6")
async def test_a_payment_counts_for_whose_contract_it_is_whoever_recorded_it(analytics: Analytics) -> None:
    company = Company(3).live(250)
    events = [(e, data_of(e)) for e in company.history.told]
    found = [*reckoning.received(events)]
    assert any(one["owner"] != one["contract_owner"] for one in found)
    for one in found:
        assert (one["credit"] and one["credit"]["user_id"]) == one["contract_owner"]
    await analytics.organise(company.history.place, company.history.parent, company.superior)
    await analytics.hear(company.history.told, log_too=False)
    token = analytics.token(company.users[0])
    answer = await analytics.report("payments-received", token, **_ALWAYS, group_by="user")
    assert {row["key"] for row in answer["rows"]} == {one["contract_owner"] for one in found}


_ALWAYS = {"first": "2016-01-01", "last": "2018-12-31"}


@pytest.mark.requirement("AN-6")
async def test_later_transfers_and_moves_change_no_figure_of_the_past(analytics: Analytics) -> None:
    company = Company(1)
    history, (seller, heir, clerk) = company.history, company.users[2:5]
    history.parent[company.teams[0]] = company.offices[0]
    history.place[seller], history.place[heir] = company.teams[0], company.teams[1]
    contract = history.contract(seller, new_id(), value=("100", "USD"), lines=[(company.products[0], "90", "100")])
    history.approve_contract(contract)
    payment = history.payment(clerk, contract, ("40", "USD"), history.now.date())
    history.approve_payment(payment, contract)
    await analytics.organise(history.place, history.parent, company.superior)
    await analytics.hear(history.told, log_too=False)
    token = analytics.token(company.users[0])

    async def figures() -> list[Any]:
        return [
            (await analytics.report(name, token, **_ALWAYS, group_by=group_by, level=level))["rows"]
            for name in REPORTS
            for group_by, level in (("user", None), ("department", None), ("department", 1))
        ]

    before = await figures()
    assert [row["key"] for rows in before for row in rows] == [
        str(seller),
        str(company.teams[0]),
        str(company.offices[0]),
    ] * 2
    told = len(history.told)
    history.parent[company.teams[0]] = company.offices[1]
    history.place[seller] = company.teams[2]
    history.transfer(contract, heir)
    history.transfer(payment, heir)
    await analytics.organise(history.place, history.parent, company.superior)
    await analytics.hear(history.told[told:], log_too=False)
    assert await figures() == before
    history.terminate(contract)
    await analytics.hear(history.told[-1:], log_too=False)
    (row,) = (await analytics.report("contract-values", token, **_ALWAYS, group_by="user"))["rows"]
    assert row["signed"] == row["terminated"] == {"count": 1, "value": {"amount": "100.00", "currency": "USD"}}
    assert row["key"] == str(seller)


async def test_a_contract_counts_when_it_was_signed_else_when_it_was_approved(analytics: Analytics) -> None:
    company = Company(2)
    history, user = company.history, company.users[2]
    customer = new_id()
    for signed_on, approved_on in ((dt.date(2016, 12, 31), dt.date(2017, 1, 2)), (None, dt.date(2017, 1, 3))):
        made = history.contract(user, customer, value=("10", "USD"), signed_on=signed_on)
        history.approve_contract(made, approved_on)
    # Never approved, void, deleted: none of them counts.
    history.contract(user, customer, value=("10", "USD"), signed_on=dt.date(2017, 1, 3))
    for status in ("in_approval", "void"):
        made = history.contract(user, customer, value=("10", "USD"), signed_on=dt.date(2017, 1, 3))
        made.state["status"] = status
        history.tell(made, "changed")
    gone = history.contract(user, customer, value=("10", "USD"))
    history.approve_contract(gone, dt.date(2017, 1, 3))
    history.delete(gone)
    await analytics.organise(history.place, history.parent, company.superior)
    await analytics.hear(history.told, log_too=False)
    token = analytics.token(company.users[0])
    answer = await analytics.report("contract-values", token, **_ALWAYS, group_by="day")
    assert [(row["key"], row["signed"]["count"]) for row in answer["rows"]] == [("2016-12-31", 1), ("2017-01-03", 1)]
    history.restore(gone)
    await analytics.hear(history.told[-1:], log_too=False)
    answer = await analytics.report("contract-values", token, **_ALWAYS, group_by="day")
    assert answer["rows"][1]["signed"]["count"] == 2


@pytest.mark.requirement("PL-30", "AN-6", "ID-12")
@pytest.mark.parametrize("seed", [100, 101])
async def test_figures_are_of_the_records_that_the_caller_may_read_now(analytics: Analytics, seed: int) -> None:
    company = Company(seed).live(300)
    await analytics.hear(company.history.interleaved(seed), log_too=False)
    await analytics.organise(company.history.place, company.history.parent, company.superior)
    events = [(e, data_of(e)) for e in company.history.told]
    first, last = PERIODS[1]
    seen = set()
    for holder in company.users[:5]:
        for rule in RULES:
            token = analytics.token(holder, Rule(rule))  # type: ignore[arg-type]
            visible = _reaches(company, (rule,), holder, dt.datetime.now(dt.UTC))
            for name, (_, reckoned) in REPORTS.items():
                answer = await analytics.report(name, token, first=first, last=last, group_by="product")
                expected = reckoning.sums([*reckoned(events)], first, last, by("product"), visible)
                seen.add((name, *(count for count, _ in expected.get("total", {}).values())))
                compare(name, answer, expected)
    assert len(seen) > 8, "the scopes differ"


async def test_each_report_needs_the_permission_to_read_its_records(analytics: Analytics) -> None:
    company = Company(4)
    await analytics.organise(company.history.place, company.history.parent, company.superior)
    asked = {**_ALWAYS, "group_by": "year"}
    for name, missing in (("contract-values", "billing.contract:read"), ("payments-received", "billing.payment:read")):
        others = ["analytics.report:read", "sales.*:read", "billing.contract:read", "billing.payment:read"]
        token = analytics.token(company.users[0], permissions=[p for p in others if p != missing])
        answer = await analytics.ask(f"/reports/{name}", token, **asked)
        assert (answer.status_code, answer.json()["permission"]) == (403, missing)
        answer = await analytics.ask(f"/reports/{name}", analytics.token(company.users[0], permissions=others), **asked)
        assert answer.status_code == 200


@pytest.mark.requirement("PL-30")
async def test_a_customers_name_is_shown_to_those_alone_who_see_the_customer(analytics: Analytics) -> None:
    company = Company(5)
    history, (mine, other) = company.history, company.users[2:4]
    seen, hidden, gone = (history.customer(owner) for owner in (mine, other, mine))
    unheard = new_id()
    for customer in (seen.id, hidden.id, gone.id, unheard):
        contract = history.contract(mine, customer, value=("10", "USD"))
        history.approve_contract(contract)
        history.approve_payment(history.payment(mine, contract, ("5", "USD"), history.now.date()), contract)
    history.delete(gone)
    await analytics.organise(history.place, history.parent, company.superior)
    await analytics.hear(history.told, log_too=False)
    scopes = {"customers.customer": {"*": Rule("self")}, "*": {"*": Rule("all")}}
    read = ["analytics.report:read", "billing.contract:read", "billing.payment:read"]
    bare = {str(key): str(key) for key in (seen.id, hidden.id, gone.id, unheard)}
    for permissions, labels in (
        (read, bare),
        ([*read, "customers.customer:read"], {**bare, str(seen.id): "고객"}),
    ):
        token = analytics.token(mine, permissions=permissions, scopes=scopes)
        for name in REPORTS:
            answer = await analytics.report(name, token, **_ALWAYS, group_by="customer")
            assert {row["key"]: row["label"] for row in answer["rows"]} == labels


async def test_more_customers_than_a_report_answers_are_refused(
    analytics: Analytics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parameters, "MAX_ROWS", 2)
    company = Company(6)
    history = company.history
    await analytics.organise(history.place, history.parent, company.superior)
    token = analytics.token(company.users[0])
    for expected in (200, 200, 422):
        history.approve_contract(history.contract(company.users[2], new_id(), value=("1", "USD")))
        await analytics.hear(history.told[-2:], log_too=False)
        answer = await analytics.ask("/reports/contract-values", token, **_ALWAYS, group_by="customer")
        assert answer.status_code == expected
    assert [(e["pointer"], e["code"]) for e in answer.json()["errors"]] == [("query:group_by", "report.too_many_rows")]


@pytest.mark.requirement("PL-3")
async def test_bad_parameters_are_refused_with_a_pointer(analytics: Analytics) -> None:
    company = Company(7)
    await analytics.organise(company.history.place, company.history.parent, company.superior)
    token = analytics.token(company.users[0])
    for name in REPORTS:
        for query, pointer in (
            ({"group_by": "pipeline"}, "query:group_by"),
            ({"group_by": "user", "level": 1}, "query:level"),
            ({"group_by": "user", "customer": "me"}, "query:customer"),
            ({"group_by": "user", "first": "2019-01-01"}, "query:to"),
            ({"group_by": "day", "first": "2007-01-01"}, "query:group_by"),
        ):
            answer = await analytics.ask(f"/reports/{name}", token, **{**_ALWAYS, **query})
            assert (answer.status_code, [e["pointer"] for e in answer.json()["errors"]]) == (422, [pointer]), query


@pytest.mark.parametrize("seed", range(3))
async def test_the_parts_of_a_payment_are_exact_in_whatever_order_its_events_come(
    analytics: Analytics, seed: int
) -> None:
    company = Company(8)
    history, (seller, clerk) = company.history, company.users[2:4]
    alpha, beta, gamma = company.products
    lines = [(alpha, "1", "1"), (beta, "1", "1"), (gamma, "1", "1")]
    contract = history.contract(seller, new_id(), value=("3", "USD"), lines=lines)
    history.approve_contract(contract)
    payment = history.payment(clerk, contract, ("1.00", "USD"), history.now.date())
    history.approve_payment(payment, contract)
    history.transfer(payment, seller)
    history.share(payment, (clerk, "read", None))
    await analytics.organise(history.place, history.parent, company.superior)
    told = [*history.told]
    random.Random(seed).shuffle(told)
    await analytics.hear(told, batch=1 + seed, log_too=False)
    token = analytics.token(uuid.UUID(str(company.users[0])))
    answer = await analytics.report("payments-received", token, **_ALWAYS, group_by="product")
    assert [row["received"]["value"]["amount"] for row in answer["rows"]] == ["0.34", "0.33", "0.33"]
    assert answer["total"]["received"] == {"count": 1, "value": {"amount": "1.00", "currency": "USD"}}

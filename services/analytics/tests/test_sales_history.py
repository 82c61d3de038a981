"""A published sales history (8,800 opportunities), told as events: the reports give what its files add up to.

The files are read here once more, by themselves; the path through the public API is the journeys' affair.
"""

import csv
import datetime as dt
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from crm_authz import Rule
from crm_kernel import new_id

from .conftest import Analytics
from .history import History

FOLDER = Path(__file__).parents[4] / "shared" / "data" / "crm_sales_opportunities" / "iso_dates"
ASKED = {"first": "2016-10-01", "last": "2017-12-31"}

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the data set is not beside the project")


def rows(name: str) -> list[dict[str, str]]:
    with (FOLDER / name).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def figures(deals: list[dict[str, str]]) -> dict[str, Any]:
    """Of raw rows: those without a date are dated by the load, years later."""
    value = sum(int(d["close_value"]) for d in deals if d["deal_stage"] == "Won")
    counts = Counter(d["deal_stage"] for d in deals)
    return {
        "won": {"count": counts["Won"], "value": {"amount": f"{value}.00", "currency": "USD"}},
        "lost": {"count": counts["Lost"]},
        "open": {"count": counts["Engaging"]},
    }


def told(history: History, teams: list[dict[str, str]], deals: list[dict[str, str]]) -> dict[str, uuid.UUID]:
    """Tell the history; answers the ids of offices, people and products by name, `root` of the root."""
    names = {name: new_id() for row in teams for name in (row["regional_office"], row["manager"], row["sales_agent"])}
    names["root"] = new_id()
    history.parent = {names["root"]: None}
    for row in teams:
        office, manager, agent = names[row["regional_office"]], names[row["manager"]], names[row["sales_agent"]]
        team = history.place.setdefault(manager, new_id())
        history.parent |= {office: names["root"], team: office}
        history.place[agent] = team
    pipeline = history.pipeline("Sales", "Prospecting", "Engaging")
    products = {row["product"]: history.product(row["product"]) for row in rows("products.csv")}
    for row in deals:
        engaged = dt.date.fromisoformat(row["engage_date"]) if row["engage_date"] else dt.date(2026, 11, 23)
        deal = history.opportunity(
            names[row["sales_agent"]],
            pipeline,
            products=[products["GTX Pro" if row["product"] == "GTXPro" else row["product"]]],
            opened_on=engaged,
        )
        if row["deal_stage"] != "Prospecting":
            history.to_stage(deal, pipeline, 2)
        if row["deal_stage"] in ("Won", "Lost"):
            value = (row["close_value"], "USD")
            history.close(deal, row["deal_stage"].lower(), dt.date.fromisoformat(row["close_date"]), value)
    return names | {name: record.id for name, record in products.items()}


@pytest.mark.requirement("AN-3", "PL-30")
async def test_reports_give_what_the_files_add_up_to(analytics: Analytics) -> None:
    teams, deals = rows("sales_teams.csv"), rows("sales_pipeline.csv")
    history = History(1)
    ids = told(history, teams, deals)
    executive = new_id()
    history.place[executive] = ids["root"]
    superior = {ids[row["sales_agent"]]: ids[row["manager"]] for row in teams}
    await analytics.organise(history.place, history.parent, superior, {key: name for name, key in ids.items()})
    await analytics.hear(history.interleaved(1), batch=500, log_too=False)

    async def report(token: str, **query: Any) -> dict[str, Any]:
        return await analytics.report("opportunity-outcomes", token, **ASKED, **query)

    office_of = {row["sales_agent"]: row["regional_office"] for row in teams}
    manager_of = {row["sales_agent"]: row["manager"] for row in teams}
    everything = analytics.token(executive)
    answer = await report(everything, group_by="department", level=1)
    assert answer["total"] == figures(deals)
    assert (answer["total"]["won"]["count"], answer["total"]["lost"]["count"]) == (4238, 2473)
    assert answer["total"]["open"]["count"] == 1589
    assert answer["total"]["won"]["value"] == {"amount": "10005534.00", "currency": "USD"}

    def grouped(answer: dict[str, Any], key_of: Any) -> None:
        expected: dict[str, list[dict[str, str]]] = {}
        for deal in deals:
            expected.setdefault(key_of(deal), []).append(deal)
        got = {row["label"]: {k: row[k] for k in ("won", "lost", "open")} for row in answer["rows"]}
        assert got == {name: figures(mine) for name, mine in expected.items()}

    grouped(answer, lambda deal: office_of[deal["sales_agent"]])
    grouped(await report(everything, group_by="user"), lambda deal: deal["sales_agent"])
    by_product = await report(everything, group_by="product")
    grouped(by_product, lambda deal: deal["product"].replace("GTXPro", "GTX Pro"))
    for manager in set(manager_of.values()):
        token = analytics.token(ids[manager], Rule("subordinates"))
        mine = [deal for deal in deals if manager_of[deal["sales_agent"]] == manager]
        assert (await report(token, group_by="user"))["total"] == figures(mine)
    for agent in manager_of:
        token = analytics.token(ids[agent], Rule("self"))
        mine = [deal for deal in deals if deal["sales_agent"] == agent]
        assert (await report(token, group_by="month"))["total"] == figures(mine)

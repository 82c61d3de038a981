"""The main job on real input: a published sales history, loaded through the public API, seen by each only as far as they may.

Every expected value is counted from the raw files by `raw_sales_history`; the ones that are written out are those that the data's own
description promises.
"""

import datetime as dt
import itertools
import threading
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from .person import Person
from .raw_sales_history import LABELS, PERIOD, Deal, RawHistory, outcomes
from .sales_history import LIST, History, caught_up, load_history
from .waiting import until

FIRST, LAST = PERIOD


def references(items: Iterable[Any]) -> set[str]:
    """The external references of records; each stands once."""
    found = [item["external_ref"]["id"] for item in items]
    assert len(set(found)) == len(found)
    return set(found)


def count(person: Person, path: str, **params: Any) -> int:
    """How many records a person sees."""
    return int(person.get(path, params={"count": "exact", "limit": 1, **params})["count"])


def outcome(value: str) -> dict[str, str]:
    return {"field": "outcome", "op": "eq", "value": value}


def test_the_raw_files_say_what_their_description_promises(history: History) -> None:
    """The oracle against the numbers that are published with the data."""
    deals, raw = history.raw.deals, history.raw
    assert len(deals) == 8800
    assert Counter(d.stage for d in deals) == {"Won": 4238, "Lost": 2473, "Engaging": 1589, "Prospecting": 500}
    assert Counter(d.office for d in deals) == {"Central": 3512, "West": 2997, "East": 2291}
    assert sum(d.value for d in deals if d.stage == "Won") == 10_005_534
    assert (len(raw.teams), len({d.agent for d in deals}), len(raw.managers)) == (35, 30, 6)


@pytest.mark.requirement("ID-2", "ID-4", "ID-10")
def test_offices_teams_and_people_stand_as_in_the_file(history: History) -> None:
    executive, raw = history.executive, history.raw
    departments = {d["id"]: d for d in executive.pages("identity/departments")}
    root = next(d for d in departments.values() if d["parent_id"] is None)
    offices = {d["name"] for d in departments.values() if d["parent_id"] == root["id"]}
    assert offices == {office for _, office in raw.teams.values()}
    assert len(offices) == 3
    users = {user["id"]: user for user in executive.pages("identity/users")}
    placed = {}
    for user in users.values():
        if user["superior_id"] is not None and user["name"] in raw.teams:
            team = departments[user["department_id"]]
            placed[user["name"]] = (users[user["superior_id"]]["name"], departments[team["parent_id"]]["name"])
            assert team["manager_id"] == user["superior_id"]
    assert placed == raw.teams
    assert len(placed) == 35
    leading = {users[u["superior_id"]]["name"] for u in users.values() if u["name"] in raw.teams}
    assert leading == set(raw.managers)
    roles = {name: history.named(name).get("identity/me")["roles"] for name in (*raw.teams, *raw.managers)}
    assert {role["shipped"] for name in raw.teams for role in roles[name]} == {"sales_representative"}
    assert {role["shipped"] for name in raw.managers for role in roles[name]} == {"supervisor"}


@pytest.mark.requirement("CU-20", "SA-10", "PL-30")
def test_accounts_are_customers_of_the_agent_with_the_most_rows(history: History) -> None:
    executive, raw = history.executive, history.raw
    users = {user["id"]: user["name"] for user in executive.pages("identity/users")}
    customers = list(executive.pages("customers/customers"))
    assert {c["external_ref"]["id"]: users[c["owner_id"]] for c in customers} == raw.account_owners
    assert count(executive, "customers/customers") == len(customers) == 85
    names = {c["id"]: c["name"] for c in customers}
    parents = {c["name"]: names[c["parent_id"]] for c in customers if c["parent_id"]}
    assert parents == {r["account"]: r["subsidiary_of"] for r in raw.rows("accounts.csv") if r["subsidiary_of"]}
    assert count(executive, "sales/products") == len(raw.rows("products.csv")) == 7
    for agent in raw.teams:
        own = {account for account, owner in raw.account_owners.items() if owner == agent}
        assert references(history.named(agent).pages("customers/customers", fields="external_ref")) == own


@pytest.mark.requirement("SA-2", "SA-4", "PL-4", "PL-5")
def test_opportunities_are_as_in_the_file(history: History) -> None:
    executive = history.executive
    stages = {s["id"]: s["name"] for p in executive.get("sales/pipelines")["items"] for s in p["stages"]}
    products = {p["id"]: p["name"] for p in executive.pages("sales/products")}
    customers = {c["id"]: c["name"] for c in executive.pages("customers/customers")}
    users = {user["id"]: user["name"] for user in executive.pages("identity/users")}
    found = {}
    for item in executive.pages(LIST):
        value = item["value"]["amount"] if item["outcome"] == "won" else None
        found[item["external_ref"]["id"]] = (
            users[item["owner_id"]],
            [products[product] for product in item["product_ids"]],
            customers[item["customer_id"]] if item["customer_id"] else "",
            item["outcome"].capitalize() if item["outcome"] != "open" else stages[item["stage_id"]],
            item["closed_on"],
            value,
        )
    assert found == {
        d.ref: (
            d.agent,
            [d.product],
            d.account,
            d.stage,
            d.closed.isoformat() if d.closed else None,
            f"{d.value}.00" if d.stage == "Won" else None,
        )
        for d in history.raw.deals
    }


@pytest.mark.requirement("PL-4", "PL-5")
def test_the_executive_counts_the_won_ones_in_a_list_of_fifty(history: History) -> None:
    asked = {"count": "exact", "limit": "50", "filter": '{"field":"outcome","op":"eq","value":"won"}'}
    answer = history.executive.get(LIST, params=asked)
    assert set(answer) == {"items", "next", "count"}
    assert answer["count"] == 4238
    assert len(answer["items"]) == 50
    assert isinstance(answer["next"], str)
    assert {item["outcome"] for item in answer["items"]} == {"won"}


@pytest.mark.requirement("PL-30", "ID-12", "PL-4", "PL-5", "PL-11")
def test_everybody_sees_exactly_their_own_in_list_count_and_search(history: History) -> None:
    for person, deals in history.seers():
        expected = {d.ref for d in deals}
        assert references(person.pages(LIST, fields="external_ref")) == expected, person.login
        assert count(person, LIST) == len(expected), person.login
        assert references(person.found(f"{LIST}/search", fields=["external_ref"], sort="name")) == expected
        lost = references(person.found(f"{LIST}/search", filter=outcome("lost"), fields=["external_ref"]))
        assert lost == {d.ref for d in deals if d.stage == "Lost"}, person.login
        # Found by a text that stands in the name; no account is called so.
        special = {d.ref for d in deals if d.product == "MG Special"}
        assert references(person.pages(LIST, q="mg special", fields="external_ref")) == special, person.login
        assert count(person, LIST, q="mg special") == len(special), person.login


@pytest.mark.requirement("PL-30", "PL-23", "ID-12")
def test_nobody_reads_records_or_history_of_others(history: History) -> None:
    """Each agent asks for one record of every agent; each manager for those of every agent."""
    ids = history.ids
    one_of = {d.agent: d for d in history.raw.deals}
    for person, deals in history.seers():
        seen = {d.agent for d in deals}
        for agent, deal in one_of.items():
            expected = (200, None) if agent in seen else (404, "record.not_found")
            answer = person.call("GET", f"{LIST}/{ids[deal.ref]}/history")
            assert (answer.status, answer.code) == expected, (person.login, agent)
        for agent, deal in list(one_of.items())[:6]:
            for rest in ("", "/stages", "/owners", "/members"):
                status = person.call("GET", f"{LIST}/{ids[deal.ref]}{rest}").status
                assert status == (200 if agent in seen else 404), (person.login, agent, rest)


@pytest.mark.requirement("AN-3", "AN-6", "AN-15", "PL-30")
@pytest.mark.parametrize("group_by", list(LABELS))
def test_everybody_gets_exactly_their_own_figures(history: History, group_by: str) -> None:
    for person, deals in history.seers():
        expected = outcomes(deals, FIRST, LAST, group_by)
        assert history.figures(person, group_by, FIRST, LAST) == expected, person.login


@pytest.mark.requirement("AN-3", "AN-15")
def test_the_report_has_the_form_that_it_promises(history: History) -> None:
    told = history.report(history.executive, "office", FIRST, LAST)
    assert set(told) == {"as_of", "rows", "total"}
    assert dt.datetime.fromisoformat(told["as_of"]) <= dt.datetime.now(dt.UTC)
    central = next(row for row in told["rows"] if row["label"] == "Central")
    assert set(central) == {"key", "label", "won", "lost", "open"}
    assert told["total"] == {
        "won": {"count": 4238, "value": {"amount": "10005534.00", "currency": "USD"}},
        "lost": {"count": 2473},
        "open": {"count": 1589},
    }
    assert [row["label"] for row in told["rows"]] == ["Central", "East", "West"]
    months = [row["key"] for row in history.report(history.executive, "month", FIRST, LAST)["rows"]]
    assert months == sorted(months)


@pytest.mark.requirement("AN-3", "AN-15")
@pytest.mark.parametrize("last", [dt.date(2017, 6, 30), dt.date(2017, 3, 15)])
@pytest.mark.parametrize("group_by", ["month", "user", "product"])
def test_what_was_closed_after_the_period_is_open_in_it(history: History, group_by: str, last: dt.date) -> None:
    expected = outcomes(history.raw.deals, FIRST, last, group_by)
    later = [d for d in history.raw.deals if d.closed and d.engaged and d.engaged <= last < d.closed]
    assert len(later) > 500, "the period ends in the middle"
    assert history.figures(history.executive, group_by, FIRST, last) == expected
    office = [d for d in history.raw.deals if d.manager == "Melvin Marxen"]
    manager = history.named("Melvin Marxen")
    assert history.figures(manager, group_by, FIRST, last) == outcomes(office, FIRST, last, group_by)


@pytest.mark.requirement("SA-3", "PL-23")
def test_the_way_through_the_stages_is_dated_as_in_the_file(history: History) -> None:
    """Business time is the file's, noon of the day; when it was entered is today."""
    executive, ids = history.executive, history.ids
    today = dt.datetime.now(dt.UTC).date().isoformat()
    for stage in ("Won", "Lost", "Engaging"):
        for deal in [d for d in history.raw.deals if d.stage == stage][:5]:
            (visit,) = executive.get(f"{LIST}/{ids[deal.ref]}/stages")["items"]
            assert visit["stage"] == "Engaging"
            assert visit["entered_at"][:10] == deal.engaged.isoformat()  # type: ignore[union-attr]
            assert visit["left_at"] is None if deal.closed is None else visit["left_at"][:10] == str(deal.closed)
            assert visit["recorded_at"][:10] <= today
            facts = executive.get(f"{LIST}/{ids[deal.ref]}/history")["items"]
            assert (
                [fact["fact"] for fact in facts] == ["created"] if deal.closed is None else [stage.lower(), "created"]
            )
            assert facts[-1]["occurred_at"][:10] == str(deal.engaged)
            assert facts[-1]["recorded_at"][:4] == today[:4]
    undated = next(d for d in history.raw.deals if d.stage == "Prospecting")
    (visit,) = executive.get(f"{LIST}/{ids[undated.ref]}/stages")["items"]
    assert visit["stage"] == "Prospecting"
    assert visit["entered_at"][:4] == today[:4], "rows without a date are dated by the load"


@pytest.mark.requirement("PL-9")
async def test_a_second_load_adds_nothing(history: History) -> None:
    first = history.loads[0]
    assert first.rows["opportunities"] == 8800
    before = await history.journalled()
    # Two are written per closed opportunity, one for each other record at least.
    assert before > 8800 + 4238 + 2473
    again = load_history(history)
    assert again.rows == first.rows
    assert set(again.written.values()) == {0}, again.written
    assert await history.journalled() == before


def total_figures(history: History) -> dict[str, Any]:
    """All that the executive's reports and two others' say, with the number of records."""
    manager, agent = "Dustin Brinkmann", "Moses Frase"
    seen = {
        (person.login, group_by): history.figures(person, group_by, FIRST, LAST)
        for person in (history.executive, history.named(manager), history.named(agent))
        for group_by in LABELS
    }
    return {"counts": [count(history.executive, path) for path in (LIST, "customers/customers")], "figures": seen}


def expected_figures(raw: RawHistory, history: History) -> dict[str, Any]:
    def of(chosen: Iterable[Deal]) -> dict[str, Any]:
        deals = list(chosen)
        return {group_by: outcomes(deals, FIRST, LAST, group_by) for group_by in LABELS}

    by_person = {
        history.executive.login: of(raw.deals),
        history.named("Dustin Brinkmann").login: of(d for d in raw.deals if d.manager == "Dustin Brinkmann"),
        history.named("Moses Frase").login: of(d for d in raw.deals if d.agent == "Moses Frase"),
    }
    seen = {(login, by): figures for login, found in by_person.items() for by, figures in found.items()}
    return {"counts": [8800, 85], "figures": seen}


@pytest.mark.requirement("PL-13", "AN-15", "PL-23")
def test_after_the_broker_lost_its_log_twice_under_writes_nothing_is_missing(history: History) -> None:
    """Somebody goes on making changes that no figure counts; each is in the log of all events once, in order."""
    agent = history.named("Moses Frase")
    chosen = [history.ids[d.ref] for d in history.raw.deals if d.agent == "Moses Frase"][:20]
    written: dict[str, list[int]] = {record: [] for record in chosen}
    enough = threading.Event()

    def write() -> None:
        for number in itertools.count(1):
            for record in chosen:
                changed = agent.done("PATCH", f"{LIST}/{record}", json={"next_step": f"call {number}"})
                written[record].append(changed["version"])
            if enough.is_set():
                return

    def rounds() -> int:
        return min(len(versions) for versions in written.values())

    with ThreadPoolExecutor(1) as threads:
        writing = threads.submit(write)
        for _ in range(2):
            done = rounds()
            until(lambda done=done: writing.done() or rounds() > done, 60.0, "writes go on")  # type: ignore[misc]
            history.stack.wipe_broker()
            history.stack.wait_ready()
        enough.set()
        writing.result(60.0)
    assert rounds() >= 3
    administrator = history.login("admin@crm.example")

    def logged(record: str) -> list[int]:
        found = administrator.pages("analytics/events", subject=record, type="crm.sales.opportunity.changed.v1")
        return [event["data"]["version"] for event in found]

    for record in chosen:
        until(
            lambda record=record: len(logged(record)) >= len(written[record]),  # type: ignore[misc]
            60.0,
            f"the log has all changes of {record}",
        )
        assert logged(record) == written[record]
    until(lambda: caught_up(history), 30.0, "the figures are complete")
    assert total_figures(history) == expected_figures(history.raw, history)


@pytest.mark.requirement("PL-51", "AN-15")
def test_after_everything_was_stopped_and_started_again_the_figures_are_the_same(history: History) -> None:
    history.stack.stop()
    history.stack = history.stack.again()
    for person in list(history._people.values()):
        person.close()
    history._people.clear()
    assert total_figures(history) == expected_figures(history.raw, history)


@pytest.mark.slow
@pytest.mark.requirement("PL-9", "AN-3")
def test_the_edition_with_american_dates_gives_the_same_figures(us_history: History, history: History) -> None:
    assert [vars(d) for d in us_history.raw.deals] == [vars(d) for d in history.raw.deals]
    assert total_figures(us_history) == expected_figures(history.raw, us_history)
    assert references(us_history.executive.pages(LIST, fields="external_ref")) == {d.ref for d in history.raw.deals}

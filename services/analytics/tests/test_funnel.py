"""The funnel against the same figures reckoned from the events alone."""

import datetime as dt
import statistics
import uuid
from typing import Any

import pytest

from crm_kernel import new_id

from . import reckoning
from .company import Company
from .conftest import Analytics
from .history import data_of

FIRST, LAST = dt.date(2017, 1, 4), dt.date(2017, 1, 16)
#: The company stands in Seoul: nine hours ahead, no clock changes.
SEOUL = dt.timezone(dt.timedelta(hours=9))


def instant(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def reckoned(
    events: Any, stages: dict[str, int], key_of: Any, pipeline: str | None = None
) -> dict[Any, dict[str, Any]]:
    """key → what the funnel says of it; the key "total" for all. Written stay by stay."""
    answer: dict[Any, dict[str, Any]] = {}
    for deal in reckoning.deals(events):
        state = deal["state"]
        if state["deleted"]:
            continue
        moves = [data for _, data in deal["moves"]]
        for n, move in enumerate(moves):
            at = instant(move["occurred_at"])
            if not FIRST <= at.astimezone(SEOUL).date() <= LAST:
                continue
            stage = move["state"]["stage_id"]
            after = moves[n + 1 :]
            left = instant(after[0]["occurred_at"]) if after else None
            if left is None and state["outcome"] in ("won", "lost"):
                left = instant(deal["closed_at"])
            further = any(
                stages.get(later["state"]["stage_id"], -1) > stages[stage] for later in after if stage in stages
            )
            for key in {key_of(deal, move["credit"]), "total"}:
                row = answer.setdefault(key, {"deals": {}, "stages": {}})
                row["deals"][deal["id"]] = state["outcome"]
                kept = row["stages"].setdefault(stage, {"deals": {}, "converted": set(), "seconds": [], "back": 0})
                kept["deals"][deal["id"]] = state["outcome"]
                if further or state["outcome"] == "won":
                    kept["converted"].add(deal["id"])
                if left is not None:
                    kept["seconds"].append(max(0.0, (left - at).total_seconds()))
                kept["back"] += bool(after and after[0].get("regression"))
    return answer


def shown(row: dict[str, Any]) -> dict[str, Any]:
    def count(deals: dict[str, str], outcome: str) -> dict[str, int]:
        return {"count": list(deals.values()).count(outcome)}

    return {
        "entered": {"count": len(row["deals"])},
        "won": count(row["deals"], "won"),
        "lost": count(row["deals"], "lost"),
        "stages": {
            stage: {
                "entered": {"count": len(kept["deals"])},
                "converted": {
                    "count": len(kept["converted"]),
                    "share": round(len(kept["converted"]) / len(kept["deals"]), 4),
                },
                "dwell": {
                    "count": len(kept["seconds"]),
                    "average_seconds": round(statistics.fmean(kept["seconds"])) if kept["seconds"] else None,
                    "median_seconds": round(statistics.median(kept["seconds"])) if kept["seconds"] else None,
                },
                "regressions": {"count": kept["back"]},
                "won": count(kept["deals"], "won"),
                "lost": count(kept["deals"], "lost"),
            }
            for stage, kept in row["stages"].items()
        },
    }


def got(row: dict[str, Any]) -> dict[str, Any]:
    outside = ("pipeline_id", "stage_id", "label", "position")
    stages = {stage["stage_id"]: {k: v for k, v in stage.items() if k not in outside} for stage in row["stages"]}
    return {**{k: row[k] for k in ("entered", "won", "lost")}, "stages": stages}


@pytest.mark.requirement("AN-5")
@pytest.mark.parametrize("seed", range(200, 205))
async def test_the_funnel_is_the_one_reckoned_from_the_events(analytics: Analytics, seed: int) -> None:
    company = Company(seed).live(420)
    await analytics.organise(company.history.place, company.history.parent, company.superior)
    await analytics.hear(company.history.interleaved(seed), log_too=False)
    events = [(e, data_of(e)) for e in company.history.told]
    stages = {}
    for _, data in events:
        for stage in data["state"].get("stages", []):
            stages[stage["id"]] = stage["position"]
    token = analytics.token(company.users[0])
    keys: dict[str, Any] = {
        "pipeline": lambda deal, credit: deal["state"]["pipeline_id"],
        "user": lambda deal, credit: credit["user_id"] if credit else None,
        "department": lambda deal, credit: credit["department_id"] if credit else None,
        "source": lambda deal, credit: deal["state"]["source"],
    }
    for group_by, key_of in keys.items():
        answer = await analytics.report("funnel", token, first=FIRST, last=LAST, group_by=group_by)
        expected = reckoned(events, stages, key_of)
        assert len(expected["total"]["deals"]) > 10, "there is something to compare"
        assert got(answer["total"]) == shown(expected.pop("total"))
        assert {row["key"]: got(row) for row in answer["rows"]} == {key: shown(row) for key, row in expected.items()}
        positions = [stage["position"] for stage in answer["total"]["stages"]]
        assert positions == sorted(positions)
    one = await analytics.report("funnel", token, first=FIRST, last=LAST, user=company.users[3])
    by_user = reckoned(events, stages, keys["user"])
    if str(company.users[3]) in by_user:
        assert got(one["total"]) == shown(by_user[str(company.users[3])])
    assert (await analytics.report("funnel", token, first=FIRST, last=LAST, pipeline=new_id()))["rows"] == []


async def test_departments_by_level_and_a_department_with_all_below_it(analytics: Analytics) -> None:
    company = Company(41)
    history = company.history
    seller, team = company.users[4], company.teams[0]
    history.place[seller], history.parent[team] = team, company.offices[0]
    history.opportunity(seller, company.pipeline, source="web")
    await analytics.hear(history.told)
    await analytics.organise(history.place, history.parent, company.superior)
    token = analytics.token(seller)
    asked = {"first": "2017-01-01", "last": "2017-12-31"}
    for level, key in ((None, team), (0, company.root), (1, company.offices[0]), (2, team), (3, team)):
        answer = await analytics.report("funnel", token, group_by="department", level=level, **asked)
        assert [row["key"] for row in answer["rows"]] == [str(key)]
    for query, count in (
        ({"department": company.root}, 1),
        ({"department": team}, 1),
        ({"department": company.offices[1]}, 0),
        ({"source": "web"}, 1),
        ({"source": "phone"}, 0),
    ):
        answer = await analytics.report("funnel", token, **asked, **query)
        assert answer["total"]["entered"]["count"] == count, query


async def test_a_stage_that_is_not_known_yet_shows_as_its_id_and_comes_last(analytics: Analytics) -> None:
    company = Company(42)
    history, user = company.history, company.users[0]
    unknown = history.pipeline("Other", "A")
    history.opportunity(user, company.pipeline)
    history.opportunity(user, unknown)
    await analytics.organise(history.place, history.parent, company.superior)
    await analytics.hear([e for e in history.told if e.subject != unknown.id])
    answer = await analytics.report("funnel", analytics.token(user), first="2017-01-01", last="2017-12-31")
    stages = answer["total"]["stages"]
    assert [stage["label"] for stage in stages] == ["Prospecting", str(unknown.state["stages"][0]["id"])]
    assert stages[1]["position"] is None


@pytest.mark.requirement("PL-3")
async def test_bad_parameters_are_refused_with_a_pointer(analytics: Analytics) -> None:
    user, department = uuid.uuid4(), uuid.uuid4()
    await analytics.organise({user: department}, {department: None}, {})
    token = analytics.token(user)
    for query, pointer in (
        ({"first": "2017-01-02", "last": "2017-01-01"}, "query:to"),
        ({"first": "2017-1-2", "last": "2017-01-01"}, "query:from"),
        ({"first": "2017-01-01", "last": "2017-01-02", "group_by": "month"}, "query:group_by"),
        ({"first": "2017-01-01", "last": "2017-01-02", "level": 1}, "query:level"),
        ({"first": "2017-01-01", "last": "2017-01-02", "source": "x" * 201}, "query:source"),
    ):
        answer = await analytics.ask("/reports/funnel", token, **query)
        assert (answer.status_code, [e["pointer"] for e in answer.json()["errors"]]) == (422, [pointer]), query

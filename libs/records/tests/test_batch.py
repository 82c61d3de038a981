"""Many records in one request."""

import asyncio
import uuid
from typing import Any

import pytest

from .conftest import Answered, Caller, World


def ref(given: str) -> dict[str, str]:
    return {"system": "erp", "id": given}


async def send(caller: Caller, mode: str, *rows: Any) -> Answered:
    answer = await caller("POST", "/voyages/batch", json={"mode": mode, "rows": list(rows)})
    assert answer.status == 200, answer.body
    assert [row["index"] for row in answer["rows"]] == list(range(len(rows)))
    assert (answer["ok"], answer["failed"]) == (
        sum(row["status"] == "ok" for row in answer["rows"]),
        sum(row["status"] == "error" for row in answer["rows"]),
    )
    return answer


def said(answer: Answered) -> list[str]:
    """`created`, `changed`, …, or the error's code, per row."""
    return [row["done"] if row["status"] == "ok" else row["code"] for row in answer["rows"]]


def pointers(answer: Answered) -> list[str]:
    return [error["pointer"] for row in answer["rows"] for error in row.get("errors") or ()]


@pytest.mark.requirement("PL-9")
async def test_a_row_that_is_wrong_is_answered_and_stops_no_other(world: World) -> None:
    rep = world.caller(world.crew[0])
    answer = await send(
        rep,
        "create",
        {"name": "One", "external_ref": ref("1")},
        {"name": "", "crew": "many"},
        {"name": "Pirates"},
        {"name": "Two", "phone": "nonsense"},
        {"name": "Three", "external_ref": ref("1")},
        {"name": "Four", "surprise": 1},
        "no object",
        {"name": "Five", "owner_id": str(world.crew[1])},
        {"name": "Six", "occurred_at": "2099-01-01T00:00:00Z"},
        {"name": "Seven"},
    )
    assert said(answer) == [
        "created",
        "request.invalid",
        "voyage.pirates",
        "request.invalid",
        "record.external_ref_repeated",
        "request.invalid",
        "request.invalid",
        "scope.target_out_of_scope",
        "record.occurred_in_future",
        "created",
    ]
    assert pointers(answer) == [
        "/rows/1/name",
        "/rows/1/crew",
        "/rows/3/phone",
        "/rows/5/surprise",
        "/rows/6",
        "/rows/8/occurred_at",
    ]
    assert sorted(await rep.names()) == ["One", "Seven"]
    numbers = {item["number"] for item in (await rep("GET", "/voyages"))["items"]}
    assert len(numbers) == 2


@pytest.mark.requirement("PL-9", "PL-20")
async def test_an_upsert_creates_changes_or_leaves_alone_by_external_reference(world: World) -> None:
    rep = world.caller(world.crew[0])
    rows = [{"name": f"Voyage {index}", "crew": index, "external_ref": ref(str(index))} for index in range(3)]
    assert said(await send(rep, "upsert", *rows)) == ["created"] * 3
    again = await send(
        rep, "upsert", rows[0], {**rows[1], "crew": 9}, rows[2], {"name": "New", "external_ref": ref("9")}
    )
    assert said(again) == ["unchanged", "changed", "unchanged", "created"]
    assert [row["version"] for row in again["rows"]] == [1, 2, 1, 1]
    events = await world.rows("SELECT type FROM journal ORDER BY event_id")
    assert [row["type"].rsplit(".", 2)[1] for row in events] == ["created"] * 3 + ["changed", "created"]
    without = await send(rep, "upsert", {"name": "No reference"})
    assert (said(without), pointers(without)) == (["request.invalid"], ["/rows/0/external_ref"])
    # Who would own a new record is no transfer of an existing one.
    captain = world.caller(world.captain, "subordinates")
    moved = await send(
        captain, "upsert", {**rows[0], "owner_id": str(world.captain)}, {**rows[1], "owner_id": str(world.crew[0])}
    )
    assert (said(moved), pointers(moved)) == (["request.invalid", "changed"], ["/rows/0/owner_id"])


@pytest.mark.requirement("PL-9")
async def test_rows_are_changed_by_id_or_by_external_reference(world: World) -> None:
    rep, other = world.caller(world.crew[0]), world.caller(world.crew[1])
    mine = await rep.create("Mine", external_ref=ref("1"))
    also = await rep.create("Also mine")
    theirs = await other.create("Theirs", external_ref=ref("2"))
    gone = await rep.create("Gone")
    await rep("DELETE", f"/voyages/{gone['id']}")
    answer = await send(
        rep,
        "change",
        {"external_ref": ref("1"), "crew": 5},
        {"id": also["id"], "crew": 6, "external_ref": ref("3")},
        {"id": theirs["id"], "crew": 7},
        {"external_ref": ref("2"), "crew": 7},
        {"id": str(uuid.uuid4()), "crew": 7},
        {"id": gone["id"], "crew": 7},
        {"id": mine["id"], "crew": 8},
        {"crew": 9},
        {"id": "no id"},
        {"external_ref": ref("nothing"), "crew": 1},
    )
    assert said(answer) == [
        "changed",
        "changed",
        "record.not_found",
        "record.not_found",
        "record.not_found",
        "record.not_found",
        "record.repeated",
        "request.invalid",
        "request.invalid",
        "record.not_found",
    ]
    assert (await other("GET", f"/voyages/{theirs['id']}"))["crew"] is None
    taken = await send(rep, "change", {"id": also["id"], "external_ref": ref("1")})
    assert said(taken) == ["record.external_ref_taken"]


async def test_a_batch_needs_the_permissions_of_what_it_does(world: World) -> None:
    creator = world.caller(world.crew[0], permissions=["create"])
    assert said(await send(creator, "create", {"name": "One"})) == ["created"]
    for mode in ("change", "upsert"):
        refused = await creator(
            "POST", "/voyages/batch", json={"mode": mode, "rows": [{"name": "x", "external_ref": ref("1")}]}
        )
        assert (refused.status, refused["permission"]) == (403, "shipping.voyage:update")
    editor = world.caller(world.crew[0], permissions=["update"])
    refused = await editor("POST", "/voyages/batch", json={"mode": "create", "rows": [{"name": "x"}]})
    assert (refused.status, refused["permission"]) == (403, "shipping.voyage:create")


async def test_a_batch_of_records_that_are_only_readable_changes_none(world: World) -> None:
    captain = world.caller(world.captain, "subordinates")
    made = await captain.create("Captain's")
    friend = world.crew[3]
    await captain("PUT", f"/voyages/{made['id']}/members/{friend}", json={"right": "read"})
    answer = await send(world.caller(friend), "change", {"id": made["id"], "crew": 1})
    assert said(answer) == ["scope.record"]
    await captain("PUT", f"/voyages/{made['id']}/members/{friend}", json={"right": "write"})
    assert said(await send(world.caller(friend), "change", {"id": made["id"], "crew": 1})) == ["changed"]


@pytest.mark.requirement("PL-9")
async def test_a_thousand_rows_are_a_few_statements_and_one_more_is_refused(world: World) -> None:
    rep = world.caller(world.crew[0])
    rows = [
        {"name": f"Voyage {index}", "external_ref": ref(str(index)), "cargo": [{"goods": "x", "tons": 1}]}
        for index in range(1000)
    ]
    assert (await send(rep, "upsert", *rows))["ok"] == 1000
    assert (await send(rep, "upsert", *rows))["ok"] == 1000
    assert [row["n"] for row in await world.rows("SELECT count(*) AS n FROM journal")] == [1000]
    too_many = await rep("POST", "/voyages/batch", json={"mode": "upsert", "rows": [*rows, rows[0]]})
    assert (too_many.status, too_many["errors"][0]["pointer"]) == (422, "/rows")
    assert (await rep("POST", "/voyages/batch", json={"mode": "upsert", "rows": []})).status == 422


@pytest.mark.requirement("PL-20")
async def test_batches_with_the_same_references_at_once_make_each_record_once(world: World) -> None:
    callers = [world.caller(world.crew[index]) for index in range(4)]
    rows = [{"name": f"Voyage {index}", "external_ref": ref(str(index))} for index in range(30)]
    answers = await asyncio.gather(*(send(caller, "create", *rows) for caller in callers))
    for index in range(30):
        outcomes = sorted(said(answer)[index] for answer in answers)
        assert outcomes == ["created", *["record.external_ref_taken"] * 3]
    assert [row["n"] for row in await world.rows("SELECT count(*) AS n FROM voyage")] == [30]
    assert [row["n"] for row in await world.rows("SELECT count(*) AS n FROM journal")] == [30]


async def test_a_reference_of_an_invisible_or_deleted_record_is_taken_and_says_nothing_else(world: World) -> None:
    rep, other = world.caller(world.crew[0]), world.caller(world.crew[1])
    hidden = await other.create("Hidden", external_ref=ref("1"))
    gone = await rep.create("Gone", external_ref=ref("2"))
    await rep("DELETE", f"/voyages/{gone['id']}")
    answer = await send(rep, "create", {"name": "x", "external_ref": ref("1")}, {"name": "x", "external_ref": ref("2")})
    assert said(answer) == ["record.external_ref_taken"] * 2
    assert hidden["id"] not in str(answer.body)
    answer = await send(rep, "upsert", {"name": "x", "external_ref": ref("1")}, {"name": "x", "external_ref": ref("2")})
    assert said(answer) == ["record.not_found"] * 2
    assert (await other("GET", f"/voyages/{hidden['id']}"))["name"] == "Hidden"


async def test_a_batch_for_records_without_owners(world: World) -> None:
    rep = world.caller(world.crew[0], "")
    rows = [
        {"code": "KRPUS", "name": "부산", "external_ref": ref("1")},
        {"code": "x", "name": "y", "external_ref": ref("2")},
    ]
    answer = await rep("POST", "/ports/batch", json={"mode": "upsert", "rows": rows})
    assert said(answer) == ["created", "request.invalid"]
    rows[0]["name"] = "Busan"
    assert said(await rep("POST", "/ports/batch", json={"mode": "upsert", "rows": rows})) == [
        "changed",
        "request.invalid",
    ]

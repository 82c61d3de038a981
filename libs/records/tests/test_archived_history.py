"""History whose older part lies in the archive: the same pages, owners, entries as before, and a plain answer when it can't be read."""

import datetime as dt
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from crm_contracts import Registry, registry
from crm_events.archive import Storage, keep_in
from crm_events.archive.archiver import Archiver
from crm_events.months import bounds

from .conftest import Caller, World

JANUARY = dt.date(2026, 1, 1)


@pytest.fixture
async def archive(world: World, tmp_path: Path) -> AsyncIterator[Archiver]:
    """An archiver of the service's journal, which has a month of its own for each test."""
    connection = await asyncpg.connect(await _url(world))
    low, high = bounds(JANUARY)
    await connection.execute(
        f"CREATE TABLE journal_2026_01 PARTITION OF journal FOR VALUES FROM ('{low}') TO ('{high}')"
    )
    storage = Storage(tmp_path.as_uri())
    keep_in(world.database, storage)
    yield Archiver(connection, "shipping", storage, Registry(), frozenset(), lambda _: None)
    keep_in(world.database, None)
    await connection.execute("DROP TABLE journal_2026_01")
    await connection.execute("TRUNCATE journal_archive, journal_frame")
    await connection.close()


async def _url(world: World) -> str:
    arguments: Any = world.database.pool._connect_args
    return str(arguments[0])


async def _long_ago(archive: Archiver, record_id: str, until: int) -> None:
    """Make the first versions of a record facts of January: their ids say when they were recorded."""
    await archive.connection.execute("DELETE FROM outbox")
    for version in range(1, until + 1):
        await archive.connection.execute(
            "UPDATE journal SET event_id = $3 WHERE subject = $1 AND version = $2",
            uuid.UUID(record_id),
            version,
            uuid.UUID(int=bounds(JANUARY)[0].int + version),
        )


async def _story(world: World) -> tuple[Caller, str]:
    """A voyage of nine versions; its owner changes at 3 and 6."""
    rep = world.caller(world.director, "all")
    made = await rep.create("First", owner_id=str(world.crew[0]))
    path = f"/voyages/{made['id']}"
    for version in range(2, 10):
        if version in (3, 6):
            body = {"to_user_id": str(world.crew[version]), "reason": f"because {version}"}
            answer = await rep("POST", f"{path}/transfer", json=body)
        else:
            answer = await rep("PATCH", path, json={"crew": version})
        assert answer.status == 200, answer.body
    return rep, path


async def _pages(rep: Caller, path: str, limit: int) -> list[Any]:
    found: list[Any] = []
    params: dict[str, Any] = {"limit": limit}
    while True:
        page = await rep("GET", path, params=params)
        assert page.status == 200, page.body
        found += page["items"]
        if page["next"] is None:
            return found
        params["cursor"] = page["next"]


async def test_history_and_owners_are_the_same_when_half_of_them_is_archived(world: World, archive: Archiver) -> None:
    rep, path = await _story(world)
    await _long_ago(archive, path.rsplit("/", 1)[1], until=5)
    before = [await _pages(rep, f"{path}/{what}", limit) for what in ("history", "owners") for limit in (2, 50)]
    assert [len(one) for one in before] == [9, 9, 3, 3]
    assert await archive.archive(JANUARY, world.clock.now()) == 5
    after = [await _pages(rep, f"{path}/{what}", limit) for what in ("history", "owners") for limit in (2, 50)]
    assert after == before
    assert [entry["version"] for entry in after[0]] == list(range(9, 0, -1))
    await archive.restore(JANUARY)
    assert [await _pages(rep, f"{path}/{what}", 50) for what in ("history", "owners")] == [before[1], before[3]]


async def test_a_value_is_set_back_from_an_archived_entry(world: World, archive: Archiver) -> None:
    rep, path = await _story(world)
    await _long_ago(archive, path.rsplit("/", 1)[1], until=5)
    await archive.archive(JANUARY, world.clock.now())
    back = await rep("POST", f"{path}/history/5/revert", json={})
    assert (back.status, back["crew"]) == (200, 4)


@pytest.mark.requirement("PL-23")
async def test_an_archived_entry_of_an_earlier_version_is_shown_in_the_newest(
    world: World, archive: Archiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    rep = world.caller(world.director, "all")
    made = await rep.create("One")
    path = f"/voyages/{made['id']}"
    for body in ({"name": "Two"}, {"crew": 3}):
        assert (await rep("PATCH", path, json=body)).status == 200
    # As if the release that recorded it had called the name otherwise.
    await archive.connection.execute(
        "UPDATE journal SET data = jsonb_set(data, '{changes}', jsonb_build_object('label', data #> '{changes,name}')) "
        "WHERE subject = $1 AND version = 2",
        uuid.UUID(made["id"]),
    )
    await _long_ago(archive, made["id"], until=2)
    await archive.archive(JANUARY, world.clock.now())

    def label_is_the_name(data: dict[str, Any]) -> dict[str, Any]:
        changes = dict(data["changes"])
        return {**data, "changes": {"name": changes.pop("label"), **changes} if "label" in changes else changes}

    monkeypatch.setitem(registry.upcasters, "crm.shipping.voyage.changed.v1", label_is_the_name)
    newest, archived, _ = await _pages(rep, f"{path}/history", 50)
    assert (newest["version"], newest["type"]) == (3, "crm.shipping.voyage.changed.v2")
    assert (archived["version"], archived["type"], archived["changes"]) == (
        2,
        "crm.shipping.voyage.changed.v2",
        {"name": {"old": "One", "new": "Two"}},
    )
    back = await rep("POST", f"{path}/history/2/revert", json={})
    assert (back.status, back["name"]) == (200, "One")


async def test_an_archive_that_does_not_answer_is_said_and_the_newer_part_is_shown(
    world: World, archive: Archiver, tmp_path: Path
) -> None:
    rep, path = await _story(world)
    await _long_ago(archive, path.rsplit("/", 1)[1], until=5)
    await archive.archive(JANUARY, world.clock.now())
    keep_in(world.database, Storage((tmp_path / "elsewhere").as_uri()))
    newest = await rep("GET", f"{path}/history", params={"limit": 4})
    assert [entry["version"] for entry in newest["items"]] == [9, 8, 7, 6]
    headers = {"authorization": f"Bearer {rep.token}"}
    older = {"cursor": newest["next"]}
    refused = await world.client.get(f"/api/shipping/v1{path}/history", params=older, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (503, "archive.unreachable")
    assert refused.headers["retry-after"] == "5"
    assert str(tmp_path) not in refused.text
    # Everything else about the record goes on.
    assert (await rep("PATCH", path, json={"crew": 17})).status == 200

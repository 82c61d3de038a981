"""How many statements a request sends to the database, and that the counting sees them."""

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from crm_database import Database, PoolSettings

from .conftest import Answered, World, running


@pytest.fixture
async def counted(shipping_dsn: str, world: World, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The service on one connection whose statements are noted: (world, notes)."""
    del world  # It empties the tables.
    database = await Database.open(shipping_dsn, name="counted", settings=PoolSettings(max_size=1))
    notes: list[str] = []
    connection = await database.pool.acquire()
    connection.add_query_logger(lambda record: notes.append(record.query))
    await database.pool.release(connection)
    prepare = asyncpg.Connection.prepare

    async def noted(self: Any, query: str, **options: Any) -> Any:
        # The driver's logger doesn't hear of statements that are prepared by hand.
        notes.append(query)
        return await prepare(self, query, **options)

    monkeypatch.setattr(asyncpg.Connection, "prepare", noted)
    async with running(shipping_dsn, database) as found:
        yield found, notes
    await database.close()


async def statements(notes: list[str], request: Callable[[], Awaitable[Answered]]) -> list[str]:
    """What one request sends, besides transaction control and the look at the directory's version (at most every 200 ms)."""
    await request()
    notes.clear()
    answer = await request()
    assert answer.status < 300, answer.body
    control = ("BEGIN", "COMMIT", "ROLLBACK")
    return [note for note in notes if not note.strip().startswith(control) and "directory_version" not in note]


async def test_requests_need_few_statements(counted: tuple[World, list[str]]) -> None:
    world, notes = counted
    rep, captain = world.caller(world.crew[0]), world.caller(world.captain, "subordinates")
    made = await rep.create("One", cargo=[{"goods": "tea", "tons": 1}])
    port = await rep("POST", "/ports", json={"code": "KRPUS", "name": "부산"})
    path = f"/voyages/{made['id']}"
    members = f"{path}/members/{world.crew[21]}"
    fresh = iter(range(1000))
    rows = [{"name": f"Voyage {index}", "external_ref": {"system": "a", "id": str(index)}} for index in range(100)]
    new_rows = {"mode": "create", "rows": [{"name": "New"}] * 100}
    requests: list[tuple[str, int, Callable[[], Awaitable[Answered]]]] = [
        ("list", 1, lambda: rep("GET", "/voyages")),
        ("list of a wide scope with count", 2, lambda: captain("GET", "/voyages", params={"count": "exact"})),
        ("search", 2, lambda: rep("GET", "/voyages", params={"q": "One", "count": "exact"})),
        ("read", 1, lambda: rep("GET", f"/ports/{port['id']}")),
        ("read with parts", 2, lambda: rep("GET", path)),
        ("create", 3, lambda: rep("POST", "/voyages", json={"name": "New"})),
        (
            "create with child rows",
            4,
            lambda: rep("POST", "/voyages", json={"name": "New", "cargo": [{"goods": "x", "tons": 1}]}),
        ),
        ("change, its parts read for the event", 5, lambda: rep("PATCH", path, json={"crew": next(fresh)})),
        ("change without owners", 3, lambda: rep("PATCH", f"/ports/{port['id']}", json={"name": f"P{next(fresh)}"})),
        ("change of nothing", 3, lambda: rep("PATCH", path, json={})),
        ("history", 2, lambda: rep("GET", f"{path}/history")),
        ("members", 2, lambda: rep("GET", f"{path}/members")),
        (
            "share",
            6,
            lambda: rep("PUT", members, json={"right": "read", "expires_at": f"2027-01-01T00:00:{next(fresh):02}Z"}),
        ),
        (
            "upsert of a hundred new ones",
            6,
            lambda: rep("POST", "/voyages/batch", json=new_rows),
        ),
        ("upsert of a hundred", 3, lambda: rep("POST", "/voyages/batch", json={"mode": "upsert", "rows": rows})),
    ]
    for name, most, request in requests:
        found = await statements(notes, request)
        assert 0 < len(found) <= most, (name, len(found), found)

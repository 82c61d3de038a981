"""What a library declares is what is exported, and statements are counted for whoever asks (PL-45)."""

import asyncio
import gc
from typing import Any

import asyncpg
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from crm_database import Database, DatabaseUnreachable, WriteContext, metrics
from crm_database.counting import counted
from crm_database.measuring import Measures

from .conftest import NOW

pytestmark = pytest.mark.requirement("PL-45")


def exported(reader: InMemoryMetricReader) -> dict[str, list[Any]]:
    """Name → data points."""
    data = reader.get_metrics_data()
    if data is None:
        return {}
    (resource,) = data.resource_metrics
    return {m.name: list(m.data.data_points) for scope in resource.scope_metrics for m in scope.metrics}


class Source:
    """Whoever has something to say."""

    def __init__(self, value: float) -> None:
        self.value = value


def test_a_gauge_is_read_from_those_who_live_and_added_up() -> None:
    reader = InMemoryMetricReader()
    measures = Measures("x", MeterProvider([reader]))
    gauge = measures.observed("x.waiting", unit="{thing}", meaning="things", labels=["kind"])
    one, other = Source(2), Source(3)
    for source in (one, other):
        gauge.of(source, lambda told: [(told.value, {"kind": "a"})])
    (point,) = exported(reader)["x.waiting"]
    assert (point.value, dict(point.attributes)) == (5, {"kind": "a"})
    one.value = 4
    del other, source
    gc.collect()
    (point,) = exported(reader)["x.waiting"]
    assert point.value == 4
    del one
    gc.collect()
    assert exported(reader).get("x.waiting", []) == [], "nobody's figure is told for ever"


def test_what_is_declared_is_listed_and_a_histogram_has_bounds_of_its_own() -> None:
    reader = InMemoryMetricReader()
    measures = Measures("x", MeterProvider([reader]))
    measures.histogram("x.time", unit="s", meaning="a time", bounds=(0.5, 1)).record(0.7)
    measures.counter("x.things", unit="{thing}", meaning="things", labels=["kind"]).add(2, {"kind": "a"})
    found = exported(reader)
    assert found["x.time"][0].explicit_bounds == (0.5, 1)
    assert found["x.things"][0].value == 2
    assert [(m.name, m.kind, m.unit, m.labels) for m in measures.listed] == [
        ("x.time", "histogram", "s", ()),
        ("x.things", "counter", "{thing}", ("kind",)),
    ]
    with pytest.raises(ValueError, match=r"x\.time is declared twice"):
        measures.counter("x.time", unit="s", meaning="again")


async def test_statements_are_counted_for_whoever_asks_in_every_task_begun_there(db: Database) -> None:
    async def ask() -> None:
        async with db.read() as session:
            await session.connection.fetchval("SELECT 1")

    await ask()
    with counted() as tally:
        async with db.write(WriteContext(now=NOW)) as session:
            await session.connection.fetch("SELECT 1")
            await session.connection.fetchrow("SELECT pg_sleep(0.02)")
            await session.connection.execute("SAVEPOINT s")
            with pytest.raises(asyncpg.DivisionByZeroError):
                await session.connection.execute("SELECT 1 / 0")
            await session.connection.execute("ROLLBACK TO s")
        with counted() as inner:
            await asyncio.gather(ask(), ask())
    # BEGIN, five of ours, COMMIT.
    assert (tally.statements, inner.statements) == (7, 2)
    assert 0.02 <= tally.seconds < 5
    before = tally.statements
    await ask()
    assert tally.statements == before, "outside nobody counts"


async def test_the_pool_tells_how_many_connections_are_used_and_what_was_waited_for(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(metrics, "pool_wait", Recorded(waits))
    async with db.read():
        told = metrics.pool_connections.values()
    used = told[(("db.client.connection.state", "used"),)]
    assert used >= 1
    assert metrics.pool_limit.values()[()] >= used
    assert len(waits) == 1
    assert waits[0] >= 0


async def test_a_pool_without_a_server_counts_failures(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    failures: list[float] = []
    monkeypatch.setattr(metrics, "pool_failures", Recorded(failures))

    async def refuse(*_: object, **__: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(db, "pool", type("Pool", (), {"acquire": staticmethod(refuse)})())
    with pytest.raises(DatabaseUnreachable):
        async with db.read():
            pass
    assert failures == [1]


class Recorded:
    """An instrument that keeps what it is told."""

    def __init__(self, told: list[float]) -> None:
        self.told = told

    def record(self, value: float, *_: object) -> None:
        self.told.append(value)

    def add(self, value: float, *_: object) -> None:
        self.told.append(value)

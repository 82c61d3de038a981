"""What is made anew from the log is what the consumer made: row by row, while it works on."""

import asyncio
from dataclasses import replace
from typing import Any

import asyncpg
import orjson
import pytest

from crm_analytics import rebuild as rebuilding
from crm_analytics.rebuild import LogBehind, RebuildRunning, rebuild
from crm_analytics.worker import REACTIONS
from crm_contracts import Envelope, Event, registry
from crm_contracts.records import RecordState
from crm_contracts.sales import PRODUCT_TOPIC, ProductState
from crm_events.reaction import groups_of
from crm_kernel import new_id

from .company import Company
from .conftest import Analytics, _context
from .tables import facts_of
from .test_log import until_waiting_or_done

_SHAPE = """
SELECT c.relname, c.relkind::text, pg_get_indexdef(i.indexrelid), con.def FROM pg_class c
LEFT JOIN pg_index i ON i.indexrelid = c.oid
LEFT JOIN LATERAL (
  SELECT string_agg(conname || ' ' || pg_get_constraintdef(oid), ';' ORDER BY conname) AS def
  FROM pg_constraint WHERE conrelid = c.oid
) con ON true
WHERE c.relnamespace = 'public'::regnamespace ORDER BY 1
"""


@pytest.mark.requirement("PL-48")
@pytest.mark.parametrize("seed", range(4))
async def test_rebuilt_facts_are_the_live_ones_row_by_row(
    analytics: Analytics, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "_BATCH", 37)
    company = Company(seed).live(200)
    await analytics.hear(company.history.interleaved(seed), batch=23)
    live = await facts_of(analytics.database)
    assert all(live.values()), "the history fills every table"
    async with analytics.database.read() as session:
        shape = await session.connection.fetch(_SHAPE)
    done = await rebuild(analytics.dsn)
    assert done.refused == []
    assert await facts_of(analytics.database) == live
    async with analytics.database.read() as session:
        assert await session.connection.fetch(_SHAPE) == shape
        schemas = await session.connection.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'facts%'")
    assert schemas == 0


async def test_what_was_lost_comes_back(analytics: Analytics) -> None:
    company = Company(21).live(150)
    await analytics.hear(company.history.told)
    live = await facts_of(analytics.database)
    async with analytics.database.write(_context()) as session:
        await session.connection.execute("DELETE FROM stage_entry")
        await session.connection.execute(
            "UPDATE opportunity_fact SET value_minor = 1, owner_id = NULL, closed_user_id = NULL"
        )
        await session.connection.execute("DELETE FROM record_member")
    assert await facts_of(analytics.database) != live
    await rebuild(analytics.dsn)
    assert await facts_of(analytics.database) == live


async def test_a_rebuild_while_events_come_and_reports_are_asked_loses_nothing(
    analytics: Analytics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "_BATCH", 20)
    company = Company(22).live(300)
    told = company.history.told
    await analytics.organise(company.history.place, company.history.parent, company.superior)
    await analytics.hear(told[:150])
    token = analytics.token(company.users[0])
    finished = asyncio.Event()
    counts: list[int] = []

    async def feed() -> None:
        # The log's consumer and that of the facts are two; now one is ahead, now the other.
        for n, start in enumerate(range(150, len(told), 5)):
            part = told[start : start + 5]
            for hear in (
                (analytics.hear_log, analytics.hear_facts) if n % 2 else (analytics.hear_facts, analytics.hear_log)
            ):
                await hear(part)
                await asyncio.sleep(0)

    async def ask() -> None:
        while not finished.is_set():
            answer = await analytics.report(
                "opportunity-outcomes", token, first="2016-01-01", last="2018-12-31", group_by="product"
            )
            total = answer["total"]
            counts.append(total["won"]["count"] + total["lost"]["count"] + total["open"]["count"])

    feeding, asking = asyncio.create_task(feed()), asyncio.create_task(ask())
    done = await rebuild(analytics.dsn)
    await asyncio.wait_for(feeding, 30)
    await rebuild(analytics.dsn)
    finished.set()
    await asyncio.wait_for(asking, 10)
    assert done.events > 0
    assert min(counts) > 0, "no report ever saw half-made tables"
    rebuilt = await facts_of(analytics.database)
    await analytics.hear_facts(told)
    assert await facts_of(analytics.database) == rebuilt


async def test_what_comes_between_the_replay_and_the_change_is_not_lost(
    analytics: Analytics, monkeypatch: pytest.MonkeyPatch
) -> None:
    company = Company(25).live(80)
    told = company.history.told
    await analytics.hear(told[:60])
    replay = rebuilding._replay

    async def late(*given: Any) -> int:
        position = await replay(*given)
        await analytics.hear(told[60:])
        return position

    monkeypatch.setattr(rebuilding, "_replay", late)
    await rebuild(analytics.dsn)
    rebuilt = await facts_of(analytics.database)
    await analytics.hear_facts(told)
    assert await facts_of(analytics.database) == rebuilt, "nothing was missing"


async def test_a_consumer_that_writes_during_the_change_writes_into_the_new_facts(
    analytics: Analytics, monkeypatch: pytest.MonkeyPatch
) -> None:
    company = Company(26).live(80)
    told = company.history.told
    await analytics.hear(told[:60])
    change = rebuilding._change_places
    writing: list[asyncio.Task[None]] = []

    async def disturbed(*given: Any) -> None:
        writing.append(asyncio.create_task(analytics.hear(told[60:])))
        await until_waiting_or_done(analytics, writing[0])
        await change(*given)

    monkeypatch.setattr(rebuilding, "_change_places", disturbed)
    await rebuild(analytics.dsn)
    await asyncio.wait_for(writing[0], 10)
    rebuilt = await facts_of(analytics.database)
    await analytics.hear_facts(told)
    assert await facts_of(analytics.database) == rebuilt, "nothing was missing"


async def test_events_that_only_the_facts_have_heard_stop_the_change(
    analytics: Analytics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "_PATIENCE", 0.2)
    company = Company(23).live(60)
    told = company.history.told
    await analytics.hear_log(told[:-5])
    await analytics.hear_facts(told)
    live = await facts_of(analytics.database)
    with pytest.raises(LogBehind):
        await rebuild(analytics.dsn)
    assert await facts_of(analytics.database) == live
    await analytics.hear_log(told[-5:])
    await rebuild(analytics.dsn)
    assert await facts_of(analytics.database) == live


async def test_only_one_rebuild_at_a_time(analytics: Analytics) -> None:
    connection = await asyncpg.connect(analytics.dsn)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", rebuilding._ONE_AT_A_TIME)
        with pytest.raises(RebuildRunning):
            await rebuild(analytics.dsn)
    finally:
        await connection.close()


async def test_an_event_that_breaks_its_contract_is_left_out_and_told(analytics: Analytics) -> None:
    company = Company(24).live(40)
    told = company.history.told
    broken = replace(
        [e for e in told if e.topic == "crm.sales.opportunity"][-1],
        data=b'{"version": 3, "occurred_at": "2017-01-01T00:00:00Z"}',
    )
    rest = [e for e in told if e.id != broken.id]
    await analytics.hear_facts(rest)
    await analytics.hear_log([*rest, broken])
    live = await facts_of(analytics.database)
    done = await rebuild(analytics.dsn)
    assert done.refused == [broken.id]
    assert await facts_of(analytics.database) == live


RENAMED = f"{PRODUCT_TOPIC.name}.renamed"


class TitledProduct(RecordState):
    """How an older release told of a product: its name was its title."""

    code: str
    title: str


@pytest.fixture
def renamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fact of products in two versions, of which the second is recorded now."""
    for name in ("events", "examples", "upcasters", "_highest", "_newest"):
        monkeypatch.setattr(registry, name, dict(getattr(registry, name)))
    for number, state in ((1, TitledProduct), (2, ProductState)):
        model = type(f"ProductRenamed{number}", (Event[state],), {"__module__": __name__})  # type: ignore[valid-type]
        registry.event(f"{RENAMED}.v{number}", PRODUCT_TOPIC, example={}, emitted=number == 2)(model)

    @registry.upcast(from_type=f"{RENAMED}.v1", to=f"{RENAMED}.v2")
    def title_is_the_name(data: dict[str, Any]) -> dict[str, Any]:
        state = dict(data["state"])
        return {**data, "state": {**state, "name": state.pop("title")}}


@pytest.mark.requirement("PL-48")
@pytest.mark.usefixtures("renamed")
async def test_figures_are_rebuilt_from_a_log_that_has_events_of_several_versions(analytics: Analytics) -> None:
    def told(number: int, version: int, state: dict[str, Any], subject: Any) -> Envelope:
        shared = {"code": "P-1", "created_at": "2016-03-01T09:00:00Z", "updated_at": "2016-03-01T09:00:00Z"}
        data = {
            "version": number,
            "occurred_at": "2016-03-01T09:00:00Z",
            "actor": {"kind": "system"},
            "origin": {"channel": "system"},
            "state": {**shared, **state},
        }
        return Envelope(
            new_id(),
            f"{RENAMED}.v{version}",
            "/crm/sales",
            subject,
            _context().now,
            orjson.dumps(data),
            number,
            "s",
            new_id(),
            topic=PRODUCT_TOPIC.name,
            partition=0,
        )

    old, new = new_id(), new_id()
    events = [told(1, 1, {"title": "Oak"}, old), told(2, 2, {"name": "Ash"}, new)]
    later = replace(told(3, 2, {"heading": "Elm"}, new), type=f"{RENAMED}.v3")
    groups = {group.name: group for group in groups_of(REACTIONS)}
    async with analytics.database.write(_context()) as session:
        for name in ("analytics.log", "analytics.facts"):
            for event in [*events, later] if name == "analytics.log" else events:
                reaction = groups[name].reaction(event.topic, event.type)
                assert reaction is not None
                assert reaction.handle_batch is not None
                await reaction.handle_batch(session, groups[name].given(reaction, [event]))
    async with analytics.database.read() as session:
        kept = await session.connection.fetch("SELECT type FROM event_log ORDER BY position")
    assert [row["type"] for row in kept] == [f"{RENAMED}.v1", f"{RENAMED}.v2", f"{RENAMED}.v3"], "as recorded"
    live = await facts_of(analytics.database)
    assert sorted((row[0], row[3]) for row in live["product"]) == sorted([(old, "Oak"), (new, "Ash")])
    done = await rebuild(analytics.dsn)
    assert await facts_of(analytics.database) == live
    # What a later release recorded before the product was rolled back is in no figure, and is told.
    assert done.refused == [later.id]

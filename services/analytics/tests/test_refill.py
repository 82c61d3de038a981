"""The log that was lost is filled from what the owners tell again: every record's facts in order, and the same figures from it."""

import random
import uuid
from collections.abc import Sequence
from dataclasses import replace

import pytest

from crm_analytics.facts import reactions as facts
from crm_analytics.log import reactions as log
from crm_analytics.rebuild import rebuild
from crm_contracts import Envelope

from .company import Company
from .conftest import Analytics, _context
from .history import data_of
from .tables import facts_of


async def _lose(analytics: Analytics, sql: str, *arguments: object) -> None:
    async with analytics.database.write(_context()) as session:
        await session.connection.execute(sql, *arguments)


async def _refill(analytics: Analytics, told: Sequence[Envelope], size: int = 17) -> None:
    """As a resync tells it: without publication numbers."""
    for start in range(0, len(told), size):
        part = [replace(e, sequence=0, stream="") for e in told[start : start + size]]
        async with analytics.database.write(_context()) as session:
            await log.refill(session, part)


async def _per_record(analytics: Analytics) -> dict[uuid.UUID, list[int]]:
    """The versions of each record in the order of the log."""
    async with analytics.database.read() as session:
        rows = await session.connection.fetch("SELECT subject, version FROM event_log ORDER BY position")
        twice = await session.connection.fetchval("SELECT count(*) - count(DISTINCT position) FROM event_log")
    assert twice == 0
    found: dict[uuid.UUID, list[int]] = {}
    for subject, version in rows:
        found.setdefault(subject, []).append(version)
    return found


def _expected(told: Sequence[Envelope]) -> dict[uuid.UUID, list[int]]:
    versions: dict[uuid.UUID, list[int]] = {}
    for envelope in told:
        versions.setdefault(envelope.subject, []).append(data_of(envelope)["version"])
    return {subject: sorted(found) for subject, found in versions.items()}


@pytest.mark.requirement("PL-48", "AN-15")
@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
async def test_lost_rows_of_the_log_come_back_in_the_order_of_each_record_and_give_the_same_figures(
    analytics: Analytics, share: float
) -> None:
    told = Company(31).live(150).history.told
    await analytics.hear(told)
    live = await facts_of(analytics.database)
    lost = random.Random(31).sample([e.id for e in told], int(len(told) * share))
    await _lose(analytics, "DELETE FROM event_log WHERE id = ANY($1)", lost)
    await _refill(analytics, told)
    assert await _per_record(analytics) == _expected(told)
    await rebuild(analytics.dsn)
    assert await facts_of(analytics.database) == live


async def test_filling_a_log_that_lacks_nothing_changes_nothing(analytics: Analytics) -> None:
    told = Company(32).live(60).history.told
    await analytics.hear(told)
    async with analytics.database.read() as session:
        before = await session.connection.fetch("SELECT * FROM event_log ORDER BY position")
    await _refill(analytics, told)
    async with analytics.database.read() as session:
        assert await session.connection.fetch("SELECT * FROM event_log ORDER BY position") == before


async def test_figures_take_what_is_told_again_without_saying_how_far_they_are(analytics: Analytics) -> None:
    told = Company(33).live(80).history.told
    await analytics.hear(told)
    live = await facts_of(analytics.database)
    async with analytics.database.read() as session:
        progress = await session.connection.fetch("SELECT * FROM progress ORDER BY 1, 2, 3")
    await _lose(analytics, "DELETE FROM stage_entry")
    await _lose(analytics, "UPDATE opportunity_fact SET version = 0")
    async with analytics.database.write(_context()) as session:
        await facts.refill(session, told)
    assert await facts_of(analytics.database) == live
    async with analytics.database.read() as session:
        assert await session.connection.fetch("SELECT * FROM progress ORDER BY 1, 2, 3") == progress


async def test_a_rebuild_tells_how_far_it_is(analytics: Analytics, monkeypatch: pytest.MonkeyPatch) -> None:
    from crm_analytics import rebuild as rebuilding

    monkeypatch.setattr(rebuilding, "_BATCH", 40)
    await analytics.hear(Company(34).live(80).history.told)
    seen: list[tuple[int, int]] = []
    done = await rebuild(analytics.dsn, lambda events, total: seen.append((events, total)))
    assert len(seen) > 1
    assert seen[-1] == (done.events, done.events)
    assert {total for _, total in seen} == {done.events}

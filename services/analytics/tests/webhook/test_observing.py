"""How webhooks stand in metrics (PL-45)."""

import datetime as dt
from typing import Any

import pytest
from services.analytics.tests.conftest import _context
from services.analytics.tests.webhook.conftest import World
from services.analytics.tests.webhook.receiver import Reply

from crm_analytics import metrics
from crm_analytics.webhook.observing import Figures, Observing, figures

pytestmark = pytest.mark.requirement("PL-43", "PL-45")


async def _figures(world: World) -> Figures:
    async with world.service.database.read() as session:
        return await figures(session)


async def test_what_waits_for_active_webhooks_is_counted_with_its_age(world: World) -> None:
    assert await _figures(world) == Figures({"active": 1}, 0, 0.0)
    world.receiver.reply = lambda _: Reply(503)
    world.deal()
    await world.hear()
    await world.work()
    async with world.service.database.write(_context()) as session:
        await session.connection.execute(
            "UPDATE webhook_delivery SET taken_at = $1", dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
        )
    found = await _figures(world)
    assert (found.webhooks, found.waiting) == ({"active": 1}, 1)
    assert 3600 <= found.oldest < 3660
    await world.rep.done("PATCH", world.path, json={"status": "paused"})
    assert await _figures(world) == Figures({"paused": 1}, 0, 0.0)


async def test_every_status_is_told_also_where_there_is_none(world: World) -> None:
    said = Observing(world.service.database)
    assert list(said.by_status()) == []
    await said.looked.look()
    assert list(said.by_status()) == [
        (1, {"status": "active"}),
        (0, {"status": "paused"}),
        (0, {"status": "disabled"}),
    ]


async def test_each_request_is_counted_by_what_came_of_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[Any] = []
    monkeypatch.setattr(metrics.webhook_attempts, "add", lambda _, labels: counted.append(labels["outcome"]))
    timed: list[Any] = []
    monkeypatch.setattr(
        metrics.webhook_attempt_duration, "record", lambda seconds, labels: timed.append((seconds, labels["outcome"]))
    )
    for reply in (Reply(503), Reply(0), Reply(200)):
        world.receiver.reply = lambda _, reply=reply: reply  # type: ignore[misc]
        world.deal()
        await world.hear()
        await world.deliverer(time_limit=0.5).run_due()
        if reply.status != 200:
            # What failed is out of the way of the next.
            world.service.clock.advance(dt.timedelta(minutes=1))
            async with world.service.database.write(_context()) as session:
                await session.connection.execute("DELETE FROM webhook_delivery")
    assert counted == ["refused", "failed", "delivered"]
    assert [outcome for _, outcome in timed] == counted
    assert all(seconds >= 0 for seconds, _ in timed)

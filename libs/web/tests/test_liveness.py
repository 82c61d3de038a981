"""A process that stands still ends itself (PL-46)."""

import asyncio
import faulthandler
from collections.abc import Iterator
from pathlib import Path

import pytest

from crm_web.liveness import StandsStill, look_after

from .conftest import Notes
from .test_server import Server

pytestmark = pytest.mark.requirement("PL-46")
FAST = {"seconds": 0.5, "last_seconds": 120.0}


@pytest.fixture(autouse=True)
def no_clock_left() -> Iterator[None]:
    """As serve() does when everything is closed."""
    yield
    faulthandler.cancel_dump_traceback_later()


async def test_a_probe_that_complains_for_long_enough_ends_the_process() -> None:
    looks: list[str | None] = [None, "the relay stands still for 61 s"]
    with pytest.raises(StandsStill, match="the relay stands still for 61 s"):
        await look_after([lambda: None, lambda: looks.pop(0) if len(looks) > 1 else looks[0]], asyncio.Event(), **FAST)


async def test_one_that_recovers_in_time_goes_on_and_ends_when_told() -> None:
    stop, seen = asyncio.Event(), 0

    def now_and_then() -> str | None:
        # Never at every look of half a second, which is ten.
        nonlocal seen
        seen += 1
        if seen == 40:
            stop.set()
        return "stuck" if seen % 8 else None

    await asyncio.wait_for(look_after([now_and_then], stop, **FAST), 60)
    assert seen == 40


async def test_a_process_whose_event_loop_is_blocked_ends_with_status_1_and_says_where(
    notes: Notes, tmp_path: Path
) -> None:
    server = Server(notes.dsn, tmp_path / "log", "app", "blocking")
    try:
        assert await asyncio.to_thread(server.process.wait, 60) == 1
    finally:
        await server.client.aclose()
        server.process.kill()
        server.process.wait(10)
    said = server.log.read_text()
    assert '"event":"started"' in said.replace(": ", ":")
    # What was running when the time was over: the stack down to the call that blocks.
    assert "Timeout (" in said
    assert "notes_service.py" in said

"""Watching one part: its end is never lost, and neither is our own."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from crm_stack.parts import CommandPart
from crm_stack.watch import Watch


def _sleeper(tmp_path: Path) -> CommandPart:
    async def ready() -> bool:
        return True

    return CommandPart(
        "sleeper",
        None,
        command=lambda: [sys.executable, "-c", "import time; time.sleep(600)"],
        ready=ready,
        log=tmp_path / "sleeper.log",
        steps=((signal.SIGKILL, 5.0),),
    )


@pytest.mark.parametrize("steps", range(12))
async def test_a_watch_ends_when_it_is_cancelled_at_whatever_moment(
    tmp_path: Path, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen: a cancellation that came while a pause was tidying up was lost, and the supervisor never ended."""
    monkeypatch.setattr("crm_stack.watch.ASK_WHEN_READY", 0.0)
    watch = Watch(_sleeper(tmp_path), tmp_path / "hold", lambda: None, 30.0)
    running = asyncio.create_task(watch.run())
    async with asyncio.timeout(20):
        await watch.ready.wait()
    for _ in range(steps):
        await asyncio.sleep(0)
    running.cancel()
    try:
        done, _ = await asyncio.wait([running], timeout=5)
        assert done, "the watch goes on"
        assert running.cancelled()
    finally:
        for turn in range(200):
            if not running.done():
                running.cancel()
                await asyncio.wait([running], timeout=0.01 * (turn % 5))
        await watch.stop()

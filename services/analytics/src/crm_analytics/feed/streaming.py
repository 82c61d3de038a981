"""The feed as server-sent events: the same looks at the log, again and again, as long as the token is admitted."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from crm_analytics.access.rules import hearing_of
from crm_analytics.feed.actions import Look, look
from crm_authz import Directory, keeper_of
from crm_kernel import Refusal
from crm_web import ReadUnit, Stream
from crm_web.answers import to_json

#: Seconds between two looks where there was nothing more.
LOOK_EVERY: Final = 0.5
#: Seconds after which something is sent although there is nothing to tell, or those on the way would close the connection.
KEEP_ALIVE: Final = 15.0
#: Events of one look: few, because each may be large and is held until it is sent.
AT_ONCE: Final = 50
MEDIA_TYPE: Final = "text/event-stream"


def follow(unit: ReadUnit, after: int, types: Sequence[str], cursor: Callable[[int], str]) -> Stream:
    """The stream of what the caller hears behind a position. cursor: names a position."""
    chunks = _nothing() if unit.incoming.method == "HEAD" else _events(unit, after, types, cursor)
    # nginx and others collect answers unless they are told not to.
    return Stream(chunks, MEDIA_TYPE, headers={"x-accel-buffering": "no", "cache-control": "no-store"})


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


async def _events(
    unit: ReadUnit, after: int, types: Sequence[str], cursor: Callable[[int], str]
) -> AsyncIterator[bytes]:
    spoken = time.monotonic()
    while True:
        directory = await _admitting(unit)
        if directory is None:
            return
        found = await _look(unit, directory, after, types)
        for event in found.events:
            yield b"event: event\nid: %s\ndata: %s\n\n" % (cursor(event["position"]).encode(), to_json(event))
        after = found.position
        if found.events:
            spoken = time.monotonic()
        elif time.monotonic() - spoken >= KEEP_ALIVE:
            spoken = time.monotonic()
            # An id without data is noted by the client and told to nobody: it resumes behind what was not for it.
            yield b"id: %s\n: still there\n\n" % cursor(after).encode()
        if not found.more:
            await asyncio.sleep(LOOK_EVERY)


async def _look(unit: ReadUnit, directory: Directory, after: int, types: Sequence[str]) -> Look:
    hearing = hearing_of(unit.caller, directory, unit.runtime.clock.now())
    # A session of its own each time: a stream lasts minutes, and must not keep a connection as long.
    async with unit.database.read() as session:
        return await look(session, after, hearing, types, AT_ONCE)


async def _admitting(unit: ReadUnit) -> Directory | None:
    """The organisation as of now, while the token would still be taken; None from then on."""
    try:
        return await keeper_of(unit.database).admit(unit.database, unit.caller)
    except Refusal:
        return None


__all__ = ["AT_ONCE", "KEEP_ALIVE", "LOOK_EVERY", "MEDIA_TYPE", "follow"]

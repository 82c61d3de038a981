"""A job's progress as server-sent events: its state whenever that changed, read from the database, so whichever process works on it."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from typing import Final

from crm_authz import keeper_of
from crm_jobs import store
from crm_jobs.rules import OPEN
from crm_jobs.views import view
from crm_kernel import Refusal
from crm_web import ReadUnit, Stream
from crm_web.answers import to_json

#: Seconds between two looks, and between two states that are told.
LOOK_EVERY: Final = 0.5
#: Seconds after which something is sent although there is nothing to tell, or those on the way would close the connection.
KEEP_ALIVE: Final = 15.0
MEDIA_TYPE: Final = "text/event-stream"
_COMMENT: Final = b": still there\n\n"


def progress(unit: ReadUnit, job_id: uuid.UUID) -> Stream:
    """The stream of a job that the caller may see. It ends with the job, with the token, and with the right to see it."""
    chunks = _nothing() if unit.incoming.method == "HEAD" else _states(unit, job_id)
    # nginx and others collect answers unless they are told not to.
    return Stream(chunks, MEDIA_TYPE, headers={"x-accel-buffering": "no"})


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


async def _states(unit: ReadUnit, job_id: uuid.UUID) -> AsyncIterator[bytes]:
    told: int | None = None
    spoken = time.monotonic()
    while True:
        # A session of its own each time: a stream lasts minutes, and must not keep a connection as long.
        async with unit.database.read() as session:
            version = await store.version_of(session, job_id)
            job = await store.read(session, job_id) if version is not None and version != told else None
        if version is None or not await _still_admitted(unit):
            return
        if job is not None:
            told, spoken = job.version, time.monotonic()
            yield b"event: job\nid: %d\ndata: %s\n\n" % (job.version, to_json(view(job, unit.language)))
            if job.state not in OPEN:
                return
        elif time.monotonic() - spoken >= KEEP_ALIVE:
            spoken = time.monotonic()
            yield _COMMENT
        await asyncio.sleep(LOOK_EVERY)


async def _still_admitted(unit: ReadUnit) -> bool:
    """Whether the token would still be taken: a stream opened before somebody was dismissed tells nothing afterwards."""
    try:
        await keeper_of(unit.database).admit(unit.database, unit.caller)
    except Refusal:
        return False
    return True


__all__ = ["KEEP_ALIVE", "LOOK_EVERY", "MEDIA_TYPE", "progress"]

"""Closing clients of the broker, in whatever state they are; and the cancellations that they let out."""

import asyncio
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

_log = structlog.get_logger("crm_events")


async def closed(client: AIOKafkaConsumer | AIOKafkaProducer, what: str, *, within: float = 3.0) -> None:
    """Close a client, waiting at most `within` seconds: it can hang when the broker is away. Trouble is logged; `what` it was says so.

    Only the caller's own cancellation comes out of this. aiokafka 0.14 lets another one out: a consumer that is closed while it
    pauses after a failed fetch cancels that pause, and awaits it. Taken for a cancellation of the caller, it would end a relay or a
    consumer for good, and silently, because the broker was away for a moment.
    """
    closing = asyncio.ensure_future(client.stop())
    try:
        await asyncio.wait([closing], timeout=within)
    finally:
        if not closing.done():
            _log.info("a client of the broker does not stop", client=what)
            closing.cancel()
            await asyncio.wait([closing], timeout=1.0)
    error = None
    if closing.done() and not closing.cancelled() and (error := closing.exception()) is None:
        return
    await _disconnected(client, what)
    if error is not None:
        if not isinstance(error, (KafkaError, OSError, TimeoutError)):
            raise error
        _log.info("a client of the broker did not stop cleanly", client=what, cause=repr(error))


async def _disconnected(client: AIOKafkaConsumer | AIOKafkaProducer, what: str) -> None:
    """Close the connections that a stop cut short has left open; it can't be asked to stop a second time."""
    # Its name for it is private; a producer's is not, and has no such trouble.
    connections = client._client if isinstance(client, AIOKafkaConsumer) else client.client
    try:
        async with asyncio.timeout(1.0):
            await connections.close()
    except (KafkaError, OSError, TimeoutError) as error:
        _log.info("a client of the broker stays connected", client=what, cause=repr(error))


def is_stray(error: BaseException, task: "asyncio.Task[Any] | None" = None) -> bool:
    """Whether this is a cancellation that nobody asked for: aiokafka lets such out. task: who got it; the present one unless given."""
    asked = task or asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and (asked is None or not asked.cancelling())


def failure_of(task: "asyncio.Task[Any]", stray: Exception) -> BaseException | None:
    """Why a task that was to go on has ended: its exception; `stray` when it was cancelled though nobody asked for it; None when
    somebody did, or it came to its end."""
    if task.cancelled():
        return None if task.cancelling() else stray
    return task.exception()

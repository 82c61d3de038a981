"""Dead letters that an operator wants retried or discarded, and telling of new ones on the dead-letter topic."""

import traceback
from collections.abc import Sequence

import asyncpg
import orjson
import structlog

from crm_contracts import Envelope
from crm_database import WriteContext, WriteSession
from crm_events.consumer import failures, store
from crm_events.consumer.apply import Applier
from crm_events.consumer.store import Place

_log = structlog.get_logger("crm_events")


async def carry_out(applier: Applier, place: Place) -> int:
    """Retry or discard what was asked for on this partition (rule 10); answers how many dead letters were settled."""
    async with applier.database.read() as session:
        letters = await store.asked(session, place)
    settled = 0
    for letter in letters:
        settled += await _one(applier, place, letter)
    return settled


async def _one(applier: Applier, place: Place, letter: asyncpg.Record) -> bool:
    """One transaction: W's lock, the dead letter, then what is parked behind it. The first that fails is the new dead letter."""
    now = applier.clock.now()
    async with applier.database.write(WriteContext(now=now, channel="event")) as session:
        await store.lock(session, place)
        asked = await store.one_asked(session, place.group, letter["event_id"])
        if asked is None:  # Another process was quicker.
            return False
        if asked["state"] == "retry":
            error = await _attempt(applier, session, store.envelope_of(asked))
            if error is not None:
                await store.failed_again(
                    session, place, asked["event_id"], reason=failures.reason_of(error), trace=_trace(error), now=now
                )
                await store.count_blocked(session, place)
                _log.warning(
                    "dead letter failed again", group=place.group, event_id=str(asked["event_id"]), cause=repr(error)
                )
                return False
        state = "retried" if asked["state"] == "retry" else "discarded"
        await store.settle(session, place, asked["event_id"], state, now)
        await _release(applier, session, place, asked)
        await store.count_blocked(session, place)
    _log.info("dead letter settled", group=place.group, event_id=str(letter["event_id"]), state=state)
    return True


async def _release(applier: Applier, session: WriteSession, place: Place, letter: asyncpg.Record) -> None:
    """Apply what is parked behind a dead letter, in order, before it leaves the park."""
    for row in await store.parked_behind(session, place, letter["key"]):
        envelope = store.envelope_of(row)
        error = await _attempt(applier, session, envelope)
        await store.unpark(session, place, envelope.id)
        if error is not None:
            await store.bury(
                session,
                place,
                envelope,
                reason=failures.reason_of(error),
                trace=_trace(error),
                attempts=1,
                now=applier.clock.now(),
            )
            return


async def _attempt(applier: Applier, session: WriteSession, envelope: Envelope) -> Exception | None:
    """Apply one event within the transaction; what it raised is undone and answered. Transient failures are raised."""
    reaction = applier.group.reaction(envelope.topic, envelope.type)
    if reaction is None:  # Nobody here wants it any more.
        return None
    # Raw SQL: a savepoint, so that a failure undoes this event only.
    await session.connection.execute("SAVEPOINT attempt")
    try:
        await applier.give(session, reaction, [envelope])
    except Exception as error:
        if failures.is_transient(error):
            raise
        await session.connection.execute("ROLLBACK TO SAVEPOINT attempt")
        return error
    await session.connection.execute("RELEASE SAVEPOINT attempt")
    return None


def _trace(error: Exception) -> str:
    return "".join(traceback.format_exception(error))[-8000:]


def announcement(letter: asyncpg.Record) -> tuple[bytes, bytes, Sequence[tuple[str, bytes]]]:
    """The record that tells of a dead letter: (key, value, headers). The value says why, the headers are the event's own."""
    value = {
        "group": letter["group_name"],
        "event_id": str(letter["event_id"]),
        "topic": letter["topic"],
        "partition": letter["partition"],
        "number": letter["number"],
        "type": letter["type"],
        "reason": letter["reason"],
        "attempts": letter["attempts"],
        "failed_at": letter["failed_at"].isoformat(),
        "data": letter["value"].decode("utf-8", "replace"),
    }
    # Without number and numbering: nobody shall take it for a publication.
    headers = [
        (name, content.encode()) for name, content in letter["headers"] if name not in ("ce_sequence", "ce_stream")
    ]
    return str(letter["key"]).encode(), orjson.dumps(value), headers

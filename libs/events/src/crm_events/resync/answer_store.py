"""Where answers stand. Raw SQL: this library's own table, changed only from where the changer knows it to stand."""

import uuid
from collections.abc import Collection
from typing import TypeVar

from crm_database import ReadSession, WriteSession
from crm_events.resync.messages import Request
from crm_events.resync.rules import Answering
from crm_events.resync.walk import Wanted

T = TypeVar("T")

#: An answer of which nothing was heard for so long is nobody's any more.
_FORGOTTEN = "interval '1 day'"
_LOCK = "SELECT attempt, cursor, sent, taken, complete FROM resync_answer WHERE request_id = $1 FOR UPDATE"
_SAVE = """
INSERT INTO resync_answer (request_id, attempt, group_name, topic, kind, ids, since, types, cursor, sent, taken, complete, heard_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (request_id) DO UPDATE SET attempt = excluded.attempt, cursor = excluded.cursor, sent = excluded.sent,
  taken = excluded.taken, complete = excluded.complete, heard_at = excluded.heard_at
"""
_MOVE = """
UPDATE resync_answer SET cursor = $4, sent = $5, complete = $6
WHERE request_id = $1 AND attempt = $2 AND cursor IS NOT DISTINCT FROM $3 AND sent = $7 AND NOT complete
"""
_OPEN = """
SELECT request_id, attempt, group_name, topic, kind, ids, since, types, cursor, sent, taken, complete FROM resync_answer
WHERE NOT complete ORDER BY heard_at LIMIT 50
"""
_FORGET = f"DELETE FROM resync_answer WHERE heard_at < now() - {_FORGOTTEN}"  # noqa: S608  (a constant)


async def known(session: WriteSession, request: uuid.UUID) -> Answering | None:
    """Where an answer stands, its row locked until the transaction ends."""
    row = await session.connection.fetchrow(_LOCK, request)
    return None if row is None else Answering(row["attempt"], row["cursor"], row["sent"], row["taken"], row["complete"])


async def save(session: WriteSession, request: Request, answering: Answering) -> None:
    """Keep where it stands now."""
    await session.connection.execute(
        _SAVE,
        request.id,
        answering.attempt,
        request.group,
        request.topic,
        request.kind,
        _listed(request.ids),
        request.since,
        _listed(request.types),
        answering.cursor,
        answering.sent,
        answering.taken,
        answering.complete,
        session.context.now,
    )


async def moved(session: WriteSession, request: uuid.UUID, before: Answering, after: Answering) -> bool:
    """The page is with the broker. False: somebody else has moved it meanwhile, or it is asked anew."""
    status = await session.connection.execute(
        _MOVE, request, before.attempt, before.cursor, after.cursor, after.sent, after.complete, before.sent
    )
    return bool(status.endswith(" 1"))


async def unfinished(session: ReadSession) -> list[tuple[uuid.UUID, str, Wanted, Answering]]:
    """What is to be answered: request, group, what is wanted, where it stands."""
    found = []
    for row in await session.connection.fetch(_OPEN):
        ids = None if row["ids"] is None else tuple(uuid.UUID(int=one.int) for one in row["ids"])
        wanted = Wanted(row["topic"], row["kind"], ids, row["since"], _tuple(row["types"]))
        standing = Answering(row["attempt"], row["cursor"], row["sent"], row["taken"], row["complete"])
        found.append((row["request_id"], row["group_name"], wanted, standing))
    return found


async def forget(session: WriteSession) -> None:
    """Drop what nobody has asked about for a day."""
    await session.connection.execute(_FORGET)


def _listed(values: Collection[T] | None) -> list[T] | None:
    return None if values is None else list(values)


def _tuple(values: Collection[T] | None) -> tuple[T, ...] | None:
    return None if values is None else tuple(values)

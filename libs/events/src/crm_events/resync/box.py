"""Resyncs for operators (`./crm events resync | rebuild | replay`, and the API's `/operations/resyncs`): ask, look, wait.

Asking only notes the request in the service's database: its worker carries it out, because it has the reactions.
"""

import asyncio
import datetime as dt
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from crm_database import Database, ReadSession, WriteContext, WriteSession
from crm_events.reaction import ConsumerGroup, Resync
from crm_events.resync import ask_store
from crm_events.resync.ask_store import ResyncRequest
from crm_kernel.ids import first_id_at


class NothingToAsk(ValueError):
    """No group here takes a resync of what was named; says why."""


@dataclass(frozen=True)
class Wish:
    """What an operator wants told again.

    groups, topics: only these; None: all that take it. kind: None: what each group needs. since: only facts recorded from then on.
    types: only these. prune: rows of replicas that the owner doesn't know are removed afterwards.
    """

    groups: tuple[str, ...] | None = None
    topics: tuple[str, ...] | None = None
    kind: Resync | None = None
    since: dt.datetime | None = None
    types: tuple[str, ...] | None = None
    prune: bool = False
    reason: str = "operator"


def chosen(groups: Sequence[ConsumerGroup], wish: Wish) -> list[tuple[str, str, Resync]]:
    """Which requests that makes: (group, topic, kind). Raises NothingToAsk. Pure."""
    known = {group.name: group for group in groups}
    strangers = sorted(set(wish.groups or ()) - known.keys())
    if strangers:
        raise NothingToAsk(f"There is no group {', '.join(strangers)}; there are {', '.join(sorted(known))}.")
    found: list[tuple[str, str, Resync]] = []
    for name, group in known.items():
        if wish.groups is not None and name not in wish.groups:
            continue
        for topic in group.topics:
            kind = group.resync(topic)
            if kind is None or (wish.topics is not None and topic not in wish.topics):
                continue
            held = group.held(topic)
            if wish.prune and (held is None or held.forget is None):
                continue
            found.append((name, topic, wish.kind if wish.kind == "journal" else kind))
    if not found:
        raise NothingToAsk(
            "No group takes a resync of that: side effects never do, and a service is not told its own records."
        )
    return found


async def ask(database: Database, groups: Sequence[ConsumerGroup], wish: Wish, now: dt.datetime) -> list[uuid.UUID]:
    """Ask for what is wished; answers the requests' ids. Raises NothingToAsk."""
    async with database.write(WriteContext(now=now)) as session:
        return await ask_in(session, chosen(groups, wish), wish)


async def ask_in(session: WriteSession, made: Sequence[tuple[str, str, Resync]], wish: Wish) -> list[uuid.UUID]:
    """The same in somebody's transaction; made: what `chosen` answered."""
    ids = []
    for group, topic, kind in made:
        ids += await ask_store.ask(
            session,
            group=group,
            topic=topic,
            kind=kind,
            since=None if wish.since is None else first_id_at(wish.since),
            types=wish.types,
            prune=wish.prune,
            reason=wish.reason,
        )
    return ids


async def requests(database: Database, limit: int = 50) -> list[ResyncRequest]:
    """The newest requests of a service."""
    async with database.read() as session:
        return await recent(session, limit)


async def recent(session: ReadSession, limit: int = 50) -> list[ResyncRequest]:
    """The same in a session."""
    return await ask_store.recent(session, limit)


async def watched(
    database: Database, ids: Sequence[uuid.UUID], seconds: float = 0.5
) -> AsyncIterator[list[ResyncRequest]]:
    """How these requests, and those that follow from them, stand: again and again, until all are finished."""
    while True:
        async with database.read() as session:
            found = await ask_store.some(session, ids)
            following = [one for one in await ask_store.unfinished(session) if one.reason == "prune"]
        yield found
        if not following and not any(one.is_open for one in found):
            return
        await asyncio.sleep(seconds)

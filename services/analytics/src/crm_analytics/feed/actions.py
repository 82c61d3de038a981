"""One look at the log, as somebody hears it now."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from crm_analytics.access.rules import Hearing
from crm_analytics.feed import store
from crm_analytics.feed.rules import cloud_event, like
from crm_database import ReadSession


@dataclass(frozen=True)
class Look:
    """What one look found. position: where the next one begins. more: whether the log goes on there already."""

    events: Sequence[dict[str, Any]]
    position: int
    more: bool


async def look(session: ReadSession, after: int, hearing: Hearing, types: Sequence[str], limit: int) -> Look:
    """At most `limit` events behind a position; the position goes on also where nothing was heard."""
    part = await store.window(session, after)
    rows = await store.heard(session, part, hearing, like(types), limit)
    events = [cloud_event(row) for row in rows]
    if len(rows) == limit:
        # There may be further ones in the same part.
        position = int(rows[-1]["position"])
        return Look(events, position, part.more or position < part.reach)
    return Look(events, part.reach, part.more)

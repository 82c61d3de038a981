"""How the events of all services stand, in a few figures: for `crm status`, which must answer whatever is away."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

#: Status doesn't wait longer for a database.
_LIMIT_SECONDS = 3.0


@dataclass(frozen=True)
class Standing:
    """backlog: events that are not on the bus. oldest: age in seconds of the oldest that never was. behind: events that some group has
    not applied yet, over all groups. dead_letters: that nobody settled; parked_keys: records that wait behind them.
    """

    backlog: int
    oldest: float
    behind: int
    dead_letters: int
    parked_keys: int


async def standing(urls: Mapping[str, str]) -> Standing | None:
    """Over these databases (service → URL); None when one of them can't be read."""
    from crm_database import DATABASE_ERRORS
    from crm_events.figures import figures
    from crm_events.watching import lag
    from crm_stack.bus.databases import opened_at

    try:
        async with asyncio.timeout(_LIMIT_SECONDS), opened_at(urls) as databases:
            found = []
            for database in databases.values():
                async with database.read() as session:
                    found.append(await figures(session))
            rows = await lag(databases)
    except DATABASE_ERRORS:
        return None
    waiting = [group for one in found for group in one.waiting.values()]
    return Standing(
        backlog=sum(one.backlog for one in found),
        oldest=round(max((one.oldest for one in found), default=0.0), 1),
        behind=sum(row.behind or 0 for row in rows),
        dead_letters=sum(group.letters for group in waiting),
        parked_keys=sum(group.keys for group in waiting),
    )

"""How the webhooks stand, for the worker's gauges."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from crm_analytics import metrics
from crm_analytics.webhook.rules import Attempt
from crm_database import Database, ReadSession
from crm_database.measuring import Labels
from crm_events.looked import Looked

# Raw SQL: sums over this slice's tables; what waits is in the partial index of what is pending, at most 500 a webhook.
_STATUS = "SELECT status, count(*) AS webhooks FROM webhook WHERE deleted_at IS NULL GROUP BY status"
_WAITING = """
SELECT count(*) AS waiting, extract(epoch FROM clock_timestamp() - min(d.taken_at))::float8 AS age
FROM webhook_delivery d JOIN webhook w ON w.id = d.webhook_id
WHERE d.state = 'pending' AND w.status = 'active' AND w.deleted_at IS NULL
"""
_STATUSES = ("active", "paused", "disabled")


@dataclass(frozen=True)
class Figures:
    """webhooks: by status. waiting: deliveries of active ones; oldest: seconds since the oldest of them was taken in."""

    webhooks: Mapping[str, int] = field(default_factory=dict)
    waiting: int = 0
    oldest: float = 0.0


async def figures(session: ReadSession) -> Figures:
    """As they are now."""
    # Raw SQL: see _STATUS.
    status = await session.connection.fetch(_STATUS)
    # Raw SQL: see _WAITING.
    waits = await session.connection.fetchrow(_WAITING)
    assert waits is not None  # noqa: S101  (an aggregate has a row)
    return Figures({row["status"]: row["webhooks"] for row in status}, waits["waiting"], max(0.0, waits["age"] or 0.0))


class Observing:
    """The gauges of one worker."""

    def __init__(self, database: Database) -> None:
        self.looked = Looked(database, figures)

    async def run(self, stop: asyncio.Event) -> None:
        """Be read until `stop`."""
        metrics.webhooks.of(self, Observing.by_status)
        metrics.webhooks_waiting.of(self, lambda o: [(o.looked.now.waiting, {})] if o.looked.now else [])
        metrics.webhooks_age.of(self, lambda o: [(o.looked.now.oldest, {})] if o.looked.now else [])
        await self.looked.run(stop)

    def by_status(self) -> Iterable[tuple[float, Labels]]:
        """Zeros too, or nobody would see that a figure went back."""
        found = self.looked.now
        return [] if found is None else [(found.webhooks.get(status, 0), {"status": status}) for status in _STATUSES]


def count(attempt: Attempt) -> None:
    """Count a request that was made."""
    outcome = "delivered" if attempt.succeeded else "failed" if attempt.status is None else "refused"
    metrics.webhook_attempts.add(1, {"outcome": outcome})
    metrics.webhook_attempt_duration.record(attempt.seconds, {"outcome": outcome})


__all__ = ["Figures", "Observing", "count", "figures"]

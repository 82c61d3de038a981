"""What a worker says of itself in metrics: read when they are exported, from what it knows and what it last read in its database."""

import asyncio
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from crm_database.measuring import Labels
from crm_events import metrics
from crm_events.figures import Figures, figures
from crm_events.looked import Looked

if TYPE_CHECKING:
    from crm_events.worker import Worker

Said = Iterable[tuple[float, Labels]]


class Observing:
    """The gauges of one worker."""

    def __init__(self, worker: "Worker") -> None:
        self.worker = worker
        self.looked = Looked(worker.database, figures)
        self._started = time.monotonic()

    @property
    def figures(self) -> Figures | None:
        """What was last read in its database; None while that can't be read."""
        return self.looked.now

    async def run(self, stop: asyncio.Event) -> None:
        """Be read, and read the figures now and then, until `stop`."""
        metrics.relay_leader.of(self, lambda o: [(int(o.worker.relay.leader is not None), {})])
        metrics.relay_backlog.of(self, lambda o: [(o.figures.backlog, {})] if o.figures else [])
        metrics.relay_oldest.of(self, lambda o: [(o.figures.oldest, {})] if o.figures else [])
        metrics.consumer_stopped.of(self, Observing.stopped)
        metrics.consumer_lag.of(self, Observing.lag)
        metrics.dead_letters_waiting.of(self, lambda o: o.waiting("letters"))
        metrics.parked_keys.of(self, lambda o: o.waiting("keys"))
        metrics.parked_events.of(self, lambda o: o.waiting("events"))
        if self.worker.heard is not None:
            metrics.heartbeat_age.of(self, lambda o: [(o.unheard(), {})])
        await self.looked.run(stop)

    def stopped(self) -> Said:
        """1 for each group that is stopped."""
        return [(int(c.stopped_because is not None), {"group": c.group.name}) for c in self.worker.consumers]

    def lag(self) -> Said:
        """Of each partition that is read here."""
        return [
            (reader.lag, {"group": consumer.group.name, "topic": at.topic, "partition": at.partition})
            for consumer in self.worker.consumers
            # A copy: the exporter's thread looks while partitions come and go.
            for at, reader in list(consumer.readers.items())
        ]

    def unheard(self) -> float:
        """Seconds since identity was heard; since the start where it never was."""
        if self.worker.heard_at is None:
            return time.monotonic() - self._started
        return max(0.0, (self.worker.clock.now() - self.worker.heard_at).total_seconds())

    def waiting(self, what: str) -> Said:
        """A figure of `Waiting` by group; zeros too, or nobody would see that one went back."""
        if self.figures is None:
            return []
        waiting = self.figures.waiting
        groups = {consumer.group.name for consumer in self.worker.consumers} | waiting.keys()
        return [(getattr(waiting.get(group), what, 0), {"group": group}) for group in sorted(groups)]


__all__ = ["Observing"]

"""How the sagas of a service stand, for its worker's gauges."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from crm_database import Database, ReadSession
from crm_database.measuring import Labels
from crm_events.looked import Looked
from crm_sagas import metrics
from crm_sagas.kind import SagaKind

# Raw SQL: sums over this library's own table; the unique index of open sagas has what is asked for.
_OPEN = """
SELECT kind, state, count(*) AS sagas, extract(epoch FROM clock_timestamp() - min(asked_at))::float8 AS age
FROM saga WHERE state IN ('running', 'failed') GROUP BY kind, state
"""
_STATES: Final = ("running", "failed")


@dataclass(frozen=True)
class Open:
    """Sagas of one kind in one state. age: seconds since the oldest was begun."""

    sagas: int
    age: float


async def open_sagas(session: ReadSession) -> dict[tuple[str, str], Open]:
    """Kind and state → what there is; of the others there is nothing."""
    # Raw SQL: see _OPEN.
    rows = await session.connection.fetch(_OPEN)
    return {(row["kind"], row["state"]): Open(row["sagas"], max(0.0, row["age"])) for row in rows}


class Observing:
    """The gauges of one worker. Kinds without sagas are told as zeros, or nobody would see that one went back."""

    def __init__(self, database: Database, kinds: Sequence[SagaKind]) -> None:
        self.looked = Looked(database, open_sagas)
        self._kinds = [kind.name for kind in kinds]

    async def run(self, stop: asyncio.Event) -> None:
        """Be read until `stop`."""
        metrics.sagas_open.of(self, Observing.counts)
        metrics.sagas_age.of(self, Observing.ages)
        await self.looked.run(stop)

    def counts(self) -> Iterable[tuple[float, Labels]]:
        """By kind and state."""
        if self.looked.now is None:
            return []
        return [
            (self._of(kind, state).sagas, {"kind": kind, "state": state}) for kind in self._kinds for state in _STATES
        ]

    def ages(self) -> Iterable[tuple[float, Labels]]:
        """By kind, of the running ones."""
        if self.looked.now is None:
            return []
        return [(self._of(kind, "running").age, {"kind": kind}) for kind in self._kinds]

    def _of(self, kind: str, state: str) -> Open:
        return (self.looked.now or {}).get((kind, state), Open(0, 0.0))


__all__ = ["Observing", "Open", "open_sagas"]

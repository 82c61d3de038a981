"""A leaver whose records go to a successor (ID-6), as one service hears of it: identity's events, and its own job."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import asyncpg

from crm_authz import apply_state, keeper_of
from crm_contracts import Event, identity
from crm_contracts.identity import HandOverAsked, HandOverCancelled
from crm_database import WriteContext
from crm_kernel import new_id
from crm_testing.service import Person, Running, envelope


@dataclass
class Leaving:
    """asked_by: who dismissed the leaver. id: the hand-over's."""

    running: Running
    leaver: Person
    successor: Person
    asked_by: Person
    id: uuid.UUID = field(default_factory=new_id)
    versions: int = 10

    async def status(self, person: Person, status: str, *, epoch: int) -> None:
        """What the service's directory knows of somebody from now on."""
        self.versions += 1
        state = identity.UserState(
            name="Kim",
            status=status,
            department_id=person.department,
            superior_id=person.superior,
            role_ids=[],
            epoch=epoch,
        )
        async with self.running.database.write(WriteContext(now=self.running.clock.now())) as session:
            await apply_state(session, identity.USER_TOPIC.name, person.id, self.versions, state)
        # The directory in memory is looked at every 200 ms.
        await keeper_of(self.running.database).current(self.running.database, at_most=0)

    async def dismissed(self) -> None:
        """The directory has heard of the dismissal."""
        await self.status(self.leaver, "dismissed", epoch=2)

    async def asked(self, attempt: int = 1, *, successor: Person | None = None, status: str = "asked") -> None:
        """Identity asks, for the first time or again."""
        self.successor = successor or self.successor
        await self._tell(HandOverAsked, "running", attempt, status)

    async def cancelled(self, attempt: int = 1) -> None:
        """Identity lets no more records change hands."""
        await self._tell(HandOverCancelled, "cancelled", attempt, "cancelled")

    async def _tell(self, event: type[Event[Any]], state: str, attempt: int, status: str) -> None:
        content = {
            "user_id": self.leaver.id,
            "user_epoch": 2,
            "successor_id": self.successor.id,
            "successor_epoch": 1,
            "status": state,
            "asked_by": self.asked_by.id,
            "asked_at": self.running.clock.now(),
            "ended_at": None,
            "steps": [{"service": self.running.service.name, "status": status, "attempt": attempt}],
        }
        data = {
            "version": attempt,
            "occurred_at": self.running.clock.now(),
            "actor": {"kind": "user", "id": self.asked_by.id},
            "origin": {"channel": "api"},
            "state": content,
        }
        await self.running.hear(replace(envelope(event, self.id, data)))

    async def told(self) -> list[tuple[str, dict[str, Any]]]:
        """What the service has said of it: facts and states, in order."""
        found = await self.running.events(f"crm.{self.running.service.name}.hand-over.%", self.id)
        return [(event["type"].split(".")[-2], event["data"]["state"]) for event in found]

    async def last(self) -> tuple[str, dict[str, Any]]:
        """The newest of it."""
        return (await self.told())[-1]

    async def jobs(self) -> Sequence[asyncpg.Record]:
        """The jobs that came of it, the oldest first."""
        return await self.running.rows(
            "SELECT * FROM job WHERE parameters ->> 'hand_over_id' = $1 ORDER BY created_at, id", str(self.id)
        )

    async def time_passes(self) -> None:
        """Leases run out, and what waits is due."""
        async with self.running.database.write(WriteContext(now=self.running.clock.now())) as session:
            await session.connection.execute(
                "UPDATE job SET lease_until = lease_until - interval '1 hour', run_after = run_after - interval '1 hour'"
            )

    async def moved(self, table: str) -> list[tuple[uuid.UUID, int]]:
        """Which records of a table have changed hands by it, and how often."""
        name = table.replace("_", "-")
        found = await self.running.rows(
            "SELECT subject, count(*)::int AS times FROM journal WHERE type = $1 AND data ->> 'reason' LIKE 'Hand-over%' "
            "GROUP BY subject ORDER BY subject",
            f"crm.{self.running.service.name}.{name}.transferred.v1",
        )
        return [(uuid.UUID(int=row["subject"].int), row["times"]) for row in found]

"""A kind of saga on a real database: moving house, in which a van, a lamp and a key have their parts."""

import asyncio
import datetime as dt
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest

from crm_contracts import Event, Part, Registry, Topic
from crm_contracts.examples import sample
from crm_database import Database, WriteContext
from crm_events.schema import JOURNAL_1
from crm_kernel import new_id
from crm_sagas import SAGAS_1, News, Saga, SagaKind, lock_saga, start_saga, take_news
from crm_testing.servers import MakeDatabase, SharedPostgres

NOW = dt.datetime(2026, 11, 23, 3, 0, tzinfo=dt.UTC)

#: Not the product's registry: these contracts are nobody's.
registry = Registry()
TOPIC = registry.topic(Topic("crm.moving.house", "moving", (), "Moving house"))


class HouseState(Part):
    status: str
    attempts: dict[str, int]


def _event(fact: str) -> type[Event[HouseState]]:
    model = type(f"House{fact}", (Event[HouseState],), {"__doc__": fact, "__module__": __name__})
    example = sample({"status": "running", "attempts": {}})
    return registry.event(f"{TOPIC.name}.{fact}.v1", TOPIC, example=example)(model)


def state(saga: Saga) -> Mapping[str, Any]:
    return {"status": saga.state, "attempts": {step.name: step.attempt for step in saga.steps}}


HOUSE = SagaKind("moving.house", _event("asked"), _event("cancelled"), _event("finished"), state)


@dataclass
class Moving:
    """The database, and how a test reads it."""

    database: Database
    dsn: str
    now: dt.datetime = NOW
    versions: dict[str, int] = field(default_factory=dict)

    def write(self) -> Any:
        return self.database.write(WriteContext(now=self.now))

    async def start(self, stages: Sequence[Sequence[str]] = (("van", "lamp"), ("key",)), **given: Any) -> uuid.UUID:
        async with self.write() as session:
            about = given.pop("about", None) or new_id()
            made = await start_saga(
                session, HOUSE, about=about, stages=stages, data={"to": "a"}, asked_by=None, **given
            )
        return made.id

    async def news(self, saga_id: uuid.UUID, step: str, fact: str = "done", attempt: int = 1) -> None:
        self.versions[step] = self.versions.get(step, 0) + 1
        problem = {"code": "x", "title": "X", "detail": "X"} if fact == "failed" else None
        news = News(step, attempt, self.versions[step], fact, {"moved": 1}, problem)  # type: ignore[arg-type]
        async with self.write() as session:
            await take_news(session, HOUSE, saga_id, news)

    async def saga(self, saga_id: uuid.UUID) -> Saga:
        async with self.write() as session:
            return await lock_saga(session, HOUSE, saga_id)

    async def rows(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        async with self.database.read() as session:
            return await session.connection.fetch(sql, *arguments)

    async def told(self, saga_id: uuid.UUID) -> list[tuple[str, int, dict[str, int]]]:
        """Fact, version and attempts of each event, in order."""
        found = await self.rows(
            "SELECT j.type, j.version, j.data FROM journal j JOIN outbox o USING (event_id) WHERE j.subject = $1 ORDER BY o.position",
            saga_id,
        )
        return [(row["type"].split(".")[-2], row["version"], row["data"]["state"]["attempts"]) for row in found]


def _build(dsn: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            for statement in (*JOURNAL_1, *SAGAS_1):
                await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


@pytest.fixture
def moving_dsn(make_database: MakeDatabase, postgres_server: SharedPostgres) -> str:
    return make_database(postgres_server.template("sagas-moving", _build))


@pytest.fixture
async def moving(moving_dsn: str) -> AsyncIterator[Moving]:
    database = await Database.open(moving_dsn, name="test")
    yield Moving(database, moving_dsn)
    await database.close()

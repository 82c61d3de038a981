"""A service that makes things and services that follow them, on real servers, with topics of their own per test."""

import asyncio
import datetime as dt
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa

from crm_contracts import Envelope, Event, Registry, Topic
from crm_contracts.events import Part
from crm_database import Database, PoolSettings, WriteContext, WriteSession, service_metadata
from crm_events import BusSettings, Reaction, Step, Worker, record
from crm_events.figures import figures
from crm_events.schema import ARCHIVE_1, BUS_1, JOURNAL_1, RESYNC_1
from crm_kernel.ids import new_id
from crm_testing.servers import BrokerUnderTest, MakeDatabase, SharedPostgres

metadata = service_metadata()
thing = sa.Table(
    "thing",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
)
_TABLES = (
    "CREATE TABLE thing (id uuid PRIMARY KEY, version int NOT NULL, name text NOT NULL)",
    # What a follower did, in the order in which it did it. No key: doing it twice must show.
    """CREATE TABLE effect (position bigint GENERATED ALWAYS AS IDENTITY (CACHE 1), group_name text NOT NULL,
       event_id uuid NOT NULL, subject uuid NOT NULL, version int NOT NULL)""",
)


class ThingState(Part):
    name: str


@dataclass
class Things:
    """A topic of things with its events, registered for this test only."""

    registry: Registry
    topic: Topic
    created: type[Event[Any]]
    changed: type[Event[Any]]


def things(*, partitions: int = 3, consumers: Sequence[str] = ("follower",)) -> Things:
    """A topic nobody else has."""
    known = Registry()
    name = f"crm.maker.thing-{uuid.uuid4().hex[:8]}"
    topic = known.topic(Topic(name, "maker", tuple(consumers), "Things.", partitions=partitions))
    made: list[type[Event[Any]]] = []
    for fact in ("created", "changed"):
        model = type(f"Thing{fact.capitalize()}", (Event[ThingState],), {"__module__": __name__})
        made.append(known.event(f"{name}.{fact}.v1", topic, example={})(model))
    return Things(known, topic, *made)


async def _run(statements: Sequence[str], dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def template(postgres_server: SharedPostgres) -> str:
    return postgres_server.template(
        "events", lambda dsn: asyncio.run(_run((*JOURNAL_1, *BUS_1, *RESYNC_1, *ARCHIVE_1, *_TABLES), dsn))
    )


async def until(condition: Callable[[], Awaitable[bool]], what: str, seconds: float = 30.0) -> None:
    """Wait for a condition; the test fails with what was waited for."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not await condition():
        if loop.time() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        await asyncio.sleep(0.02)


def context() -> WriteContext:
    return WriteContext(now=dt.datetime.now(dt.UTC))


@dataclass
class Bench:
    """Databases and workers of a test."""

    bootstrap: str
    idempotence: bool
    make: Callable[[], str]
    things: Things
    stack: AsyncExitStack
    databases: dict[str, Database] = field(default_factory=dict)
    dsns: dict[str, str] = field(default_factory=dict)
    names: list[uuid.UUID] = field(default_factory=list)

    async def database(self, service: str) -> Database:
        if service not in self.databases:
            self.dsns[service] = self.make()
            opened = await Database.open(self.dsns[service], name=service, settings=PoolSettings(max_size=20))
            self.databases[service] = opened
            self.stack.push_async_callback(opened.close)
        return self.databases[service]

    async def settings(self, service: str, **given: Any) -> BusSettings:
        await self.database(service)
        chosen = {"gate_seconds": 3.0, "session_timeout_ms": 6_000, **given}
        return BusSettings(service, self.bootstrap, self.dsns[service], idempotence=self.idempotence, **chosen)

    async def worker(self, service: str, reactions: Sequence[Reaction] = (), **given: Any) -> Worker:
        settings = await self.settings(service, **given)
        return Worker(settings, await self.database(service), reactions, known=self.things.registry)

    @asynccontextmanager
    async def running(self, *workers: Worker) -> AsyncIterator[None]:
        stop = asyncio.Event()
        tasks = [asyncio.create_task(worker.run(stop)) for worker in workers]
        try:
            yield
        finally:
            stop.set()
            async with asyncio.timeout(20):
                await asyncio.gather(*tasks)

    async def write(self, *, create: int = 0, change: Sequence[uuid.UUID] = ()) -> list[uuid.UUID]:
        """New things, or changes of old ones, in one transaction; answers the ids of the events."""
        async with (await self.database("maker")).write(context()) as session:
            return await self.record_in(session, create=create, change=change)

    async def record_in(
        self, session: WriteSession, *, create: int = 0, change: Sequence[uuid.UUID] = ()
    ) -> list[uuid.UUID]:
        """The same in a transaction of the maker."""
        if create:
            ids = [new_id() for _ in range(create)]
            self.names += ids
            return await record(session, [self._step(i, self.things.created, new=True) for i in ids])
        for i in sorted(change):
            version = await session.connection.fetchval("SELECT version FROM thing WHERE id = $1 FOR UPDATE", i)
            session.hold(thing, i, version)
        return await record(session, [self._step(i, self.things.changed) for i in sorted(change)])

    def _step(self, id: uuid.UUID, event: type[Event[Any]], *, new: bool = False) -> Step:
        return Step(thing, id, event, {"name": "x"}, values={"name": "x"}, new=new)

    async def value(self, service: str, sql: str, *arguments: Any) -> Any:
        async with (await self.database(service)).read() as session:
            return await session.connection.fetchval(sql, *arguments)

    async def effects(self, service: str, group: str) -> list[tuple[uuid.UUID, int]]:
        """(subject, version) in the order in which they were done."""
        async with (await self.database(service)).read() as session:
            rows = await session.connection.fetch(
                "SELECT subject, version FROM effect WHERE group_name = $1 ORDER BY position", group
            )
        return [(row[0], row[1]) for row in rows]

    async def journal(self) -> dict[uuid.UUID, int]:
        """How many events each thing has."""
        async with (await self.database("maker")).read() as session:
            rows = await session.connection.fetch("SELECT subject, count(*) FROM journal GROUP BY 1")
        return {row[0]: row[1] for row in rows}

    async def drained(self) -> bool:
        """Whether the maker's relay has nothing left to do."""
        async with (await self.database("maker")).read() as session:
            return (await figures(session)).backlog == 0

    async def followed(self, service: str, group: str, seconds: float = 40.0) -> None:
        """Wait until the group did as many things as were recorded; then each must be done once and in order."""
        wanted = await self.journal()

        async def enough() -> bool:
            return len(await self.effects(service, group)) >= sum(wanted.values())

        await until(enough, f"{group} applies {sum(wanted.values())} events", seconds)
        done: dict[uuid.UUID, list[int]] = {}
        for subject, version in await self.effects(service, group):
            done.setdefault(subject, []).append(version)
        assert done == {subject: list(range(1, count + 1)) for subject, count in wanted.items()}


def following(things: Things, group: str, **given: Any) -> Reaction:
    """A reaction that notes what it is given."""

    async def note(session: WriteSession, envelopes: Sequence[Envelope]) -> None:
        await session.connection.executemany(
            "INSERT INTO effect (group_name, event_id, subject, version) VALUES ($1, $2, $3, $4)",
            [(group, e.id, e.subject, e.payload["version"]) for e in envelopes],
        )

    return Reaction(group, (things.topic.name,), handle_batch=note, **given)


@asynccontextmanager
async def open_bench(bootstrap: str, idempotence: bool, make: Callable[[], str], made: Things) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        yield Bench(bootstrap, idempotence, make, made, stack)


@pytest.fixture
async def bench(broker_under_test: BrokerUnderTest, make_database: MakeDatabase, template: str) -> AsyncIterator[Bench]:
    async with open_bench(
        broker_under_test.bootstrap, broker_under_test.idempotence, lambda: make_database(template), things()
    ) as made:
        yield made


__all__ = ["Bench", "following", "suppress", "things", "until"]

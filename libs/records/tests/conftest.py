"""The shipping service on a real database: real tokens, a real directory with a small organisation, a clock that tests set."""

import asyncio
import datetime as dt
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx
import pytest

from crm_authz import Place, Rule, SigningKey, TokenIssuer, apply_state, heard, unite
from crm_contracts import identity
from crm_database import Database, WriteContext
from crm_kernel import FixedClock, new_id
from crm_testing.servers import SharedPostgres
from crm_web import Settings, create_app

from .sample import SERVICE, TABLES

URL = "https://crm.example"
NOW = dt.datetime(2026, 11, 23, 3, 0, tzinfo=dt.UTC)
CREW_SIZE = 24


@dataclass(repr=False)
class Rights:
    """What a role gives."""

    permissions: Sequence[str]
    scopes: Mapping[str, Mapping[str, Rule]] = field(default_factory=dict)


@dataclass(repr=False)
class Answered:
    """An answer that was checked to be one: JSON, or a problem document with its status."""

    status: int
    body: Any
    headers: httpx.Headers

    def __getitem__(self, name: str) -> Any:
        assert name in self.body, f"{self.status} without {name}: {self.body}"
        return self.body[name]


@dataclass(repr=False)
class World:
    """The running service and its people: a director above captains above a crew; and one who is outside of all that."""

    client: httpx.AsyncClient
    database: Database
    clock: FixedClock
    key: SigningKey
    director: uuid.UUID
    captain: uuid.UUID
    other_captain: uuid.UUID
    crew: list[uuid.UUID]
    leaver: uuid.UUID

    def token(
        self,
        user: uuid.UUID,
        scope: str = "self",
        permissions: Sequence[str] = ("*",),
        classes: Mapping[str, str] | None = None,
    ) -> str:
        """scope: for every class of action; classes: for each its own instead."""
        actions = [f"shipping.*:{permission}" for permission in permissions]
        by_class = classes or ({"*": scope} if scope else {})
        rules = {name: Rule(rule) for name, rule in by_class.items()}  # type: ignore[arg-type]
        rights = Rights(actions, {"*": rules} if rules else {})
        return TokenIssuer(URL).issue(
            self.key,
            unite(user, [rights], ["shipping"]),
            now=self.clock.now(),
            token_id=new_id(),
            session_id=new_id(),
            client_id="test",
            epoch=1,
            role_epochs={},
            modules=["shipping"],
            place=Place(),
        )

    def caller(
        self,
        user: uuid.UUID,
        scope: str = "self",
        permissions: Sequence[str] = ("*",),
        classes: Mapping[str, str] | None = None,
    ) -> "Caller":
        return Caller(self, self.token(user, scope, permissions, classes))

    async def rows(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        async with self.database.read() as session:
            return await session.connection.fetch(sql, *arguments)


@dataclass(repr=False)
class Caller:
    """Somebody who calls the API."""

    world: World
    token: str

    async def __call__(self, method: str, path: str, *, match: str | None = None, **options: Any) -> Answered:
        headers = {"authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        if match is not None:
            headers["if-match"] = match
        answer = await self.world.client.request(method, f"/api/shipping/v1{path}", headers=headers, **options)
        assert answer.status_code < 500, answer.text
        body = answer.json() if answer.content else None
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
            assert body["status"] == answer.status_code
        return Answered(answer.status_code, body, answer.headers)

    async def create(self, name: str = "A voyage", **fields: Any) -> Any:
        answer = await self("POST", "/voyages", json={"name": name, **fields})
        assert answer.status == 201, answer.body
        return answer.body

    async def names(self, **params: Any) -> list[str]:
        """The names of all that a list gives, page by page."""
        found: list[str] = []
        cursor = None
        while True:
            given = {**params, **({"cursor": cursor} if cursor else {})}
            answer = await self("GET", "/voyages", params=given)
            assert answer.status == 200, answer.body
            found += [item["name"] for item in answer["items"]]
            cursor = answer["next"]
            if cursor is None:
                return found


def _build(dsn: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            for statement in TABLES:
                await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


@pytest.fixture(scope="session")
def shipping_dsn(postgres_server: SharedPostgres) -> Any:
    dsn = postgres_server.create(postgres_server.template("records-shipping", _build))
    yield dsn
    postgres_server.drop(dsn)


@pytest.fixture
async def world(shipping_dsn: str) -> AsyncIterator[World]:
    connection = await asyncpg.connect(shipping_dsn)
    await connection.execute(
        "TRUNCATE voyage, voyage_cargo, port, record_member, journal, outbox, idempotent_answer, directory_user, directory_key"
    )
    await connection.execute("UPDATE directory_version SET version = 0, heard_at = NULL")
    await connection.close()
    async with running(shipping_dsn) as found:
        yield found


class running:  # noqa: N801  (used like a function)
    """The service over a prepared database."""

    def __init__(self, dsn: str, database: Database | None = None) -> None:
        self._dsn = dsn
        self._database = database

    async def __aenter__(self) -> World:
        settings = Settings.load(
            {},
            service="shipping",
            database_url=self._dsn,
            public_url=URL,
            signing_key="5a" * 32,
            pool_max=30,
            time_zone="Asia/Seoul",
        )
        self.database = self._database or await Database.open(self._dsn, name="test", settings=settings.pool)
        clock = FixedClock(NOW)
        key = SigningKey.generate("k1")
        people = [new_id() for _ in range(CREW_SIZE + 4)]
        await _populate(self.database, key, people)
        app = create_app(SERVICE, settings, database=self.database, clock=clock)
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        self._lifespan = app.router.lifespan_context(app)
        await self._lifespan.__aenter__()
        self._client = httpx.AsyncClient(transport=transport, base_url=URL)
        director, captain, other, leaver, *crew = people
        return World(self._client, self.database, clock, key, director, captain, other, crew, leaver)

    async def __aexit__(self, *error: Any) -> None:
        await self._client.aclose()
        await self._lifespan.__aexit__(None, None, None)
        if self._database is None:
            await self.database.close()


async def _populate(database: Database, key: SigningKey, people: Sequence[uuid.UUID]) -> None:
    """director > captain > first 20 of the crew; director > other captain > the rest of the crew; one has left."""
    director, captain, other, leaver, *crew = people
    superior = {captain: director, other: director, leaver: captain}
    superior |= {user: captain if index < 20 else other for index, user in enumerate(crew)}
    department = new_id()
    async with database.write(WriteContext(now=NOW)) as session:
        for user in people:
            state = identity.UserState(
                name="Kim",
                status="dismissed" if user == leaver else "active",
                department_id=department,
                superior_id=superior.get(user),
                role_ids=[],
                epoch=1,
            )
            await apply_state(session, identity.USER_TOPIC.name, user, 1, state)
        public = identity.SigningKeyState(kid=key.kid, jwk=key.public_jwk())
        await apply_state(session, identity.SIGNING_KEY.name, new_id(), 1, public)
        await heard(session)
        # The service's idea of how long ago that was goes by the machine's clock, not by ours.
        await session.connection.execute("UPDATE directory_version SET heard_at = now() + interval '1 hour'")

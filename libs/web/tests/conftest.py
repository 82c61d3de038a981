"""A tiny real service on a real database: notes, with real tokens that a real directory admits."""

import asyncio
import datetime as dt
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx
import pytest
import structlog

from crm_authz import Place, Rule, SigningKey, TokenIssuer, apply_state, heard, unite
from crm_contracts import identity
from crm_database import Database, WriteContext
from crm_kernel import new_id
from crm_testing.servers import MakeDatabase, SharedPostgres
from crm_web import Service, Settings, create_app
from crm_web.app import Application

from .notes_service import SERVICE, TABLES

URL = "https://crm.example"
KEY = "5a" * 32


@dataclass
class Rights:
    """What a role gives: permissions, and every record."""

    permissions: list[str]
    scopes: Mapping[str, Mapping[str, Rule]] = field(default_factory=lambda: {"*": {"*": Rule("all")}})


@dataclass
class Notes:
    """The running service, and everything a test wants to do to it."""

    app: Application
    client: httpx.AsyncClient
    database: Database
    dsn: str
    key: SigningKey
    user: uuid.UUID
    other: uuid.UUID

    def token(self, *actions: str, user: uuid.UUID | None = None, client: str = "test", life: int = 300) -> str:
        """A real access token with permissions over notes; all of them unless actions are named."""
        return TokenIssuer(URL).issue(
            self.key,
            unite(user or self.user, [Rights([f"notes.note:{action}" for action in actions or "*"])], ["notes"]),
            now=dt.datetime.now(dt.UTC),
            token_id=new_id(),
            session_id=new_id(),
            client_id=client,
            epoch=1,
            role_epochs={},
            modules=["notes"],
            place=Place(),
            life=life,
        )

    def auth(self, *actions: str, **options: Any) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token(*actions, **options)}"}

    async def titles(self) -> list[str]:
        async with self.database.read() as session:
            return [row["title"] for row in await session.connection.fetch("SELECT title FROM note ORDER BY id")]

    async def kept(self) -> int:
        async with self.database.read() as session:
            count: int = await session.connection.fetchval("SELECT count(*) FROM idempotent_answer")
            return count


def _build(statements: Iterable[str], dsn: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


@pytest.fixture(scope="session")
def notes_template(postgres_server: SharedPostgres) -> str:
    return postgres_server.template("web-notes", lambda dsn: _build(TABLES, dsn))


@pytest.fixture(scope="session")
def shared_dsn(postgres_server: SharedPostgres, notes_template: str) -> Iterator[str]:
    """One database for most tests, emptied before each: copying one for each takes longer than the tests."""
    dsn = postgres_server.create(notes_template)
    yield dsn
    postgres_server.drop(dsn)


@pytest.fixture
def own_dsn(make_database: MakeDatabase, notes_template: str) -> str:
    """A database of the test's own, for those that change more than rows."""
    return make_database(notes_template)


def settings_for(dsn: str, **given: Any) -> Settings:
    return Settings.load({}, service="notes", database_url=dsn, public_url=URL, signing_key=KEY, **given)


async def populate(database: Database, key: SigningKey, users: Iterable[uuid.UUID]) -> None:
    """The directory as identity's events would fill it: people, the token's key, a heartbeat."""
    now = dt.datetime.now(dt.UTC)
    department = new_id()
    async with database.write(WriteContext(now=now)) as session:
        for user in users:
            state = identity.UserState(name="Kim", status="active", department_id=department, role_ids=[], epoch=1)
            await apply_state(session, identity.USER_TOPIC.name, user, 1, state)
        public = identity.SigningKeyState(kid=key.kid, jwk=key.public_jwk())
        await apply_state(session, identity.SIGNING_KEY.name, new_id(), 1, public)
        await heard(session)
        # Nobody beats the heart here: far ahead, so that a slow machine doesn't make the service deaf in the middle.
        await session.connection.execute("UPDATE directory_version SET heard_at = now() + interval '1 hour'")


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[Any]]:
    """What was logged, as dicts."""
    with structlog.testing.capture_logs() as entries:
        yield entries  # type: ignore[misc]


@asynccontextmanager
async def started(dsn: str, service: Service = SERVICE) -> AsyncIterator[Notes]:
    """The service over a migrated database, with people in its directory."""
    settings = settings_for(dsn, pool_max=60)
    database = await Database.open(dsn, name="test", settings=settings.pool)
    key = SigningKey.generate("k1")
    users = [new_id(), new_id()]
    await populate(database, key, users)
    app = create_app(service, settings, database=database)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url=URL) as client:
        yield Notes(app, client, database, dsn, key, *users)
    await database.close()


@pytest.fixture
async def notes(shared_dsn: str) -> AsyncIterator[Notes]:
    connection = await asyncpg.connect(shared_dsn)
    await connection.execute("TRUNCATE note, idempotent_answer, directory_user, directory_key, journal, outbox, inbox")
    await connection.execute("UPDATE directory_version SET version = 0, heard_at = NULL")
    await connection.close()
    async with started(shared_dsn) as running:
        yield running


@pytest.fixture
async def own_notes(own_dsn: str) -> AsyncIterator[Notes]:
    async with started(own_dsn) as running:
        yield running

"""The service on a real database, its reactions fed with made-up histories, its API asked with real tokens."""

import asyncio
import datetime as dt
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from crm_analytics.app import SERVICE
from crm_analytics.facts import reactions as facts
from crm_analytics.log import reactions as log
from crm_analytics.settings import AnalyticsSettings
from crm_authz import Rule, SigningKey, TokenIssuer, apply_state, heard, unite
from crm_contracts import Envelope, identity
from crm_contracts.control import ALL
from crm_database import Database, WriteContext
from crm_database.migrate import upgrade
from crm_kernel import new_id
from crm_testing.servers import MakeDatabase, SharedPostgres
from crm_testing.service import Running, running
from crm_web import create_app

URL = "https://crm.example"


@dataclass
class Rights:
    """What a role gives."""

    permissions: Sequence[str]
    scopes: Mapping[str, Mapping[str, Rule]]


@dataclass
class Analytics:
    """The running service."""

    database: Database
    dsn: str
    client: httpx.AsyncClient
    key: SigningKey
    people: dict[uuid.UUID, identity.UserState] = field(default_factory=dict)
    versions: dict[uuid.UUID, int] = field(default_factory=dict)

    async def hear(self, envelopes: Sequence[Envelope], *, batch: int = 50, log_too: bool = True) -> None:
        """Feed both consumers, in the order given, each batch in one transaction."""
        for start in range(0, len(envelopes), batch):
            part = envelopes[start : start + batch]
            if log_too:
                await self.hear_log(part)
            await self.hear_facts(part)

    async def hear_facts(self, envelopes: Sequence[Envelope]) -> None:
        async with self.database.write(_context()) as session:
            await facts.apply(session, envelopes)

    async def hear_log(self, envelopes: Sequence[Envelope]) -> None:
        async with self.database.write(_context()) as session:
            await log.keep(session, envelopes)

    async def organise(
        self,
        place: Mapping[uuid.UUID, uuid.UUID],
        parent: Mapping[uuid.UUID, uuid.UUID | None],
        superior: Mapping[uuid.UUID, uuid.UUID | None],
        names: Mapping[uuid.UUID, str] | None = None,
    ) -> None:
        """What the directory knows of the organisation, from now on."""
        named = names or {}
        async with self.database.write(_context()) as session:
            for department, above in parent.items():
                state = identity.DepartmentState(
                    name=named.get(department, f"Department {department}"),
                    parent_id=above,
                    business_area="sales",
                    path=_path(parent, department),
                )
                await apply_state(session, identity.DEPARTMENT.name, department, self._next(department), state)
            for user, department in place.items():
                person = identity.UserState(
                    name=named.get(user, f"User {user}"),
                    status="active",
                    department_id=department,
                    superior_id=superior.get(user),
                    role_ids=[],
                    epoch=1,
                )
                await apply_state(session, identity.USER_TOPIC.name, user, self._next(user), person)

    def _next(self, record: uuid.UUID) -> int:
        self.versions[record] = self.versions.get(record, 0) + 1
        return self.versions[record]

    def token(
        self,
        user: uuid.UUID,
        rule: Rule = Rule("all"),
        *,
        permissions: Iterable[str] = ("analytics.report:read", "sales.*:read", "customers.*:read", "billing.*:read"),
        scopes: Mapping[str, Mapping[str, Rule]] | None = None,
    ) -> str:
        rights = Rights(tuple(permissions), scopes if scopes is not None else {"*": {"*": rule}})
        return TokenIssuer(URL).issue(
            self.key,
            unite(user, [rights], ALL),
            now=dt.datetime.now(dt.UTC),
            token_id=new_id(),
            session_id=new_id(),
            client_id="test",
            epoch=1,
            role_epochs={},
            modules=["analytics"],
        )

    async def ask(self, path: str, token: str, **query: Any) -> httpx.Response:
        """GET below /api/analytics/v1; `first` and `last` are sent as `from` and `to`."""
        renamed = {"first": "from", "last": "to"}
        given = {renamed.get(name, name): str(value) for name, value in query.items() if value is not None}
        return await self.client.get(
            f"/api/analytics/v1{path}", params=given, headers={"authorization": f"Bearer {token}"}
        )

    async def report(self, name: str, token: str, **query: Any) -> dict[str, Any]:
        """A report's answer, which must be 200."""
        answer = await self.ask(f"/reports/{name}", token, **query)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body


def _context() -> WriteContext:
    return WriteContext(now=dt.datetime.now(dt.UTC), channel="event")


def _path(parent: Mapping[uuid.UUID, uuid.UUID | None], department: uuid.UUID) -> list[uuid.UUID]:
    above = parent[department]
    return [*(_path(parent, above) if above is not None else []), department]


@pytest.fixture(scope="session")
def analytics_template(postgres_server: SharedPostgres) -> str:
    return postgres_server.template("analytics", lambda dsn: upgrade("analytics", dsn))


@pytest.fixture
def analytics_dsn(make_database: MakeDatabase, analytics_template: str) -> str:
    return make_database(analytics_template)


@pytest.fixture
async def analytics(analytics_dsn: str) -> AsyncIterator[Analytics]:
    settings = AnalyticsSettings.load(
        {},
        service="analytics",
        database_url=analytics_dsn,
        public_url=URL,
        signing_key="5a" * 32,
        time_zone="Asia/Seoul",
    )
    database = await Database.open(analytics_dsn, name="test", settings=settings.pool)
    key = SigningKey.generate("k1")
    async with database.write(_context()) as session:
        company = identity.CompanyState(name="Example", time_zone="Asia/Seoul", currency="USD")
        await apply_state(session, identity.COMPANY.name, new_id(), 1, company)
        public = identity.SigningKeyState(kid=key.kid, jwk=key.public_jwk())
        await apply_state(session, identity.SIGNING_KEY.name, new_id(), 1, public)
        await heard(session)
    app = create_app(SERVICE, settings, database=database)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=True)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url=URL) as client:
        yield Analytics(database, analytics_dsn, client, key)
    await asyncio.wait_for(database.close(), timeout=10)


@pytest.fixture
async def service(analytics_dsn: str) -> AsyncIterator[Running]:
    """The service with an organisation and a clock that stands still; webhooks may lead to this machine."""
    async with running(
        SERVICE, analytics_dsn, webhook_allowed_networks="127.0.0.0/8,::1/128", webhook_allow_http=True
    ) as found:
        yield found
        assert await found.dead_letters() == []

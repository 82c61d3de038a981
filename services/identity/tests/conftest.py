"""Identity as it runs: a migrated database set up by the first start, and its API without a network between."""

import asyncio
import datetime as dt
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from crm_authz import PermissionEntry, heard, names, standard_entries
from crm_authz.keeper import LOOK_EVERY
from crm_database import Database, WriteContext
from crm_database.migrate import upgrade
from crm_identity.app import SERVICE
from crm_identity.bootstrap import bootstrap
from crm_identity.settings import IdentitySettings
from crm_kernel import FixedClock, SystemClock
from crm_testing.documented import Documented
from crm_testing.servers import MakeDatabase, SharedPostgres
from crm_web import create_app
from crm_web.documents import write

URL = "https://crm.example"
ADMIN = "admin@example.com"
PASSWORD = "an ordinary pass phrase"
KEY_SECRET = "k" * 32
API = "/api/identity/v1"
DOCUMENTED = Documented(SERVICE)


def settings_for(dsn: str, **given: Any) -> IdentitySettings:
    return IdentitySettings.load(
        {}, database_url=dsn, public_url=URL, signing_key="5a" * 32, key_secret=KEY_SECRET, **given
    )


def _fill(dsn: str) -> None:
    upgrade("identity", dsn)
    bootstrap(
        dsn,
        email=ADMIN,
        password=PASSWORD,
        name="First Administrator",
        company="Example Ltd",
        time_zone="Asia/Seoul",
        currency="KRW",
    )


@pytest.fixture(scope="session")
def identity_template(postgres_server: SharedPostgres) -> str:
    return postgres_server.template("identity", _fill)


@pytest.fixture
def identity_dsn(make_database: MakeDatabase, identity_template: str) -> str:
    return make_database(identity_template)


@dataclass
class Caller:
    """Somebody logged in."""

    client: httpx.AsyncClient
    tokens: dict[str, Any]
    login: str
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def auth(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.tokens['access_token']}", **self.headers}

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        target = path if path.startswith(("/api", "/oauth")) else API + path
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await self.client.request(
            method, target, headers={**self.auth, **given}, **({} if body is None else {"json": body})
        )
        DOCUMENTED.check(answer)
        return answer

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.call("GET", path, **headers)

    async def post(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return await self.call("POST", path, {} if body is None else body, **headers)

    async def patch(self, path: str, body: Any, **headers: str) -> httpx.Response:
        return await self.call("PATCH", path, body, **headers)

    async def delete(self, path: str, **headers: str) -> httpx.Response:
        return await self.call("DELETE", path, **headers)

    async def until_stale(self) -> None:
        """Return when the access token is refused; each process looks at the directory every 200 ms, on a busy machine later."""
        async with asyncio.timeout(10):
            while (answer := await self.get("/me")).status_code == 200:  # noqa: ASYNC110  (a condition with a deadline)
                await asyncio.sleep(0.02)
        assert (answer.status_code, answer.json()["code"]) == (401, "token.stale")

    async def refresh(self) -> httpx.Response:
        """Exchange the refresh token; the new tokens are used from then on if it was good."""
        answer = await self.client.post(
            "/oauth/token", data={"grant_type": "refresh_token", "refresh_token": self.tokens["refresh_token"]}
        )
        if answer.status_code == 200:
            self.tokens = answer.json()
        return answer


@dataclass
class Identity:
    """The running service."""

    client: httpx.AsyncClient
    database: Database
    clock: FixedClock
    dsn: str

    async def token(self, login: str, password: str = PASSWORD, **headers: str) -> httpx.Response:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post(
            "/oauth/token", data={"grant_type": "password", "username": login, "password": password}, headers=given
        )

    async def login(self, login: str = ADMIN, password: str = PASSWORD) -> Caller:
        answer = await self.token(login, password)
        assert answer.status_code == 200, answer.text
        return Caller(self.client, answer.json(), login)

    async def events(self, kind: str = "%", subject: uuid.UUID | str | None = None) -> list[dict[str, Any]]:
        """What the journal says, oldest first: type, subject, version, data."""
        async with self.database.read() as session:
            rows = await session.connection.fetch(
                "SELECT j.type, j.subject, j.version, j.data FROM journal j JOIN outbox o USING (event_id) "
                "WHERE j.type LIKE $1 AND ($2::uuid IS NULL OR j.subject = $2) ORDER BY o.position",
                kind,
                subject,
            )
        return [dict(row) for row in rows]

    async def pass_time(self, by: dt.timedelta) -> None:
        """Let time go by, with identity's heartbeat in it, and at least until the process has looked at its directory again."""
        self.clock.advance(by)
        await asyncio.sleep(LOOK_EVERY)
        async with self.database.write(WriteContext(now=self.clock.now())) as session:
            await heard(session)

    async def execute(self, sql: str, *arguments: Any) -> None:
        """Change the database behind the service's back."""
        async with self.database.write(WriteContext(now=self.clock.now())) as session:
            await session.connection.execute(sql, *arguments)

    async def value(self, sql: str, *arguments: Any) -> Any:
        async with self.database.read() as session:
            return await session.connection.fetchval(sql, *arguments)


@dataclass
class Organisation:
    """Ids of what most tests need: two departments and the shipped roles, and how to make people."""

    identity: Identity
    admin: Caller
    root: str
    roles: dict[str, str]
    departments: dict[str, str]

    async def user(
        self, name: str, *roles: str, superior: str | None = None, department: str = "north", active: bool = True
    ) -> str:
        """A user who can log in as `<name>@example.com` with PASSWORD; answers the id."""
        body = {
            "name": name.capitalize(),
            "email": f"{name}@example.com",
            "department_id": self.departments[department],
            "superior_id": superior,
            "role_ids": [self.roles[role] for role in roles],
        }
        made = await self.admin.post("/users", body)
        assert made.status_code == 201, made.text
        user_id: str = made.json()["id"]
        if active:
            done = await self.admin.post(f"/users/{user_id}/activate", {"password": PASSWORD})
            assert done.status_code == 200, done.text
        return user_id


@pytest.fixture(scope="session")
def documents_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of documents as a release has it, with two operations of services that identity doesn't know."""
    folder = tmp_path_factory.mktemp("documents")
    write(str(folder), "identity")
    others = [
        *standard_entries("sales.opportunity", names("Opportunity", "영업 기회", "商机", "Сделка")),
        PermissionEntry(
            "analytics.report:read", names("Report: view", "보고서: 조회", "报表：查看", "Отчёт: просмотр")
        ),
    ]
    file = folder / "permissions.json"
    entries = [*orjson.loads(file.read_bytes()), *({"code": e.code, "names": e.names} for e in others)]
    file.write_bytes(orjson.dumps(entries))
    return folder


@pytest.fixture
async def identity(identity_dsn: str, documents_dir: Path) -> AsyncIterator[Identity]:
    settings = settings_for(identity_dsn, pool_max=12, documents_dir=documents_dir)
    database = await Database.open(identity_dsn, name="test", settings=settings.pool)
    clock = FixedClock(SystemClock().now())
    async with database.write(WriteContext(now=clock.now())) as session:
        await heard(session)
    app = create_app(SERVICE, settings, database=database, clock=clock)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url=URL) as client:
        yield Identity(client, database, clock, identity_dsn)
    await database.close()


@pytest.fixture
async def admin(identity: Identity) -> Caller:
    return await identity.login()


@pytest.fixture
async def organisation(identity: Identity, admin: Caller) -> Organisation:
    departments = (await admin.get("/departments")).json()["items"]
    root = departments[0]["id"]
    roles = {role["shipped"]: role["id"] for role in (await admin.get("/roles")).json()["items"]}
    made = {}
    for name in ("north", "south"):
        answer = await admin.post(
            "/departments", {"name": name.capitalize(), "parent_id": root, "business_area": "sales"}
        )
        assert answer.status_code == 201, answer.text
        made[name] = answer.json()["id"]
    return Organisation(identity, admin, root, roles, made)

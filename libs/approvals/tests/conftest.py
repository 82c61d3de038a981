"""The office on a real database: real tokens, a real directory with a small organisation, a clock that tests set."""

import asyncio
import datetime as dt
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx
import pytest

from crm_authz import Place, Rule, SigningKey, TokenIssuer, apply_state, heard, keeper_of, unite
from crm_contracts import identity
from crm_database import Database, WriteContext
from crm_kernel import FixedClock, new_id
from crm_testing.servers import SharedPostgres
from crm_web import Settings, create_app

from .office import SERVICE, TABLES

URL = "https://crm.example"
NOW = dt.datetime(2026, 11, 23, 3, 0, tzinfo=dt.UTC)


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

    @property
    def outcome(self) -> tuple[int, str]:
        """Status and code of a refusal."""
        return self.status, self["code"]


@dataclass(repr=False)
class World:
    """The running service and its people. rep, colleague → manager → director; orphan's superior has left, and had none; boss, deputy:
    super administrators, without a superior. All others have a role that decides."""

    client: httpx.AsyncClient
    database: Database
    clock: FixedClock
    key: SigningKey
    boss: uuid.UUID
    deputy: uuid.UUID
    director: uuid.UUID
    manager: uuid.UUID
    leaver: uuid.UUID
    rep: uuid.UUID
    colleague: uuid.UUID
    orphan: uuid.UUID
    #: The role, and what was last told of each person.
    role: uuid.UUID
    told: dict[uuid.UUID, tuple[int, identity.UserState]]

    async def tell(self, user: uuid.UUID, **changes: Any) -> None:
        """Identity tells of a change of somebody; services know at once."""
        version, state = self.told[user]
        self.told[user] = version + 1, state.model_copy(update=changes)
        async with self.database.write(WriteContext(now=NOW)) as session:
            await apply_state(session, identity.USER_TOPIC.name, user, *self.told[user])
        # A process looks every 200 ms at most; here, at once.
        await keeper_of(self.database).current(self.database, at_most=0)

    async def leaves(self, *users: uuid.UUID) -> None:
        """They are dismissed."""
        for user in users:
            await self.tell(user, status="dismissed")

    async def approvers_for(self, user: uuid.UUID) -> set[uuid.UUID]:
        """Who would decide on what somebody submits now."""
        caller = self.caller(user)
        given = await caller.submits()
        return {uuid.UUID(one) for one in (await caller("GET", given.path))["steps"][0]["approvers"]}

    def caller(self, user: uuid.UUID, *permissions: str) -> "Caller":
        """Somebody with all permissions over the office, or those named; and over records only what they own."""
        rights = Rights(permissions or ("office.*:*",), {"*": {"*": Rule("self")}})
        token = TokenIssuer(URL).issue(
            self.key,
            unite(user, [rights], ["office"]),
            now=self.clock.now(),
            token_id=new_id(),
            session_id=new_id(),
            client_id="test",
            epoch=1,
            role_epochs={},
            modules=["office"],
            place=Place(),
        )
        return Caller(self, token)

    async def rows(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        async with self.database.read() as session:
            return await session.connection.fetch(sql, *arguments)

    async def change(self, sql: str, *arguments: Any) -> None:
        """Behind the product's back."""
        async with self.database.write(WriteContext(now=NOW)) as session:
            await session.connection.execute(sql, *arguments)

    async def facts(self) -> list[tuple[int, str]]:
        """The approvals' events so far: version and fact."""
        rows = await self.rows(
            "SELECT version, type FROM journal WHERE topic = 'crm.office.approval' ORDER BY event_id"
        )
        return [(row["version"], row["type"].split(".")[3]) for row in rows]


@dataclass(repr=False)
class Caller:
    """Somebody who calls the API."""

    world: World
    token: str

    async def __call__(self, method: str, path: str, *, match: str | None = None, **options: Any) -> Answered:
        headers = {"authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        if match is not None:
            headers["if-match"] = match
        answer = await self.world.client.request(method, f"/api/office/v1{path}", headers=headers, **options)
        assert answer.status_code < 500, answer.text
        body = answer.json() if answer.content else None
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
        return Answered(answer.status_code, body, answer.headers)

    async def submits(self, name: str = "A memo", **fields: Any) -> "Submitted":
        """A new memo, submitted."""
        made = await self("POST", "/memos", json={"name": name, **fields})
        assert made.status == 201, made.body
        answer = await self("POST", f"/memos/{made['id']}/submit")
        assert answer.status == 200, answer.body
        return Submitted(answer["id"], made["id"], answer["digest"])

    async def may(self, submitted: "Submitted") -> tuple[bool, bool]:
        """Whether they see an approval, and whether it is in their list of what to decide."""
        shown = await self("GET", submitted.path)
        return shown.status == 200, shown.status == 200 and shown["title"] in await self.listed("to_decide")

    async def decides(self, submitted: "Submitted", verb: str, comment: str | None = None, **options: Any) -> Answered:
        """approve or reject."""
        return await self("POST", f"{submitted.path}/{verb}", json={"comment": comment}, **options)

    async def listed(self, role: str, **params: Any) -> list[str]:
        """The titles of a list, page by page."""
        found: list[str] = []
        cursor = None
        while True:
            given = {"role": role, **params, **({"cursor": cursor} if cursor else {})}
            answer = await self("GET", "/approvals", params=given)
            assert answer.status == 200, answer.body
            found += [item["title"] for item in answer["items"]]
            cursor = answer["next"]
            if cursor is None:
                return found


@dataclass(frozen=True)
class Submitted:
    """An approval and its memo."""

    id: str
    memo_id: str
    digest: str

    @property
    def path(self) -> str:
        return f"/approvals/{self.id}"


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
def office_dsn(postgres_server: SharedPostgres) -> Iterator[str]:
    dsn = postgres_server.create(postgres_server.template("approvals-office", _build))
    yield dsn
    postgres_server.drop(dsn)


@pytest.fixture
async def world(office_dsn: str) -> AsyncIterator[World]:
    connection = await asyncpg.connect(office_dsn)
    await connection.execute(
        "TRUNCATE memo, approval, approval_step, record_member, journal, outbox, idempotent_answer, directory_user, directory_role, "
        "directory_key"
    )
    await connection.execute("UPDATE directory_version SET version = 0, heard_at = NULL")
    await connection.close()
    settings = Settings.load(
        {}, service="office", database_url=office_dsn, public_url=URL, signing_key="5a" * 32, time_zone="Asia/Seoul"
    )
    database = await Database.open(office_dsn, name="test", settings=settings.pool)
    clock, key = FixedClock(NOW), SigningKey.generate("k1")
    people = [new_id() for _ in range(8)]
    role = new_id()
    told = await _populate(database, key, people, role)
    app = create_app(SERVICE, settings, database=database, clock=clock)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url=URL) as client:
        yield World(client, database, clock, key, *people, role=role, told=told)
    await database.close()


async def _populate(
    database: Database, key: SigningKey, people: Sequence[uuid.UUID], role: uuid.UUID
) -> dict[uuid.UUID, tuple[int, identity.UserState]]:
    """Write the organisation; answers what was told of whom, with its version."""
    boss, deputy, director, manager, leaver, rep, colleague, orphan = people
    superior = {manager: director, rep: manager, colleague: manager, orphan: leaver}
    department = new_id()
    told: dict[uuid.UUID, tuple[int, identity.UserState]] = {}
    async with database.write(WriteContext(now=NOW)) as session:
        deciding = identity.RoleState(name="Decides", permissions=["office.approval:decide"], scopes={}, epoch=1)
        await apply_state(session, identity.ROLE_TOPIC.name, role, 1, deciding)
        for user in people:
            state = identity.UserState(
                name="Kim",
                status="dismissed" if user == leaver else "active",
                department_id=department,
                superior_id=superior.get(user),
                role_ids=[] if user in (boss, deputy) else [role],
                super_admin=user in (boss, deputy),
                epoch=1,
            )
            await apply_state(session, identity.USER_TOPIC.name, user, 1, state)
            told[user] = 1, state
        public = identity.SigningKeyState(kid=key.kid, jwk=key.public_jwk())
        await apply_state(session, identity.SIGNING_KEY.name, new_id(), 1, public)
        await heard(session)
        # The service's idea of how long ago that was goes by the machine's clock, not by ours.
        await session.connection.execute("UPDATE directory_version SET heard_at = now() + interval '1 hour'")
    return told

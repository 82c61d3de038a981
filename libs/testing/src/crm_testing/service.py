"""A service as it runs, without network and broker: its application on a migrated database, an organisation in its directory, real
tokens with the shipped roles' rights, and events given to its reactions by the consumer's own code.

    @pytest.fixture                                         # not async: migrations run a loop of their own
    def sales_dsn(make_database, postgres_server):
        return make_database(migrated("sales", postgres_server))

    @pytest.fixture
    async def sales(sales_dsn):
        async with running(SERVICE, sales_dsn) as found:
            yield found

    async def test_…(sales):
        rep = sales.caller(sales.people.rep)                # a sales representative, with that shipped role
        made = await rep("POST", "/opportunities", json={…})
        assert made.status == 201
        assert [event["type"] for event in await sales.events()] == […]
"""

import asyncio
import datetime as dt
import sys
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import asyncpg
import httpx

from crm_authz import Place, Rule, SigningKey, TokenIssuer, apply_state, heard, unite
from crm_authz.shipped import (
    EXECUTIVE,
    GENERAL,
    SALES_REPRESENTATIVE,
    SUPER_ADMINISTRATOR,
    SUPERVISOR,
    SUPPORT_AGENT,
)
from crm_contracts import Envelope, Event, identity
from crm_contracts.control import ALL
from crm_contracts.identity import RoleState, ScopeRule
from crm_database import Database, WriteContext
from crm_database.migrate import upgrade
from crm_events import ConsistencyTokens, groups_of
from crm_events.consumer import letters
from crm_events.consumer import store as consumer_store
from crm_events.consumer.apply import Applier
from crm_events.consumer.store import Place as ReadPlace
from crm_jobs import Runner
from crm_kernel import FixedClock, new_id
from crm_testing.documented import Documented
from crm_testing.servers import SharedPostgres
from crm_web import Application, Service, create_app
from crm_web.working import all_reactions

# httpx looks for sniffio, which is not installed, with each request to an application; a search in vain costs 0.35 ms, with this 0.005 ms
# (None: it can't be imported).
sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]

URL = "https://crm.example"
NOW = dt.datetime(2026, 11, 23, 3, 0, tzinfo=dt.UTC)
SIGNING_KEY = "5a" * 32


@dataclass(frozen=True)
class Rights:
    """What a role gives, for tests of rights that no shipped role gives."""

    permissions: Sequence[str]
    scopes: Mapping[str, Mapping[str, Rule]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Person:
    """Somebody of the organisation, with a role's rights."""

    id: uuid.UUID
    role: Any
    department: uuid.UUID
    superior: uuid.UUID | None = None
    status: str = "active"


@dataclass(frozen=True)
class People:
    """An organisation: headquarters above north and south.

    administrator and executive are above all. manager leads rep and colleague in the north, other_manager leads stranger in the
    south; the leaver was one of manager's. agent supports customers and general may only see the directory, both in the north.
    """

    headquarters: uuid.UUID
    north: uuid.UUID
    south: uuid.UUID
    administrator: Person
    executive: Person
    manager: Person
    other_manager: Person
    rep: Person
    colleague: Person
    stranger: Person
    leaver: Person
    agent: Person
    general: Person

    @property
    def all(self) -> list[Person]:
        """Everybody."""
        return [value for value in self.__dict__.values() if isinstance(value, Person)]

    @classmethod
    def make(cls) -> "People":
        """Fresh ids for everybody."""
        headquarters, north, south = new_id(), new_id(), new_id()
        executive = Person(new_id(), EXECUTIVE, headquarters)
        manager = Person(new_id(), SUPERVISOR, north, executive.id)
        other = Person(new_id(), SUPERVISOR, south, executive.id)
        return cls(
            headquarters=headquarters,
            north=north,
            south=south,
            administrator=Person(new_id(), SUPER_ADMINISTRATOR, headquarters),
            executive=executive,
            manager=manager,
            other_manager=other,
            rep=Person(new_id(), SALES_REPRESENTATIVE, north, manager.id),
            colleague=Person(new_id(), SALES_REPRESENTATIVE, north, manager.id),
            stranger=Person(new_id(), SALES_REPRESENTATIVE, south, other.id),
            leaver=Person(new_id(), SALES_REPRESENTATIVE, north, manager.id, "dismissed"),
            agent=Person(new_id(), SUPPORT_AGENT, north, executive.id),
            general=Person(new_id(), GENERAL, north, executive.id),
        )


@dataclass(frozen=True, repr=False)
class Answered:
    """An answer that was checked to be one: JSON, or a problem document with its status."""

    status: int
    body: Any
    headers: httpx.Headers

    def __getitem__(self, name: str) -> Any:
        return self.body[name]

    def __repr__(self) -> str:
        return f"{self.status} {self.body}"

    @property
    def codes(self) -> list[tuple[str, str]]:
        """Pointer and code of each thing that is wrong."""
        return [(error["pointer"], error["code"]) for error in self.body.get("errors", [])]


@dataclass(frozen=True, repr=False)
class Caller:
    """Somebody who calls the API."""

    running: "Running"
    token: str

    async def __call__(self, method: str, path: str, *, match: str | None = None, **options: Any) -> Answered:
        """Call below the service's prefix (or at a whole path). AssertionError for a 5xx, a refusal that is no problem document, or one
        that the operation's documents don't name."""
        headers = {"authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        if match is not None:
            headers["if-match"] = match
        target = path if path.startswith("/api/") else f"/api/{self.running.service.name}/v1{path}"
        answer = await self.running.client.request(method, target, headers=headers, **options)
        body: Any = answer.json() if answer.content else None
        if answer.status_code == 503 and body["code"] == "consistency_token.not_applied":
            return Answered(answer.status_code, body, answer.headers)
        _require(answer.status_code < 500, f"{method} {path}: {answer.text}")
        if answer.status_code >= 400:
            _require(answer.headers["content-type"] == "application/problem+json", answer.text)
            _require(body["status"] == answer.status_code, answer.text)
            self.running.documented.check(answer)
        return Answered(answer.status_code, body, answer.headers)

    async def done(self, method: str, path: str, **options: Any) -> Any:
        """The body of an answer that must be a success."""
        answer = await self(method, path, **options)
        _require(answer.status < 300, f"{method} {path}: {answer}")
        return answer.body


def _require(holds: bool, words: str) -> None:
    if not holds:
        raise AssertionError(words)


@dataclass(repr=False)
class Running:
    """A running service."""

    service: Service
    app: Application
    client: httpx.AsyncClient
    database: Database
    dsn: str
    clock: FixedClock
    key: SigningKey
    people: People
    _numbers: dict[str, int] = field(default_factory=dict)

    @cached_property
    def documented(self) -> Documented:
        """The service's documents."""
        return Documented(self.service)

    def token(self, person: Person, *, rights: Rights | None = None, modules: Sequence[str] = ALL) -> str:
        """An access token with the rights of the person's role, or with others."""
        return TokenIssuer(URL).issue(
            self.key,
            unite(person.id, [rights or person.role], modules),
            now=self.clock.now(),
            token_id=new_id(),
            session_id=new_id(),
            client_id="test",
            epoch=1,
            role_epochs={},
            modules=list(modules),
            place=Place(),
        )

    def caller(self, person: Person, *, rights: Rights | None = None) -> Caller:
        """A person with a token."""
        return Caller(self, self.token(person, rights=rights))

    async def rows(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """Rows straight from the database."""
        async with self.database.read() as session:
            return await session.connection.fetch(sql, *arguments)

    async def events(
        self, kind: str = "%", subject: uuid.UUID | str | None = None, *, since: int = 0
    ) -> list[dict[str, Any]]:
        """What the journal says, in the order of the facts: position, type, subject, version, occurred_at, data.

        kind: a LIKE pattern over types. since: only behind this position.
        """
        found = await self.rows(
            "SELECT o.position, j.type, j.subject, j.version, j.occurred_at, j.data FROM journal j "
            "JOIN outbox o USING (event_id) "
            "WHERE j.type LIKE $1 AND ($2::uuid IS NULL OR j.subject = $2) AND o.position > $3 ORDER BY o.position",
            kind,
            subject,
            since,
        )
        return [dict(row) for row in found]

    async def position(self) -> int:
        """Behind which position of the journal what comes next will stand."""
        return int((await self.rows("SELECT coalesce(max(position), 0) FROM outbox"))[0][0])

    async def hear(self, *envelopes: Envelope) -> None:
        """Give events to the service's reactions as its worker does: in order, with inbox and watermarks, each group in one batch."""
        numbered = []
        for envelope in envelopes:
            number = self._numbers[envelope.topic] = self._numbers.get(envelope.topic, 0) + 1
            numbered.append(replace(envelope, sequence=number, stream="s"))
        for group in groups_of(all_reactions(self.service)):
            for topic in group.topics:
                mine = [envelope for envelope in numbered if envelope.topic == topic]
                if not mine:
                    continue
                place = ReadPlace(group.name, topic, 0)
                async with self.database.write(WriteContext(now=self.clock.now())) as session:
                    await consumer_store.begin(session, place)
                await Applier(group, self.database, self.clock, asyncio.Event()).settle(place, mine)

    async def work(self) -> None:
        """Have the jobs that are due done, as the service's worker does them, until none is."""
        if self.service.jobs is None:
            raise RuntimeError(f"{self.service.name} has no jobs")
        await Runner(self.database, self.service.jobs.kinds, self.clock).run_due()

    async def settle_letters(self) -> int:
        """Retry and discard the dead letters that an operator asked for, as the service's worker does; answers how many were settled."""
        settled = 0
        for group in groups_of(all_reactions(self.service)):
            async with self.database.read() as session:
                places = await consumer_store.asked_where(session, group.name)
            applier = Applier(group, self.database, self.clock, asyncio.Event())
            for topic, partition in sorted(places):
                settled += await letters.carry_out(applier, ReadPlace(group.name, topic, partition))
        return settled

    async def dead_letters(self) -> list[str]:
        """Why events could not be applied."""
        return [row["reason"] for row in await self.rows("SELECT reason FROM dead_letter ORDER BY failed_at")]


def envelope(
    event: type[Event[Any]], subject: uuid.UUID, data: Mapping[str, Any], *, write_id: uuid.UUID | None = None
) -> Envelope:
    """An event as it comes from another service. data: as its contract says; checked."""
    content = event.model_validate(data)
    return Envelope(
        id=new_id(),
        type=event.type,
        source=f"/crm/{event.type.split('.')[1]}",
        subject=subject,
        time=NOW,
        data=content.model_dump_json().encode(),
        write_id=write_id or new_id(),
        topic=event.topic,
        partition=0,
    )


async def consistency_token(producer: str, running: Running, write_id: uuid.UUID, recorded: Mapping[str, int]) -> str:
    """The Consistency-Token that another service answered a write with. recorded: event type → how many."""
    tokens = ConsistencyTokens(producer, bytes.fromhex(SIGNING_KEY), [], running.clock)
    context = WriteContext(now=running.clock.now(), write_id=write_id)
    async with running.database.write(context) as session:
        session.recorded.update(recorded)
        made = tokens.token(session)
    if made is None:
        raise AssertionError("a write without events has no token")
    return made


def migrated(service: str, server: SharedPostgres) -> str:
    """The name of a database at the service's newest migration; made once per test session, to be copied (`make_database`)."""
    return server.template(service, lambda dsn: upgrade(service, dsn))


def role_state(permissions: Sequence[str], scopes: Mapping[str, Mapping[str, Rule]], epoch: int = 1) -> RoleState:
    """A role as identity tells of it."""
    return RoleState(
        name="Role",
        permissions=list(permissions),
        scopes={
            target: {name: ScopeRule(scope=rule.scope, set_id=rule.set_id) for name, rule in classes.items()}
            for target, classes in scopes.items()
        },
        epoch=epoch,
    )


@asynccontextmanager
async def running(
    service: Service, dsn: str, *, people: People | None = None, time_zone: str = "Asia/Seoul", **settings: Any
) -> AsyncIterator[Running]:
    """The service over a migrated database, with an organisation in its directory; the clock stands at NOW until it is moved.

    people: where several services are to know the same.
    """
    chosen = service.settings.load(
        {},
        service=service.name,
        database_url=dsn,
        public_url=URL,
        signing_key=SIGNING_KEY,
        time_zone=time_zone,
        **{"pool_max": 20, **settings},
    )
    database = await Database.open(dsn, name="test", settings=chosen.pool)
    try:
        clock = FixedClock(NOW)
        key = SigningKey.generate("k1")
        people = people or People.make()
        await _populate(database, key, people, time_zone)
        app = create_app(service, chosen, database=database, clock=clock)
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url=URL) as client:
            yield Running(service, app, client, database, dsn, clock, key, people)
    finally:
        await database.close()


async def _populate(database: Database, key: SigningKey, people: People, time_zone: str) -> None:
    async with database.write(WriteContext(now=NOW)) as session:
        company = identity.CompanyState(name="Example", time_zone=time_zone, currency="USD")
        await apply_state(session, identity.COMPANY.name, new_id(), 1, company)
        top = people.headquarters
        for department, name, path in (
            (top, "Headquarters", [top]),
            (people.north, "North", [top, people.north]),
            (people.south, "South", [top, people.south]),
        ):
            parent = None if department == top else top
            place = identity.DepartmentState(name=name, parent_id=parent, business_area="sales", path=path)
            await apply_state(session, identity.DEPARTMENT.name, department, 1, place)
        # Tokens carry their rights with them; jobs go by what the directory knows.
        roles = {role.key: (new_id(), role) for role in (person.role for person in people.all)}
        for role_id, role in roles.values():
            await apply_state(session, identity.ROLE_TOPIC.name, role_id, 1, role_state(role.permissions, role.scopes))
        for person in people.all:
            state = identity.UserState(
                name="Kim",
                status=person.status,
                department_id=person.department,
                superior_id=person.superior,
                role_ids=[roles[person.role.key][0]],
                super_admin=person.role is SUPER_ADMINISTRATOR,
                epoch=1,
            )
            await apply_state(session, identity.USER_TOPIC.name, person.id, 1, state)
        public = identity.SigningKeyState(kid=key.kid, jwk=key.public_jwk())
        await apply_state(session, identity.SIGNING_KEY.name, new_id(), 1, public)
        await heard(session)
        # Never deaf: how long ago that was goes by the machine's clock for some and by the test's for others.
        await session.connection.execute("UPDATE directory_version SET heard_at = now() + interval '100 years'")

"""Fixtures: real servers for tests, one of each per test session, shared by the workers of pytest-xdist.

| fixture | what it gives |
|---|---|
| `postgres_server` | `SharedPostgres`: makes, copies and drops databases on the session's PostgreSQL |
| `make_database` | `make_database(template=None) -> dsn`: a fresh database, dropped after the test |
| `database_dsn` | one fresh, empty database |
| `embedded_broker` | the address of the session's embedded broker |
| `guarded_broker` | `GuardedBroker`: Apache Kafka that asks who one is, with users, rights and TLS as the container stack has it |
| `broker_under_test` | `BrokerUnderTest`: the broker that docs of testing choose, with its address and whether it is idempotent |

All databases of a session belong to one role, because a copy keeps the owner of what is in it.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from crm_events import Login
from crm_stack.apache_kafka import why_unavailable
from crm_stack.postgres import PostgresServer
from crm_testing.keeper import DATABASE_OWNER, share


class MakeDatabase(Protocol):
    """What the fixture `make_database` gives."""

    def __call__(self, template: str | None = None) -> str:
        """A fresh database's connection URL: empty, or a copy of the database `template`."""
        ...


class SharedPostgres:
    """The session's PostgreSQL server."""

    def __init__(self, told: dict[str, str], folder: Path, worker: str) -> None:
        self._server = PostgresServer(folder / "postgres", int(told["port"]), password=told["password"])
        self._owner_dsn = told["owner_dsn"]
        self._folder = folder
        self._names = (f"t_{worker}_{number}" for number in itertools.count(1))
        self.dsn = told["dsn"]
        """The superuser's connection URL."""

    def create(self, template: str | None = None) -> str:
        """A fresh database's connection URL: empty, or a copy of the database named `template`."""
        name = next(self._names)
        self._create(name, template)
        return self._dsn(name)

    def drop(self, dsn: str) -> None:
        """Remove a database, ending the sessions on it."""
        self._server.drop_database(dsn.rpartition("/")[2])

    def execute(self, sql: str, *, database: str = "postgres") -> str:
        """Run SQL as superuser; see `PostgresServer.execute`."""
        return self._server.execute(sql, database=database)

    def template(self, key: str, build: Callable[[str], None]) -> str:
        """The name of a database that `build(dsn)` filled, once per session whatever the number of workers.

        Migrate a service's database in `build`, then `create(template=...)` copies it in 50 ms. `build` must close its
        connections: a database that somebody uses cannot be copied.
        """
        name = f"template_{re.sub('[^a-z0-9_]', '_', key.lower())}"
        done = self._folder / f"{name}.done"
        with (self._folder / f"{name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists() or done.read_text() != self.dsn:  # Another server's would be of no use.
                self._server.drop_database(name)
                self._create(name, None)
                build(self._dsn(name))
                done.write_text(self.dsn)
        return name

    def _create(self, name: str, template: str | None) -> None:
        self._server.execute(
            """
            CREATE DATABASE :"name" OWNER :"owner" TEMPLATE :"template";
            REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
            """,
            # The owner's own database has the extensions and nothing else.
            variables={"name": name, "owner": DATABASE_OWNER, "template": template or DATABASE_OWNER},
        )

    def _dsn(self, name: str) -> str:
        return f"{self._owner_dsn.rpartition('/')[0]}/{name}"


@dataclass(frozen=True)
class BrokerUnderTest:
    """The broker that the event, journey and fault suites run against."""

    kind: str
    """`given` (CRM_TEST_KAFKA), `kafka-container`, `apache-kafka` or `embedded-broker`."""
    bootstrap: str

    @property
    def idempotence(self) -> bool:
        """Whether producers may be idempotent: the embedded broker cannot."""
        return self.kind != "embedded-broker"


@dataclass(frozen=True)
class GuardedBroker:
    """Apache Kafka that lets in whom it knows. bootstrap: for services. administration: for the administrator. outside: for subscribers,
    over TLS. secrets: the folder of its passwords and certificates, as deploy/docker/make-secrets makes it.
    """

    bootstrap: str
    administration: str
    outside: str
    secrets: Path

    def secret(self, name: str) -> str:
        """What stands in one of the files."""
        return (self.secrets / name).read_text(encoding="utf-8").strip()

    @property
    def administrator(self) -> Login:
        """Who may do everything, at `administration`."""
        return Login("sasl_plaintext", "administrator", self.secret("kafka-administrator-password"), "PLAIN")


def choose_broker() -> tuple[str, str]:
    """The kind of broker to test against and why; in this order: `CRM_TEST_KAFKA` ("host:port", or one of the kinds),
    a container engine that answers, Apache Kafka from Maven artifacts, the embedded broker.
    """
    given = os.environ.get("CRM_TEST_KAFKA", "")
    if given in ("kafka-container", "apache-kafka", "embedded-broker"):
        return given, "CRM_TEST_KAFKA names it"
    if given:
        return "given", f"CRM_TEST_KAFKA is {given}"
    if _container_engine_answers():
        return "kafka-container", "a container engine answers"
    missing = why_unavailable()
    if missing is None:
        return "apache-kafka", "no container engine answers; Java and Maven are there"
    return "embedded-broker", f"no container engine answers, and {missing}"


def _container_engine_answers() -> bool:
    import docker  # type: ignore[import-untyped]

    try:
        client = docker.from_env(timeout=2)
    except docker.errors.DockerException:
        return False
    try:
        return bool(client.ping())
    except docker.errors.DockerException:
        return False
    finally:
        client.close()


@pytest.fixture(scope="session")
def shared_servers_folder(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """The folder that all processes of this test session share."""
    return _shared_folder(tmp_path_factory, request.config)


def _shared_folder(factory: pytest.TempPathFactory, config: pytest.Config) -> Path:
    own = factory.getbasetemp()
    folder = (own.parent if hasattr(config, "workerinput") else own) / "servers"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def postgres_server(shared_servers_folder: Path, worker_id: str) -> Iterator[SharedPostgres]:
    """The session's PostgreSQL server."""
    with share("postgres", shared_servers_folder) as told:
        yield SharedPostgres(told, shared_servers_folder, worker_id)


@pytest.fixture
def make_database(postgres_server: SharedPostgres) -> Iterator[MakeDatabase]:
    """`make_database(template=None) -> dsn`; what it made is dropped after the test."""
    made = []

    def make(template: str | None = None) -> str:
        made.append(postgres_server.create(template))
        return made[-1]

    yield make
    for dsn in made:
        postgres_server.drop(dsn)


@pytest.fixture
def database_dsn(make_database: MakeDatabase) -> str:
    """The connection URL of a fresh, empty database, dropped after the test."""
    return make_database()


@pytest.fixture(scope="session")
def embedded_broker(shared_servers_folder: Path) -> Iterator[str]:
    """The address of the session's embedded broker. Use topics of your own; to wipe one, start an `EmbeddedBroker`."""
    with share("embedded-broker", shared_servers_folder) as told:
        yield told["bootstrap"]


@pytest.fixture(scope="session")
def guarded_broker(shared_servers_folder: Path) -> Iterator[GuardedBroker]:
    """Apache Kafka with users; use users and topics of your own. Skips where it can't be started."""
    missing = why_unavailable()
    if missing is not None:
        pytest.skip(f"Apache Kafka with users can't be started: {missing}")
    with share("guarded-kafka", shared_servers_folder) as told:
        yield GuardedBroker(told["bootstrap"], told["administration"], told["outside"], Path(told["secrets"]))


@pytest.fixture(scope="session")
def broker_under_test(shared_servers_folder: Path) -> Iterator[BrokerUnderTest]:
    """The broker that the suites about events run against; use topics of your own."""
    kind, reason = choose_broker()
    if kind == "given":
        yield _noted(shared_servers_folder, BrokerUnderTest(kind, os.environ["CRM_TEST_KAFKA"]), reason)
        return
    with share(kind, shared_servers_folder) as told:
        yield _noted(shared_servers_folder, BrokerUnderTest(kind, told["bootstrap"]), reason)


def _noted(folder: Path, broker: BrokerUnderTest, reason: str) -> BrokerUnderTest:
    (folder / "broker-under-test").write_text(f"{broker.kind} at {broker.bootstrap} ({reason})")
    return broker


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which broker the run used."""
    factory = getattr(config, "_tmp_path_factory", None)
    if factory is None or getattr(factory, "_basetemp", None) is None:
        return
    note = factory.getbasetemp() / "servers" / "broker-under-test"
    if note.exists():
        terminalreporter.write_line(f"broker under test: {note.read_text()}")

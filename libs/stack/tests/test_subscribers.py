"""`crm bus prepare` and `crm subscribers`, on Apache Kafka with the settings of the container stack."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    TopicAuthorizationFailedError,
)

from crm_contracts import registry, rights
from crm_contracts.control import ALL
from crm_events import Login, groups_of, topics
from crm_stack import cli
from crm_stack.apache_kafka import libraries
from crm_stack.bus.messages import AlterUsers, DescribeAcls, DescribeUsers
from crm_stack.bus.prepare import rights_of
from crm_stack.bus.users import Users, users_of
from crm_stack.layout import workspace
from crm_testing.servers import GuardedBroker
from crm_web.service import load_service
from crm_web.working import all_reactions

TOPIC = "crm.sales.opportunity"
OTHER = "crm.sales.product"


@pytest.fixture
def operator(guarded_broker: GuardedBroker, monkeypatch: pytest.MonkeyPatch) -> GuardedBroker:
    """The broker, with the administrator's settings in the environment, as the container has them."""
    broker = guarded_broker
    monkeypatch.setenv("CRM_KAFKA", broker.administration)
    monkeypatch.setenv("CRM_KAFKA_OUTSIDE", broker.outside)
    monkeypatch.setenv("CRM_KAFKA_PASSWORDS", str(broker.secrets))
    monkeypatch.setenv("CRM_KAFKA_SECURITY", "sasl_plaintext")
    monkeypatch.setenv("CRM_KAFKA_MECHANISM", "PLAIN")
    monkeypatch.setenv("CRM_KAFKA_USERNAME", "administrator")
    monkeypatch.setenv("CRM_KAFKA_PASSWORD_FILE", str(broker.secrets / "kafka-administrator-password"))
    return broker


@pytest.fixture
async def prepared(operator: GuardedBroker, capsys: pytest.CaptureFixture[str]) -> GuardedBroker:
    """A fact on each of the two topics."""
    assert await crm("bus", "prepare") == 0, capsys.readouterr().err
    capsys.readouterr()
    sales = Login("sasl_plaintext", "sales", operator.secret("sales-kafka-password"))
    async with AIOKafkaProducer(**sales.client(operator.bootstrap)) as producer:
        for topic in (TOPIC, OTHER):
            await producer.send_and_wait(topic, b"{}", key=b"1", partition=0)
    return operator


async def crm(*arguments: str) -> int:
    """The exit code of the command, in a thread: it has an event loop of its own."""
    return await asyncio.to_thread(cli.main, arguments)


async def asked(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """What the command tells, as data."""
    code = await crm(*arguments, "--json")
    told = capsys.readouterr()
    assert code == 0, told.err
    return json.loads(told.out)


def named() -> str:
    return f"erp-{uuid.uuid4().hex[:8]}"


def login(broker: GuardedBroker, told: dict[str, Any]) -> Login:
    return Login("sasl_ssl", told["user"], told["password"], ca=broker.secret("kafka-ca"))


@asynccontextmanager
async def reading(
    broker: GuardedBroker, who: Login, *wanted: str, group: str | None = None
) -> AsyncIterator[AIOKafkaConsumer]:
    async with AIOKafkaConsumer(
        *wanted,
        **who.client(broker.outside),
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        retry_backoff_ms=50,
    ) as consumer:
        yield consumer


async def first(broker: GuardedBroker, who: Login, topic: str, group: str | None = None) -> bytes:
    """The value of a topic's first record, and the group's position behind it kept."""
    async with asyncio.timeout(30), reading(broker, who, topic, group=group) as consumer:
        record = await consumer.getone()
        if group is not None:
            await consumer.commit({TopicPartition(topic, record.partition): record.offset + 1})
        return bytes(record.value)


@pytest.mark.requirement("PL-50")
async def test_the_job_makes_topics_users_and_rights_and_done_again_changes_nothing(
    operator: GuardedBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert await crm("bus", "prepare") == 0, capsys.readouterr().err
        async with users_of(operator.administration, operator.administrator) as users:
            assert {*ALL, "operator"} <= await users.names()
            for name in (*ALL, "operator"):
                assert await users.rights(name) == rights_of(name)
    assert "7 users have their rights; 0 topics made." in capsys.readouterr().out
    # A service finds everything as it wants it, without the right to make what is another's.
    for service in ALL:
        who = Login("sasl_plaintext", service, operator.secret(f"{service}-kafka-password"))
        wanted = [*registry.produced_by(service), *registry.consumed_by(service)]
        assert await topics.ensure(operator.bootstrap, wanted, who) == []


@pytest.mark.parametrize("service", ALL)
def test_a_services_rights_cover_every_topic_that_its_reactions_read(service: str) -> None:
    groups = groups_of(all_reactions(load_service(service)))
    read = {right.name for right in rights.of_service(service) if right.operation == "read"}
    assert {topic for group in groups for topic in group.topics} <= read
    assert all(f"crm.{group.name}".startswith(f"crm.{service}.") for group in groups)


@pytest.mark.requirement("PL-50")
async def test_a_subscriber_reads_its_topics_and_is_refused_everything_else(
    prepared: GuardedBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    name = named()
    told = await asked(capsys, "subscribers", "add", name, "--topics", TOPIC)
    assert (told["user"], told["address"], told["topics"]) == (f"subscriber.{name}", prepared.outside, [TOPIC])
    who = login(prepared, told)
    await until("the new subscriber can log in", can_log_in, prepared, who)
    assert await first(prepared, who, TOPIC, f"{name}.orders") == b"{}"
    assert await first(prepared, who, TOPIC) == b"{}"
    # What its right does not cover does not reach it, and isn't even there for it.
    for refused in (OTHER, "crm.customers.customer", "crm.platform.resync-answers", "crm.platform.dead-letters"):
        with pytest.raises(TopicAuthorizationFailedError):
            await first(prepared, who, refused)
    async with reading(prepared, who) as consumer:
        assert await consumer.topics() == {TOPIC}
    for group in ("crm.sales.directory", "another.orders", name):
        with pytest.raises(GroupAuthorizationFailedError):
            await first(prepared, who, TOPIC, group)
    async with AIOKafkaProducer(**who.client(prepared.outside)) as producer:
        with pytest.raises(TopicAuthorizationFailedError):
            await producer.send_and_wait(TOPIC, b"forged", partition=0)
    with pytest.raises(topics.TopicRefused, match="TopicAuthorizationFailedError"):
        await topics.ensure(prepared.outside, [registry.topics[OTHER]], who)


async def test_a_subscriber_that_is_added_again_keeps_its_password_and_has_the_topics_that_are_named_now(
    prepared: GuardedBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    name = named()
    told = await asked(capsys, "subscribers", "add", name, "--topics", f"{TOPIC},crm.customers.*")
    again = await asked(capsys, "subscribers", "add", name, "--topics", OTHER)
    assert "password" not in again
    found = await asked(capsys, "subscribers", "list")
    assert {"name": name, "topics": [OTHER]} in found
    who = login(prepared, told)
    await until("the new subscriber can log in", can_log_in, prepared, who)
    assert await first(prepared, who, OTHER) == b"{}"
    with pytest.raises(TopicAuthorizationFailedError):
        await first(prepared, who, TOPIC)


async def added(broker: GuardedBroker, capsys: pytest.CaptureFixture[str], name: str, topics: str) -> Login:
    """A new subscriber, who can log in by now."""
    who = login(broker, await asked(capsys, "subscribers", "add", name, "--topics", topics))
    await until("the new subscriber can log in", can_log_in, broker, who)
    return who


async def until(what: str, condition: Callable[..., Awaitable[bool]], *arguments: Any, is_so: bool = True) -> None:
    """Wait until it is so, or not so any more; the broker acts by what it was told a moment after it has answered."""
    deadline = time.monotonic() + 90
    while await condition(*arguments) != is_so:
        assert time.monotonic() < deadline, f"waited in vain: {what}"


async def can_log_in(broker: GuardedBroker, who: Login) -> bool:
    try:
        async with AIOKafkaProducer(**who.client(broker.outside)):
            return True
    except KafkaConnectionError:
        return False


@pytest.mark.requirement("PL-50")
async def test_after_a_rotation_the_old_password_is_refused_also_of_who_is_connected(
    prepared: GuardedBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    name = named()
    old = await added(prepared, capsys, name, TOPIC)
    async with reading(prepared, old, TOPIC, group=f"{name}.orders") as connected:
        assert (await connected.getone()).value == b"{}"
        # It is asked again who it is (within 3 s here), goes on, and gets what comes.
        since = time.monotonic()
        while time.monotonic() < since + 7:
            assert await sent_and_received(prepared, connected)
        new = login(prepared, await asked(capsys, "subscribers", "rotate", name))
        assert new.password != old.password
        await until("the old password is refused", can_log_in, prepared, old, is_so=False)
        await until("the new one is not", can_log_in, prepared, new)
        assert await first(prepared, new, TOPIC) == b"{}"
        await until("who is connected is out", sent_and_received, prepared, connected, is_so=False)


async def sent_and_received(broker: GuardedBroker, consumer: AIOKafkaConsumer) -> bool:
    """Whether a record that is sent now reaches the consumer within some seconds."""
    mark = uuid.uuid4().bytes
    sales = Login("sasl_plaintext", "sales", broker.secret("sales-kafka-password"))
    async with AIOKafkaProducer(**sales.client(broker.bootstrap)) as producer:
        await producer.send_and_wait(TOPIC, mark, partition=0)
    try:
        async with asyncio.timeout(8):
            while True:
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    if any(record.value == mark for record in records):
                        return True
    except (TimeoutError, KafkaError):
        return False


@pytest.mark.requirement("PL-50")
async def test_a_subscriber_that_is_removed_reads_nothing_more_from_that_moment_on(
    prepared: GuardedBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    name = named()
    who = await added(prepared, capsys, name, TOPIC)
    async with reading(prepared, who, TOPIC, group=f"{name}.orders") as connected:
        assert (await connected.getone()).value == b"{}"
        assert await crm("subscribers", "remove", name) == 0
        # A question that it had asked before may still be answered.
        await until("who is connected reads nothing", sent_and_received, prepared, connected, is_so=False)
    await until("it can't log in", can_log_in, prepared, who, is_so=False)
    async with users_of(prepared.administration, prepared.administrator) as users:
        assert await users.rights(f"subscriber.{name}") == set()
    capsys.readouterr()
    for command in ("remove", "rotate"):
        assert await crm("subscribers", command, name) == 1
        assert f"There is no subscriber {name}." in capsys.readouterr().err


async def test_a_broker_with_another_certificate_or_name_is_not_spoken_to(
    prepared: GuardedBroker, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    who = await added(prepared, capsys, named(), TOPIC)
    make_secrets(tmp_path / "secrets")
    assert not await can_log_in(prepared, replace(who, ca=(tmp_path / "secrets" / "kafka-ca").read_text()))
    # Nor does anybody show a password without TLS there.
    assert not await can_log_in(prepared, replace(who, security="sasl_plaintext"))
    assert await can_log_in(prepared, who)


def make_secrets(folder: Path, **environment: str) -> None:
    script = workspace() / "deploy" / "docker" / "make-secrets"
    environment = {"PATH": "/usr/bin:/bin:/usr/local/bin", **environment}
    subprocess.run([str(script), str(folder)], check=True, capture_output=True, timeout=60, env=environment)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["add", "crm", "--topics", TOPIC], 2, "'crm' is ours"),
        (["add", "erp.eu", "--topics", TOPIC], 2, "is no subscriber's name"),
        (["add", "erp", "--topics", "crm.platform.resync-answers"], 2, "between the services alone"),
        (["add", "erp", "--topics", "crm.sales.nothing"], 2, "there is no topic crm.sales.nothing"),
        (["rotate", "ERP"], 2, "is no subscriber's name"),
        (["list", "--kafka", "127.0.0.1:1"], 1, "127.0.0.1:1 can't be reached"),
    ],
)
async def test_what_cannot_be_is_refused_in_words(
    operator: GuardedBroker, capsys: pytest.CaptureFixture[str], arguments: Iterable[str], code: int, said: str
) -> None:
    assert await crm("subscribers", *arguments) == code
    assert said in capsys.readouterr().err


async def test_only_who_logs_in_as_the_administrator_gives_rights(
    prepared: GuardedBroker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CRM_KAFKA_PASSWORD_FILE")
    monkeypatch.setenv("CRM_KAFKA_PASSWORD", "a guess")
    assert await crm("subscribers", "add", "erp", "--topics", TOPIC) == 1
    assert "Authentication failed" in capsys.readouterr().err
    assert await crm("bus", "prepare", "--wait", "0") == 1
    assert "Authentication failed" in capsys.readouterr().err
    # A service is let in, and may not.
    monkeypatch.setenv("CRM_KAFKA", prepared.bootstrap)
    monkeypatch.setenv("CRM_KAFKA_MECHANISM", "SCRAM-SHA-512")
    monkeypatch.setenv("CRM_KAFKA_USERNAME", "sales")
    monkeypatch.setenv("CRM_KAFKA_PASSWORD", prepared.secret("sales-kafka-password"))
    assert await crm("subscribers", "add", "erp", "--topics", TOPIC) == 1
    assert "authorization failed" in capsys.readouterr().err
    for name in ("CRM_KAFKA_SECURITY", "CRM_KAFKA_MECHANISM", "CRM_KAFKA_USERNAME", "CRM_KAFKA_PASSWORD"):
        monkeypatch.delenv(name)
    assert await crm("subscribers", "list") == 2
    assert "Only an administrator may do that." in capsys.readouterr().err
    monkeypatch.delenv("CRM_KAFKA")
    assert await crm("subscribers", "list") == 2
    assert "Of which brokers?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "has no file like sales-kafka-password"),
        ({"warehouse": "x"}, "there is no service warehouse"),
        ({"sales": "x", "billing": "\n"}, "empty: billing-kafka-password"),
    ],
)
async def test_passwords_that_are_missing_or_of_nobody_are_refused(
    operator: GuardedBroker, capsys: pytest.CaptureFixture[str], tmp_path: Path, files: dict[str, str], said: str
) -> None:
    for user, password in files.items():
        (tmp_path / f"{user}-kafka-password").write_text(password)
    assert await crm("bus", "prepare", "--passwords", str(tmp_path)) == 2
    assert said in capsys.readouterr().err


async def test_the_operator_sees_every_event_as_a_user_of_its_own(
    prepared: GuardedBroker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from crm_events.watching import tail

    who = Login("sasl_plaintext", "operator", prepared.secret("operator-kafka-password"))
    facts = [topic for topic in registry.topics.values() if topic.numbered]
    watched = tail(prepared.bootstrap, facts, from_start=True, login=who)
    # Bare records are no events: nothing is shown of them, and nothing is refused.
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(3):
            await anext(watched)
    with pytest.raises(TopicAuthorizationFailedError):
        async with AIOKafkaProducer(**who.client(prepared.bootstrap)) as producer:
            await producer.send_and_wait(TOPIC, b"forged", partition=0)


def on_the_page(language: str, holding: str) -> str:
    """The one block of docs/subscribe.md in a language, with this in it."""
    page = (workspace() / "docs" / "subscribe.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    (found,) = [text for written_in, text in blocks if written_in == language and holding in text]
    return str(found)


@dataclass
class Told:
    """A subscriber `example`, as the page has it, and what it has beside its programs: whom to trust, and a won opportunity to read."""

    broker: GuardedBroker
    password: str
    folder: Path


@pytest.fixture
async def example(prepared: GuardedBroker, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> AsyncIterator[Told]:
    who = await added(prepared, capsys, "example", TOPIC)
    (tmp_path / "kafka-ca").write_text(prepared.secret("kafka-ca"))
    headers = {"ce_sequence": "1", "ce_stream": "s", "ce_type": "crm.sales.opportunity.won.v1"}
    sales = Login("sasl_plaintext", "sales", prepared.secret("sales-kafka-password"))
    async with AIOKafkaProducer(**sales.client(prepared.bootstrap)) as producer:
        sent = [(name, value.encode()) for name, value in headers.items()]
        await producer.send_and_wait(TOPIC, b'{"won": true}', key=b"deal", partition=0, headers=sent)
    yield Told(prepared, who.password, tmp_path)
    assert await crm("subscribers", "remove", "example") == 0


async def test_the_pages_arguments_for_python_let_a_subscriber_in(
    example: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(example.folder)
    monkeypatch.setenv("PASSWORD", example.password)
    made: dict[str, Any] = {}
    exec(on_the_page("python", "protected"), made)
    async with (
        asyncio.timeout(60),
        AIOKafkaConsumer(
            TOPIC,
            bootstrap_servers=example.broker.outside,
            group_id="example.x",
            auto_offset_reset="earliest",
            **made["protected"],
        ) as consumer,
    ):
        assert await consumer.getone() is not None


async def test_the_pages_settings_for_java_let_a_subscriber_in(example: Told) -> None:
    """In the page's own program, which tells of what was won."""
    beside = '        settings.put("enable.auto.commit", "false");\n'
    program = on_the_page("java", "class Subscriber").replace(beside, beside + on_the_page("java", "sasl.jaas.config"))
    (example.folder / "Subscriber.java").write_text(program, encoding="utf-8")
    jars = [str(next(libraries().glob(f"{name}-[0-9]*.jar"))) for name in ("kafka-clients", "slf4j-api")]
    process = await asyncio.create_subprocess_exec(
        "java",
        "-cp",
        os.pathsep.join(jars),
        "Subscriber.java",
        example.broker.outside,
        cwd=example.folder,
        env={**os.environ, "PASSWORD": example.password},
        stdout=asyncio.subprocess.PIPE,
        stderr=(example.folder / "errors").open("wb"),
    )
    try:
        async with asyncio.timeout(120):
            line = await process.stdout.readline() if process.stdout is not None else b""
    finally:
        process.terminate()
        await process.wait()
    assert line.decode() == 'crm.sales.opportunity.won.v1 deal {"won": true}\n', (example.folder / "errors").read_text()


def librdkafka_of_kcat() -> tuple[int, ...]:
    """The version of the library that kcat is made of."""
    told = subprocess.run(["kcat", "-V"], capture_output=True, text=True, check=True, timeout=30).stdout
    (version,) = re.findall(r"librdkafka ([0-9.]+)", told)
    return tuple(int(part) for part in version.split("."))


async def test_the_pages_line_for_kcat_shows_a_topic_to_a_subscriber(example: Told) -> None:
    if shutil.which("kcat") is None:
        pytest.skip("kcat is not there")
    if librdkafka_of_kcat() < (2, 6, 1):
        pytest.skip("Kafka 4 refuses how librdkafka before 2.6.1 logs in (docs/subscribe.md)")
    environment = {**os.environ, "PASSWORD": example.password, "BOOTSTRAP": example.broker.outside}
    process = await asyncio.create_subprocess_exec(
        "sh",
        "-c",
        on_the_page("sh", "security.protocol"),
        cwd=example.folder,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        told, _ = await process.communicate()
    assert 'deal {"won": true}' in told.decode().splitlines()


async def test_what_add_tells_is_what_the_page_says_it_tells(example: Told, capsys: pytest.CaptureFixture[str]) -> None:
    assert await crm("subscribers", "rotate", "example") == 0
    rotated = capsys.readouterr().out
    assert await crm("subscribers", "add", "example", "--topics", f"{TOPIC},crm.customers.customer") == 0
    told = capsys.readouterr().out
    assert "It keeps its password" in told
    assert example.password not in told + rotated
    lines = dict(line.split(None, 1) for line in on_the_page("", "subscriber.example\n").splitlines())
    shown = dict(line.split(None, 1) for line in (rotated + told).splitlines())
    assert lines.keys() <= shown.keys()
    assert [lines[name] for name in ("user", "groups", "protocol", "topics")] == [
        shown[name] for name in ("user", "groups", "protocol", "topics")
    ]
    assert shown["address"] == example.broker.outside


def test_what_could_log_somebody_in_is_in_no_log() -> None:
    """aiokafka writes each request into its log, at the level for finding faults."""
    request = AlterUsers(given=[("subscriber.erp", 8192, b"the salt", b"the salted password")]).prepare({51: (0, 0)})
    assert b"the salted password" in request.encode()
    assert "salted password" not in f"{request} {request!r}"


class Behind:
    """A broker's connection that shows users and rights as they were before the last change, the first time that they are asked for."""

    def __init__(self, connection: AIOKafkaConnection) -> None:
        self.connection = connection
        self.shown: dict[type, Any] = {}
        self.stale: dict[type, Any] = {}
        self.asked = 0

    async def send(self, request: Any) -> Any:
        answer = await self.connection.send(request)
        kind = type(request)
        if kind not in (DescribeUsers, DescribeAcls):
            self.stale, self.asked = dict(self.shown), 0
            return answer
        self.asked += 1
        if kind in self.stale:
            return self.stale.pop(kind)
        self.shown[kind] = answer
        return answer


async def test_a_change_is_through_when_the_broker_shows_it(operator: GuardedBroker) -> None:
    user = f"subscriber.{named()}"
    wanted = rights.of_subscriber("erp", [TOPIC])
    async with users_of(operator.administration, operator.administrator) as through:
        await through.names()
        behind = Behind(through._connection)
        users = Users(behind)  # type: ignore[arg-type]  # all that it needs of a connection
        assert user not in await users.names()
        await users.set_password(user, "a password")
        assert behind.asked == 2
        await users.set_rights(user, wanted)
        assert behind.asked == 2
        assert await through.rights(user) == wanted
        await users.set_rights(user, ())
        # Once for what was taken, once for the whole.
        assert behind.asked == 3
        await users.set_rights(user, wanted)
        await users.remove(user)
        assert behind.asked == 2
        assert user not in await through.names()


async def test_the_operators_tools_log_in_as_they_are_told(
    prepared: GuardedBroker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRM_KAFKA", prepared.bootstrap)
    monkeypatch.setenv("CRM_KAFKA_MECHANISM", "SCRAM-SHA-512")
    monkeypatch.setenv("CRM_KAFKA_USERNAME", "operator")
    monkeypatch.setenv("CRM_KAFKA_PASSWORD_FILE", str(prepared.secrets / "operator-kafka-password"))
    nobody = ["doctor", "--url", "http://127.0.0.1:1", "--kafka", prepared.bootstrap]
    await crm(*nobody)
    assert f"{prepared.bootstrap}, 1 broker" in capsys.readouterr().out
    monkeypatch.setenv("CRM_KAFKA_USERNAME", "nobody")
    await crm(*nobody)
    assert f"{prepared.bootstrap} does not answer" in capsys.readouterr().out
    assert await crm("events", "tail") == 1
    assert "look at the address and at CRM_KAFKA_SECURITY" in capsys.readouterr().err
    monkeypatch.setenv("CRM_KAFKA_SECURITY", "tls")
    assert await crm("events", "tail") == 2
    assert "CRM_KAFKA_SECURITY: " in capsys.readouterr().err

"""A bus that asks who one is: each service does all of its work as its own user, and nothing else."""

import asyncio
import datetime as dt
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    TopicAuthorizationFailedError,
)

from crm_contracts import control, rights
from crm_events import Login, Worker, groups_of, topics
from crm_events.relay.sender import Sender
from crm_events.resync import box
from crm_stack.bus.users import users_of
from crm_testing.servers import GuardedBroker, MakeDatabase

from .conftest import Bench, following, open_bench, things, until

PASSWORD = "a password of the tests"
SERVICES = ("maker", "follower", "identity")


@dataclass
class Guarded:
    """A test's services on the guarded broker."""

    bench: Bench
    broker: GuardedBroker
    #: Of this test's users: the broker and its users are everybody's.
    mark: str = field(default_factory=lambda: uuid.uuid4().hex[:8])

    def login(self, service: str) -> Login:
        return Login("sasl_plaintext", f"{service}-{self.mark}", PASSWORD)

    def client(self, service: str) -> dict[str, Any]:
        return self.login(service).client(self.broker.bootstrap)

    async def worker(self, service: str, *reactions: Any) -> Worker:
        return await self.bench.worker(service, reactions, login=self.login(service), resync_seconds=2.0)

    async def let_in(self, *services: str) -> None:
        """Make their users, as the administrator's job does, and wait until they can log in."""
        async with users_of(self.broker.administration, self.broker.administrator) as users:
            for service in services:
                user = self.login(service).username
                await users.set_rights(user, rights.of_service(service, self.bench.things.registry))
                await users.set_password(user, PASSWORD)

        for service in services:

            async def is_in(service: str = service) -> bool:
                try:
                    async with AIOKafkaProducer(**self.client(service)):
                        return True
                except KafkaConnectionError:
                    return False

            await until(is_in, f"{service} can log in")


@pytest.fixture
async def guarded(guarded_broker: GuardedBroker, make_database: MakeDatabase, template: str) -> AsyncIterator[Guarded]:
    # As the administrator's job does: nobody else may make the topics that are everybody's.
    everybodys = [
        control.HEARTBEAT,
        control.REPORTS,
        control.DEAD_LETTERS,
        control.RESYNC_REQUESTS,
        control.RESYNC_ANSWERS,
    ]
    await topics.ensure(guarded_broker.administration, everybodys, guarded_broker.administrator)
    async with open_bench(guarded_broker.bootstrap, True, lambda: make_database(template), things()) as bench:
        yield Guarded(bench, guarded_broker)


@pytest.fixture
async def let_in(guarded: Guarded) -> Guarded:
    """All services have their users."""
    await guarded.let_in(*SERVICES)
    return guarded


@pytest.mark.requirement("PL-50")
async def test_services_do_all_their_work_as_users_who_may_nothing_else(let_in: Guarded) -> None:
    guarded = let_in
    bench = guarded.bench
    reaction = following(bench.things, "follower.things", resync="journal")
    maker, follower, identity = [
        await guarded.worker("maker"),
        await guarded.worker("follower", reaction),
        await guarded.worker("identity"),
    ]
    heard: list[dt.datetime] = []

    async def note(sent_at: dt.datetime) -> None:
        heard.append(sent_at)

    follower.heard = note
    async with bench.running(maker, follower, identity):
        await bench.write(create=20)
        await bench.write(change=bench.names[:10])
        await bench.followed("follower", "follower.things")

        async def beaten() -> bool:
            return bool(heard)

        await until(beaten, "identity's heartbeat is heard")

        # Reports came through both ways: the relay keeps what it heard of the group.
        async def reported() -> bool:
            return await bench.value("maker", "SELECT count(*) FROM group_report") > 0

        await until(reported, "the relay heard the group's report")
        # Told again: the request and the answers pass, too.
        made = await box.ask(
            await bench.database("follower"), groups_of([reaction]), box.Wish(), dt.datetime.now(dt.UTC)
        )

        async def told_again() -> bool:
            found = await box.requests(await bench.database("follower"))
            return all(not one.is_open and one.problem is None for one in found if one.id in made)

        await until(told_again, "the resync comes to its end")
        assert not any(worker.warning() for worker in (maker, follower, identity))
        # Rule 8: a relay looks whether what it sent is still there.
        sent = await bench.value("maker", "SELECT id FROM stream WHERE current ORDER BY partition LIMIT 1")
        sender = Sender(maker.settings)
        try:
            assert await sender.look(bench.things.topic.name, 0, 0, uuid.UUID(str(sent)), 1) in (True, False)
        finally:
            await sender.close()


async def _send(client: dict[str, Any], topic: str) -> None:
    async with AIOKafkaProducer(**client, request_timeout_ms=5_000) as producer:
        await producer.send_and_wait(topic, b"x", partition=0)


async def _read(client: dict[str, Any], topic: str, group: str | None = None) -> None:
    """Read one record, and keep the position where there is a group."""
    async with AIOKafkaConsumer(
        topic, **client, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False
    ) as consumer:
        async with asyncio.timeout(20):
            record = await consumer.getone()
        if group is not None:
            await consumer.commit({TopicPartition(topic, record.partition): record.offset + 1})


@pytest.mark.requirement("PL-50")
async def test_a_service_is_refused_what_is_not_its_own(let_in: Guarded) -> None:
    guarded = let_in
    bench = guarded.bench
    name = bench.things.topic.name
    await topics.ensure(guarded.broker.administration, [bench.things.topic], guarded.broker.administrator)
    # What each may works, so that a refusal below is one for lack of the right.
    await _send(guarded.client("maker"), name)
    await _read(guarded.client("follower"), name, "crm.follower.things")
    await _send(guarded.client("identity"), control.HEARTBEAT.name)
    await _send(guarded.client("follower"), control.DEAD_LETTERS.name)
    for user, topic in [("follower", name), ("maker", control.HEARTBEAT.name)]:
        with pytest.raises(TopicAuthorizationFailedError):
            await _send(guarded.client(user), topic)
    for user, topic in [("identity", name), ("maker", control.DEAD_LETTERS.name)]:
        with pytest.raises(TopicAuthorizationFailedError):
            await _read(guarded.client(user), topic)
    with pytest.raises(GroupAuthorizationFailedError):
        await _read(guarded.client("follower"), name, "crm.maker.things")
    # Nor does it make topics that nobody declared for it.
    other = things(consumers=("maker",)).topic
    with pytest.raises(topics.TopicRefused, match="TopicAuthorizationFailedError"):
        await topics.ensure(guarded.broker.bootstrap, [other], guarded.login("maker"))


@pytest.mark.parametrize(
    "otherwise",
    [
        {"password": "another password"},
        {"username": "nobody"},
        {"security": "plaintext"},
        {"mechanism": "SCRAM-SHA-256"},
    ],
    ids=["a wrong password", "an unknown user", "nobody at all", "another mechanism"],
)
async def test_who_is_not_known_does_not_come_in(let_in: Guarded, otherwise: dict[str, Any]) -> None:
    who = replace(let_in.login("maker"), **otherwise)
    async with asyncio.timeout(60):
        with pytest.raises(KafkaConnectionError):
            await _send(who.client(let_in.broker.bootstrap), let_in.bench.things.topic.name)


@pytest.mark.requirement("PL-46")
async def test_services_that_come_before_their_users_wait_and_then_do_what_they_missed(guarded: Guarded) -> None:
    """As in a container stack, where nobody waits for the job; and after a broker lost its disk, users included."""
    bench = guarded.bench
    maker = await guarded.worker("maker")
    follower = await guarded.worker("follower", following(bench.things, "follower.things"))
    async with bench.running(maker, follower):
        await bench.write(create=5)

        async def refused() -> bool:
            return maker.relay.problem is not None

        await until(refused, "the relay can't log in")
        # Starting them anew would not help.
        assert (maker.alive(), follower.alive()) == (None, None)
        await guarded.let_in(*SERVICES)
        await bench.followed("follower", "follower.things")


async def test_rights_that_are_no_longer_wanted_are_taken(let_in: Guarded) -> None:
    broker, user = let_in.broker, let_in.login("follower").username
    async with users_of(broker.administration, broker.administrator) as users:
        before = await users.rights(user)
        await users.set_rights(user, {*before, rights.Right("topic", "crm.sales.opportunity", "write")})
        await users.set_rights(user, before)
        assert await users.rights(user) == before == rights.of_service("follower", let_in.bench.things.registry)

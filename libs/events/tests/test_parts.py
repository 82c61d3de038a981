"""The smaller parts: tables, months, schedules, topics, wake-ups, reactions, traces."""

import asyncio
import dataclasses
import datetime as dt
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.partitioner import DefaultPartitioner
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy.dialects import postgresql

from crm_contracts import Envelope, Topic
from crm_database import Database, WriteSession
from crm_events import (
    GroupsDisagree,
    Reaction,
    Schedule,
    every,
    groups_of,
    notify_others,
    tables,
    topics,
    tracing,
    wake,
)
from crm_events.archive import tables as archive_tables
from crm_events.figures import figures
from crm_events.months import make_months, months_from
from crm_events.relay.ledger import Ledger
from crm_events.schedule import Scheduler
from crm_events.watching import lag
from crm_kernel.clock import FixedClock

from .conftest import Bench, context, following, until

NOW = dt.datetime(2026, 11, 23, 12, 0, tzinfo=dt.UTC)
_PG = postgresql.dialect()  # type: ignore[no-untyped-call]
DECLARED = [t for module in (tables, archive_tables) for t in vars(module).values() if isinstance(t, sa.Table)]


@pytest.mark.parametrize("table", DECLARED, ids=[t.name for t in DECLARED])
async def test_the_schema_makes_the_tables_that_the_code_declares(bench: Bench, table: sa.Table) -> None:
    await bench.database("maker")
    connection = await asyncpg.connect(bench.dsns["maker"])
    rows = await connection.fetch(
        """SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute
           WHERE attrelid = $1::regclass AND attnum > 0 ORDER BY attnum""",
        table.name,
    )
    indexes = await connection.fetch("SELECT indexname FROM pg_indexes WHERE tablename = $1", table.name)
    await connection.close()
    names = {"TIMESTAMP WITH TIME ZONE": "timestamp with time zone"}
    declared = {c.name: (names.get(k := c.type.compile(_PG), k.lower()), not c.nullable) for c in table.columns}
    assert {row[0]: (row[1], row[2]) for row in rows} == declared
    assert {row[0] for row in indexes} == {f"pk_{table.name}", *(str(index.name) for index in table.indexes)}


def test_months_follow_each_other_over_the_turn_of_the_year() -> None:
    assert months_from(dt.date(2026, 11, 23), 3) == [dt.date(2026, 11, 1), dt.date(2026, 12, 1), dt.date(2027, 1, 1)]


async def test_events_of_a_month_lie_in_its_partition_and_none_is_refused(bench: Bench) -> None:
    database = await bench.database("maker")
    now = dt.datetime.now(dt.UTC)
    made = await make_months(database, now)
    assert len(made) == 6
    assert await make_months(database, now) == []
    (event,) = await bench.write(create=1)
    month = f"journal_{now:%Y_%m}"
    assert await bench.value("maker", f"SELECT count(*) FROM {month} WHERE event_id = $1", event) == 1


async def test_a_month_whose_rows_already_lie_in_the_default_partition_is_left_there(bench: Bench) -> None:
    database = await bench.database("maker")
    await bench.write(create=1)
    made = await make_months(database, dt.datetime.now(dt.UTC))
    assert f"journal_{dt.datetime.now(dt.UTC):%Y_%m}" not in made
    assert await bench.value("maker", "SELECT count(*) FROM journal") == 1


@pytest.mark.requirement("PL-41")
async def test_a_schedule_runs_once_per_instant_however_many_runners_and_makes_up_what_was_missed(bench: Bench) -> None:
    database = await bench.database("maker")
    clock = FixedClock(NOW)
    ran: list[dt.datetime] = []

    async def run(_: Database, due: dt.datetime) -> None:
        ran.append(due)

    schedule = Schedule("hourly", every(dt.timedelta(hours=1)), run)
    runners = [Scheduler(database, [schedule], clock) for _ in range(5)]
    await asyncio.gather(*(runner.run_if_due(schedule) for runner in runners))
    assert ran == []  # The first hour is not over.
    clock.advance(dt.timedelta(hours=5, minutes=10))
    await asyncio.gather(*(runner.run_if_due(schedule) for runner in runners))
    assert ran == [NOW + dt.timedelta(hours=1)]
    clock.advance(dt.timedelta(hours=1))
    await asyncio.gather(*(runner.run_if_due(schedule) for runner in runners))
    assert ran[1:] == [NOW + dt.timedelta(hours=6)]


async def test_a_schedule_runs_once_per_instant_although_the_clocks_of_its_runners_jump(bench: Bench) -> None:
    """One runner's clock goes an hour ahead and comes back; another's is right all the time: each instant has one run."""
    database, right, wrong = await bench.database("maker"), FixedClock(NOW), FixedClock(NOW)
    ran: list[dt.datetime] = []

    async def run(_: Database, due: dt.datetime) -> None:
        ran.append(due)

    schedule = Schedule("hourly", every(dt.timedelta(hours=1)), run)
    runners = [Scheduler(database, [schedule], clock) for clock in (right, wrong)]

    async def look() -> None:
        await asyncio.gather(*(runner.run_if_due(schedule) for runner in runners))

    hour = dt.timedelta(hours=1)
    await look()
    wrong.advance(hour)
    await look()
    wrong.advance(-hour)
    for _ in range(4):
        await look()
        for clock in (right, wrong):
            clock.advance(hour / 2)
    await look()
    assert ran == [NOW + hour, NOW + 2 * hour]


async def test_the_scheduler_runs_what_is_due_once_and_lets_it_finish(bench: Bench) -> None:
    database, clock = await bench.database("maker"), FixedClock(dt.datetime(2026, 11, 23, 9, 30, tzinfo=dt.UTC))
    begun: dict[str, int] = {"slow": 0, "quick": 0, "idle": 0}
    ended: list[str] = []
    go_on = asyncio.Event()

    async def slow(_: Database, __: dt.datetime) -> None:
        begun["slow"] += 1
        await go_on.wait()
        ended.append("slow")

    async def quick(_: Database, __: dt.datetime) -> None:
        begun["quick"] += 1

    async def idle(_: Database, __: dt.datetime) -> None:
        begun["idle"] += 1

    hourly = every(dt.timedelta(hours=1))
    schedules = [
        Schedule("slow", hourly, slow),
        Schedule("quick", hourly, quick),
        Schedule("idle", every(dt.timedelta(days=1000)), idle),
    ]
    scheduler, stop = Scheduler(database, schedules, clock), asyncio.Event()
    assert await scheduler.due() == schedules, "none was ever heard of"
    running = asyncio.create_task(scheduler.run(stop))

    async def known() -> bool:
        return await scheduler.due() == []

    await until(known, "each has its first instant")
    clock.advance(dt.timedelta(hours=2))

    async def ran() -> bool:
        return begun["quick"] == 1 and begun["slow"] == 1

    await until(ran, "both are run, though one lasts")
    clock.advance(dt.timedelta(hours=2))

    async def again() -> bool:
        return begun["quick"] == 2

    await until(again, "the other goes on meanwhile")
    stop.set()
    await asyncio.sleep(0)
    assert not running.done()
    go_on.set()
    await running
    assert (begun, ended) == ({"slow": 1, "quick": 2, "idle": 0}, ["slow"])


async def test_a_schedule_that_fails_is_still_due(bench: Bench) -> None:
    database = await bench.database("maker")
    clock = FixedClock(NOW)
    failures: list[bool] = [True]

    async def run(_: Database, due: dt.datetime) -> None:
        if failures.pop() if failures else False:
            raise ValueError("no")

    schedule = Schedule("daily", every(dt.timedelta(days=1)), run)
    scheduler = Scheduler(database, [schedule], clock)
    assert await scheduler.run_if_due(schedule) is False
    clock.advance(dt.timedelta(days=1))
    with pytest.raises(ValueError, match="no"):
        await scheduler.run_if_due(schedule)
    assert await scheduler.run_if_due(schedule) is True
    assert await scheduler.run_if_due(schedule) is False


@asynccontextmanager
async def _admin(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def test_missing_topics_are_made_with_partitions_and_retention_and_others_left_alone(bench: Bench) -> None:
    topic = Topic(f"crm.maker.made-{uuid.uuid4().hex[:8]}", "maker", (), "", partitions=5, retention_days=2)
    assert await topics.ensure(bench.bootstrap, [topic]) == [topic.name]
    assert await topics.ensure(bench.bootstrap, [topic]) == []
    async with _admin(bench.bootstrap) as admin:
        (found,) = await admin.describe_topics([topic.name])
    assert sorted(p["partition"] for p in found["partitions"]) == [0, 1, 2, 3, 4]


async def test_a_topic_that_the_broker_made_by_itself_gets_what_it_lacks(bench: Bench) -> None:
    """Apache Kafka makes a topic with one partition as soon as somebody asks for it; after a wipe that comes first."""
    if not bench.idempotence:
        pytest.skip("the embedded broker neither makes topics by itself nor adds partitions")
    topic = Topic(f"crm.maker.made-{uuid.uuid4().hex[:8]}", "maker", (), "", partitions=3, retention_days=2)
    async with _admin(bench.bootstrap) as admin:
        await admin.create_topics([NewTopic(topic.name, 1, 1)])

        async def grown() -> bool:
            # As the worker does, again and again: what was made just now may not be known everywhere in the broker yet.
            with suppress(topics.TopicRefused):
                await topics.ensure(bench.bootstrap, [topic])
            (found,) = await admin.describe_topics([topic.name])
            return len(found["partitions"]) == 3

        async def settled() -> bool:
            (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic.name)])
            settings = {entry[0]: entry[1] for entry in answer.resources[0][4]}
            return bool(settings["retention.ms"] == str(2 * 24 * 3600 * 1000))

        await until(grown, "three partitions")
        await until(settled, "the retention that the registry says")
    assert await topics.ensure(bench.bootstrap, [topic]) == []


def test_a_key_goes_where_every_other_kafka_client_would_put_it() -> None:
    partitioner = DefaultPartitioner()
    for n in range(200):
        key = str(uuid.uuid5(uuid.NAMESPACE_OID, str(n))).encode()
        assert topics.partition_of(key, 7) == partitioner(key, list(range(7)), list(range(7)))


async def test_a_commit_in_another_process_wakes_the_relay_by_a_debounced_notify(bench: Bench) -> None:
    database = await bench.database("maker")
    heard: list[float] = []
    listener = await asyncpg.connect(bench.dsns["maker"])
    await listener.add_listener(wake.CHANNEL, lambda *_: heard.append(asyncio.get_running_loop().time()))
    notifier = asyncio.create_task(notify_others(database))
    try:
        await bench.write(create=1)

        async def told() -> bool:
            return bool(heard)

        await until(told, "a notification after a commit")
        started = asyncio.get_running_loop().time()
        for _ in range(30):
            await bench.write(create=1)
        took = asyncio.get_running_loop().time() - started
        assert len(heard) <= 2 + took / wake.NOTIFY_SECONDS
    finally:
        notifier.cancel()
        await listener.close()


async def test_only_one_connection_holds_the_relays_lock(bench: Bench) -> None:
    await bench.database("maker")
    first = await Ledger.connect(bench.dsns["maker"], "maker")
    second = await Ledger.connect(bench.dsns["maker"], "maker")
    assert await first.take()
    assert not await second.take()
    await first.close()

    async def taken() -> bool:
        return await second.take()

    await until(taken, "the lock is free with its connection")
    await second.close()


def test_reactions_of_one_group_may_not_want_the_same_event() -> None:
    async def handle(session: WriteSession, envelope: Envelope) -> None:
        return

    one = Reaction("a.b", ("t",), handle, types=frozenset({"t.x.v1"}))
    other = dataclasses.replace(one, types=frozenset({"t.y.v1"}))
    (group,) = groups_of([one, other])
    assert group.reaction("t", "t.y.v1") is other
    assert group.reaction("t", "t.z.v1") is None
    with pytest.raises(GroupsDisagree):
        groups_of([one, dataclasses.replace(one, types=None)])
    with pytest.raises(GroupsDisagree):
        groups_of([one, dataclasses.replace(other, projection=False)])
    with pytest.raises(GroupsDisagree):
        Reaction("a.b", ("t",))


async def test_backlog_and_lag_say_how_far_everybody_is(bench: Bench) -> None:
    follower = await bench.worker("follower", [following(bench.things, "follower.things")])
    await bench.write(create=4)
    database = await bench.database("maker")
    async with database.read() as session:
        assert (await figures(session)).backlog == 4
    async with bench.running(await bench.worker("maker"), follower):
        await bench.followed("follower", "follower.things")

        async def drained() -> bool:
            async with database.read() as session:
                return (await figures(session)).backlog == 0

        await until(drained, "nothing waits")
        partitions = follower.progress()["partitions"]
        assert sorted(row["partition"] for row in partitions) == [0, 1, 2]
    rows = await lag({name: await bench.database(name) for name in ("maker", "follower")})
    assert [(r.group, r.partition, r.behind) for r in rows] == [("follower.things", n, 0) for n in range(3)]
    assert sum(r.head for r in rows) == 4


@pytest.mark.requirement("PL-45")
async def test_a_handlers_span_is_a_child_of_the_write_and_covers_the_handler(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exported))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    contexts: list[dict[str, Any]] = []

    async def handle(session: WriteSession, envelope: Envelope) -> None:
        inside = trace.get_current_span().get_span_context()
        contexts.append({"trace": inside.trace_id, "recorded with": session.context.traceparent})

    reaction = Reaction("follower.things", (bench.things.topic.name,), handle)
    database = await bench.database("maker")
    async with bench.running(await bench.worker("maker"), await bench.worker("follower", [reaction])):
        async with database.write(dataclasses.replace(context(), traceparent=parent)) as session:
            await bench.record_in(session, create=1)

        async def handled() -> bool:
            return bool(contexts)

        await until(handled, "the event is handled")
    assert contexts == [{"trace": 0x0AF7651916CD43DD8448EB211C80319C, "recorded with": parent}]
    (span,) = exported.get_finished_spans()
    assert span.parent is not None
    assert span.parent.span_id == 0xB7AD6B7169203331
    assert span.name == f"process {bench.things.topic.name}"


@pytest.mark.parametrize("value", [None, "", "00-xyz-b7-01", "00-" + "0" * 32 + "-b7ad6b7169203331-01", "rubbish"])
def test_a_traceparent_that_names_no_span_is_ignored(value: str | None) -> None:
    assert tracing.context_of(value) is None

"""A producer's database is set back to an instant: what it had told since is taken back, and everybody has one state again."""

import datetime as dt
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from crm_contracts import Envelope, Event, Registry, Topic
from crm_contracts.events import Part
from crm_database import Database, PoolSettings, WriteSession
from crm_events import Held, Reaction, Step, record
from crm_events.archive import ArchiveUnreachable, keep_in
from crm_events.months import make_months
from crm_events.reaction import ConsumerGroup, groups_of
from crm_events.reconcile import UNKNOWN_HERE, Reconciliation, reconcile
from crm_events.restored import listening, rules, store, taking_back
from crm_events.restored.rules import Told
from crm_events.restored.taking_back import StillAtWork, TakenBack, take_back
from crm_kernel.ids import new_id
from crm_testing.archived import at_the_archive
from crm_testing.servers import BrokerUnderTest, MakeDatabase

from .conftest import Bench, Things, context, metadata, open_bench, thing, until

GROUP, LOG = "follower.things", "follower.log"
copy = sa.Table(
    "named_copy", metadata, sa.Column("id", sa.Uuid, primary_key=True), sa.Column("version", sa.Integer, nullable=False)
)
log = sa.Table("thing_log", metadata, sa.Column("id", sa.Uuid, primary_key=True))
_FOLLOWER = (
    "CREATE TABLE named_copy (id uuid PRIMARY KEY, version int NOT NULL, name text NOT NULL, deleted bool NOT NULL)",
    """CREATE TABLE thing_log (id uuid PRIMARY KEY, topic text NOT NULL, type text NOT NULL, subject uuid NOT NULL, version int NOT NULL,
       time timestamptz NOT NULL, occurred_at timestamptz NOT NULL, write_id uuid, actor_id uuid, data jsonb NOT NULL)""",
)
_KEEP = """
INSERT INTO named_copy AS c VALUES ($1, $2, $3, $4) ON CONFLICT (id)
DO UPDATE SET version = excluded.version, name = excluded.name, deleted = excluded.deleted WHERE c.version < excluded.version
"""
_LOG = """
INSERT INTO thing_log SELECT $1, $2, $3, $4, (d->>'version')::int, $5, (d->>'occurred_at')::timestamptz, $6, NULL, d
FROM (SELECT $7::text::jsonb AS d) given ON CONFLICT (id) DO NOTHING
"""


class NamedState(Part):
    name: str
    deleted: bool = False


def named_things() -> tuple[Things, Mapping[str, type[Event[Any]]]]:
    """A topic of things that are created, changed, deleted and restored."""
    known = Registry()
    name = f"crm.maker.thing-{uuid.uuid4().hex[:8]}"
    topic = known.topic(Topic(name, "maker", ("follower", "late"), "Things."))
    made: dict[str, type[Event[Any]]] = {}
    for fact in ("created", "changed", "deleted", "restored"):
        model = type(f"Named{fact.capitalize()}", (Event[NamedState],), {"__module__": __name__})
        made[fact] = known.event(f"{name}.{fact}.v1", topic, example={})(model)
    return Things(known, topic, made["created"], made["changed"]), made


def reactions(things: Things, service: str = "follower") -> list[Reaction]:
    """A replica of things, and a log of all events."""

    async def keep(session: WriteSession, envelopes: Sequence[Envelope]) -> None:
        for envelope in envelopes:
            told, subject = envelope.payload, envelope.subject
            state = told["state"]
            await session.connection.execute(_KEEP, subject, told["version"], state["name"], state["deleted"])

    async def note(session: WriteSession, envelopes: Sequence[Envelope]) -> None:
        for e in envelopes:
            await session.connection.execute(
                _LOG, e.id, e.topic, e.type, e.subject, e.time, e.write_id, e.data.decode()
            )

    topics = (things.topic.name,)
    held = Held({things.topic.name: copy})
    made = [Reaction(f"{service}.things", topics, handle_batch=keep, resync="state", held=held)]
    if service == "follower":
        made.append(Reaction(LOG, topics, handle_batch=note, resync="journal", held=Held({}, log=log)))
    return made


@dataclass
class Stand:
    """A maker, a follower with a log, and one who comes late."""

    bench: Bench
    facts: Mapping[str, type[Event[Any]]]
    copied: Callable[[str], str]

    @property
    def groups(self) -> dict[str, list[ConsumerGroup]]:
        return {"maker": [], "follower": groups_of(reactions(self.bench.things), self.bench.things.registry)}

    async def say(self, subject: uuid.UUID, fact: str, name: str) -> None:
        """The maker does something to a thing."""
        async with (await self.bench.database("maker")).write(context()) as session:
            new = fact == "created"
            if not new:
                version = await session.connection.fetchval(
                    "SELECT version FROM thing WHERE id = $1 FOR UPDATE", subject
                )
                session.hold(thing, subject, version)
            state = {"name": name, "deleted": fact == "deleted"}
            await record(session, [Step(thing, subject, self.facts[fact], state, values={"name": name}, new=new)])

    async def instant(self) -> str:
        """The maker's database as it is now; nobody is connected to it meanwhile."""
        await self.bench.databases.pop("maker").close()
        found = self.copied(self.bench.dsns["maker"].rpartition("/")[2])
        await self._open_maker(self.bench.dsns["maker"])
        return found

    async def set_back(self, dsn: str) -> None:
        """The maker's database is that of an earlier instant, from now on."""
        await self.bench.databases.pop("maker").close()
        await self._open_maker(dsn)

    async def _open_maker(self, dsn: str) -> None:
        self.bench.dsns["maker"] = dsn
        opened = await Database.open(dsn, name="operator-maker", settings=PoolSettings(max_size=5))
        self.bench.databases["maker"] = opened
        self.bench.stack.push_async_callback(opened.close)

    async def copies(self, service: str = "follower") -> dict[uuid.UUID, tuple[int, str, bool]]:
        async with (await self.bench.database(service)).read() as session:
            rows = await session.connection.fetch("SELECT id, version, name, deleted FROM named_copy")
        return {uuid.UUID(int=row["id"].int): (row["version"], row["name"], row["deleted"]) for row in rows}

    async def hears(self, expected: Mapping[uuid.UUID, tuple[int, str, bool]], service: str = "follower") -> None:
        async def heard() -> bool:
            return await self.copies(service) == expected

        try:
            await until(heard, f"{service} has {expected}", 40)
        except AssertionError as late:
            raise AssertionError(f"{late}; it has {await self.copies(service)}") from late

    @asynccontextmanager
    async def followed(self, *, maker: bool = True) -> AsyncIterator[None]:
        workers = [await self.bench.worker("follower", reactions(self.bench.things))]
        if maker:
            workers.append(await self.bench.worker("maker"))
        async with self.bench.running(*workers):
            yield

    async def taken_back(self) -> TakenBack:
        databases = {service: await self.bench.database(service) for service in ("maker", "follower")}
        return await take_back("maker", databases, self.groups, self.bench.things.registry, dt.datetime.now(dt.UTC))

    async def reconciled(self) -> Reconciliation:
        databases = {service: await self.bench.database(service) for service in ("maker", "follower")}
        return await reconcile(databases, self.groups)

    async def journal(self, subject: uuid.UUID) -> list[tuple[int, str, str]]:
        async with (await self.bench.database("maker")).read() as session:
            rows = await session.connection.fetch(
                "SELECT version, type, data#>>'{state,name}' AS name FROM journal WHERE subject = $1 ORDER BY version",
                subject,
            )
        return [(row["version"], row["type"].split(".")[-2], row["name"]) for row in rows]


@pytest.fixture
async def stand(broker_under_test: BrokerUnderTest, make_database: MakeDatabase, template: str) -> AsyncIterator[Stand]:
    made, facts = named_things()
    server = broker_under_test
    async with open_bench(server.bootstrap, server.idempotence, lambda: make_database(template), made) as bench:
        for service in ("follower", "late"):
            async with (await bench.database(service)).write(context()) as session:
                for statement in _FOLLOWER:
                    await session.connection.execute(statement)
        async with (await bench.database("maker")).write(context()) as session:
            # Services name the table after the record, as the topic does.
            await session.connection.execute(f'CREATE VIEW "{store.table_of(made.topic.name)}" AS SELECT * FROM thing')
        yield Stand(bench, facts, make_database)


@dataclass(frozen=True)
class Past:
    """What was before the instant, and after it: which things were what."""

    changed: uuid.UUID
    untouched: uuid.UUID
    deleted: uuid.UUID
    undeleted: uuid.UUID
    created: uuid.UUID
    unsent: uuid.UUID


async def history(stand: Stand) -> Past:
    """Things of every kind; afterwards the maker's database is that of the instant, and nothing runs."""
    past = Past(*(new_id() for _ in range(6)))
    before = [past.changed, past.untouched, past.deleted, past.undeleted, past.unsent]
    async with stand.followed():
        for one in before:
            await stand.say(one, "created", "then")
        await stand.say(past.undeleted, "deleted", "then")
        await stand.hears(dict.fromkeys(before, (1, "then", False)) | {past.undeleted: (2, "then", True)})
    instant = await stand.instant()
    async with stand.followed():
        await stand.say(past.changed, "changed", "since")
        await stand.say(past.changed, "changed", "since, again")
        await stand.say(past.deleted, "deleted", "then")
        await stand.say(past.undeleted, "restored", "since")
        await stand.say(past.created, "created", "since")
        await stand.hears(
            {
                past.changed: (3, "since, again", False),
                past.untouched: (1, "then", False),
                past.deleted: (2, "then", True),
                past.undeleted: (3, "since", False),
                past.created: (1, "since", False),
                past.unsent: (1, "then", False),
            }
        )
    await stand.say(past.unsent, "changed", "since, and nobody heard")
    await stand.set_back(instant)
    return past


ONE_STATE = {
    "changed": (4, "then", False),
    "untouched": (1, "then", False),
    "deleted": (3, "then", False),
    "undeleted": (4, "then", True),
    "created": (2, "since", True),
    "unsent": (1, "then", False),
}


def one_state(past: Past) -> dict[uuid.UUID, tuple[int, str, bool]]:
    return {getattr(past, name): told for name, told in ONE_STATE.items()}


@pytest.mark.requirement("PL-48")
async def test_what_a_restored_service_had_told_is_taken_back_and_its_state_is_told_above_it(stand: Stand) -> None:
    past = await history(stand)
    lost = await stand.reconciled()
    unknown = [fault for fault in lost.faults if fault.reason == UNKNOWN_HERE]
    assert {fault.group for fault in unknown} == {GROUP, LOG}
    assert len(unknown) == 2 * 5, "five facts, in two inboxes"

    done = await stand.taken_back()
    assert (done.facts, done.numberings, done.standing, done.unknown) == (5, 3, [], [])
    assert {record for _, record in done.set_back} == {past.changed, past.deleted, past.undeleted}
    assert [record for _, record in done.withdrawn] == [past.created]
    assert await stand.journal(past.changed) == [
        (1, "created", "then"),
        (2, "changed", "since"),
        (3, "changed", "since, again"),
        (4, "changed", "then"),
    ]
    assert [fact for _, fact, _ in await stand.journal(past.deleted)] == ["created", "deleted", "restored"]
    assert [fact for _, fact, _ in await stand.journal(past.undeleted)][-2:] == ["restored", "deleted"]
    assert [fact for _, fact, _ in await stand.journal(past.created)] == ["created", "deleted"]

    late = await stand.bench.worker("late", reactions(stand.bench.things, "late"))
    async with stand.followed(), stand.bench.running(late):
        await stand.hears(one_state(past))
        # Also who had heard none of it: the lost facts are sent again, too.
        await stand.hears(one_state(past), "late")
        # What happens from now on is news to everybody.
        for one in (past.changed, past.deleted, past.unsent):
            await stand.say(one, "changed", "now")
        now = {past.changed: (5, "now", False), past.deleted: (4, "now", False), past.unsent: (2, "now", False)}
        await stand.hears(one_state(past) | now)
        found = await stand.reconciled()
        assert (found.findings, found.holdings) == ([], [])
    assert await stand.bench.value("maker", "SELECT count(*) FROM stream WHERE NOT current") == 3
    assert await stand.bench.value("follower", "SELECT count(*) FROM resync_gap") == 0
    what = await stand.bench.value(
        "maker", "SELECT data->'changes' FROM journal WHERE subject = $1 AND version = 4", past.changed
    )
    assert what == {"name": {"old": "since, again", "new": "then"}}


async def test_what_records_were_is_read_from_the_archive_where_it_lies_there(stand: Stand, tmp_path: Path) -> None:
    now = dt.datetime.now(dt.UTC)
    assert await make_months(await stand.bench.database("maker"), now)
    past = await history(stand)
    database = await stand.bench.database("maker")
    async with database.write(context()) as session:
        # What the groups had said by the instant is behind what they have applied.
        await session.connection.execute("DELETE FROM group_report")
    async with at_the_archive(stand.bench.dsns["maker"], "maker", tmp_path) as (archiver, storage):
        await archiver.archive(now.date().replace(day=1), now + dt.timedelta(days=70))
    with pytest.raises(ArchiveUnreachable):
        await stand.taken_back()
    keep_in(database, storage)
    done = await stand.taken_back()
    assert {record for _, record in done.set_back} == {past.changed, past.deleted, past.undeleted}
    async with stand.followed():
        await stand.hears(one_state(past))


async def test_without_it_others_keep_what_is_undone_and_take_news_for_old(stand: Stand) -> None:
    """Why it is needed: versions that others know already are given again."""
    past = await history(stand)
    async with (await stand.bench.database("maker")).write(context()) as session:
        assert await store.set_apart(session) == 3
    async with stand.followed():
        await stand.say(past.changed, "changed", "now")
        # Heard after it, on its own partition or another: all of them are at the end then.
        await stand.say(past.untouched, "changed", "now")

        async def told() -> bool:
            return not (await stand.reconciled()).findings[10:]

        await until(told, "what is new was told", 40)
    assert (await stand.copies())[past.changed] == (3, "since, again", False)


async def test_asked_again_it_does_nothing_and_interrupted_it_goes_on(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    past = await history(stand)
    monkeypatch.setattr(taking_back, "RECORDS_AT_ONCE", 1)
    monkeypatch.setattr(store, "CHUNK", 2)
    real, calls = store.append, []

    async def dies(session: WriteSession, topic: str, rows: Sequence[store.Row]) -> None:
        await real(session, topic, rows)
        calls.append(len(rows))
        if len(calls) == 3:
            raise ConnectionResetError("killed")

    monkeypatch.setattr(store, "append", dies)
    with pytest.raises(ConnectionResetError):
        await stand.taken_back()
    assert await stand.bench.value("maker", "SELECT count(*) FROM outbox") < 5 + 4
    second = await stand.taken_back()
    assert len(second.set_back) + len(second.withdrawn) == 2, "two of four records were done"
    third = await stand.taken_back()
    assert (third.facts, third.set_back, third.withdrawn) == (0, [], [])
    async with stand.followed():
        await stand.hears(one_state(past))
    found = await stand.reconciled()
    assert (found.findings, found.holdings) == ([], [])


async def test_what_only_a_replica_knows_is_overtaken(stand: Stand) -> None:
    """The log never heard it: the fact is lost, and the restored state counts all the same."""
    past = await history(stand)
    async with (await stand.bench.database("follower")).write(context()) as session:
        await session.connection.execute("DELETE FROM thing_log WHERE subject = $1 OR version > 2", past.created)
    done = await stand.taken_back()
    assert {record for _, record in done.set_back} == {past.changed, past.deleted, past.undeleted}
    assert [record for _, record in done.unknown] == [past.created]
    async with stand.followed():
        # Not version 3, which follows on what the log knew: the replica has another content under it.
        await stand.hears(one_state(past) | {past.created: (1, "since", False)})
    gaps = {(fault.subject, fault.reason) for fault in (await stand.reconciled()).holdings if not fault.group}
    assert gaps == {(past.changed, "journal gap"), (past.undeleted, "journal gap")}


async def test_a_service_that_works_is_left_alone(stand: Stand) -> None:
    await history(stand)
    at_work = await Database.open(stand.bench.dsns["maker"], name="maker-app")
    try:
        with pytest.raises(StillAtWork, match="maker-app"):
            await stand.taken_back()
    finally:
        await at_work.close()
    assert await stand.bench.value("maker", "SELECT count(*) FROM stream WHERE server = 'restored'") == 0


async def test_a_group_says_when_it_has_heard_all_that_lies_on_the_bus(stand: Stand) -> None:
    async with stand.followed():
        await stand.say(new_id(), "created", "then")
        assert await listening.unheard(stand.bench.bootstrap, LOG, [stand.bench.things.topic], 20) == []
        everything = [(stand.bench.things.topic.name, n) for n in range(3)]
        unheard = await listening.unheard(stand.bench.bootstrap, "follower.nobody", [stand.bench.things.topic], 1)
        assert unheard == everything


# -- rules ------------------------------------------------------------------------------------------------------------------------

NOW = dt.datetime(2026, 11, 30, 12, 0, tzinfo=dt.UTC)


def told(fact: str, name: str, *, deleted: bool = False) -> Told:
    return Told(f"crm.maker.thing.{fact}.v1", {"state": {"name": name, "deleted": deleted}})


@pytest.mark.parametrize(
    ("own", "lost", "fact"),
    [
        (told("created", "a"), told("changed", "b"), "changed"),
        (told("created", "a"), told("deleted", "a", deleted=True), "restored"),
        (told("deleted", "a", deleted=True), told("restored", "a"), "deleted"),
        (told("deleted", "a", deleted=True), told("deleted", "b", deleted=True), "changed"),
        (told("created", "a"), None, "changed"),
    ],
)
def test_a_state_is_told_by_a_fact_that_says_no_more_than_what_is(own: Told, lost: Told | None, fact: str) -> None:
    known, facts = named_things()
    event = rules.set_back(rules.plain_facts(known.registry, known.topic.name), own, lost, 7, NOW)
    assert event is not None
    assert event.type == facts[fact].type
    assert (event.version, event.state.name, event.state.deleted) == (7, own.data["state"]["name"], own.is_deleted)
    assert (event.actor.kind, event.origin.channel, event.occurred_at) == ("system", "system", NOW)


def test_where_there_is_no_such_fact_what_was_told_stands() -> None:
    assert rules.set_back({}, told("created", "a"), told("changed", "b"), 3, NOW) is None
    assert rules.withdrawn({}, told("created", "a"), 3, NOW) is None


def test_a_record_told_as_gone_is_not_withdrawn_again() -> None:
    known, _ = named_things()
    models = rules.plain_facts(known.registry, known.topic.name)
    assert rules.withdrawn(models, told("deleted", "a", deleted=True), 3, NOW) is None
    event = rules.withdrawn(models, told("created", "a"), 3, NOW)
    assert event is not None
    assert event.state.deleted
    assert event.changes["deleted"].new is True

"""A fact gets a second version while everything works: the worked example of docs/architecture/event-versions.md, on real servers.

Three releases one after the other: 1 knows v1; 2 announces v2 and goes on recording v1; 3 records v2. A worker or a writer of a release is
one that is given that release's registry.
"""

import asyncio
import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer

from crm_contracts import Envelope, Event, Registry, Topic
from crm_contracts.events import Part
from crm_database import WriteSession
from crm_events import GroupsDisagree, Held, NotEmitted, Reaction, Step, Worker, letter_box, record
from crm_events.consumer import letters, store
from crm_events.consumer.apply import Applier
from crm_events.reaction import groups_of
from crm_events.resync import ask_store, box
from crm_events.resync.ask_store import ResyncRequest
from crm_events.token import ConsistencyTokens
from crm_kernel.clock import FixedClock, SystemClock
from crm_kernel.ids import new_id

from .conftest import Bench, context, thing, until

GROUP = "follower.things"
#: What a follower was given, in that order. No key: twice must show.
_TABLE = """
CREATE TABLE IF NOT EXISTS given (position bigint GENERATED ALWAYS AS IDENTITY (CACHE 1), group_name text NOT NULL, event_id uuid NOT NULL,
  type text NOT NULL, subject uuid NOT NULL, version int NOT NULL, state jsonb NOT NULL)
"""


class NamedState(Part):
    """v1: called `name`."""

    name: str


class TitledState(Part):
    """v2: called `title`."""

    title: str


@dataclass
class Releases:
    """The registries of three releases, of one topic that only this test has."""

    topic: str
    first: Registry
    announcing: Registry
    recording: Registry

    def type(self, number: int) -> str:
        return f"{self.topic}.written.v{number}"


def released(topic: str, number: int) -> Registry:
    """What a release has."""
    known = Registry()
    place = known.topic(Topic(topic, "maker", ("follower", "late"), "Things.", partitions=3))
    named = type("WrittenV1", (Event[NamedState],), {"__module__": __name__})
    known.event(f"{topic}.written.v1", place, example={}, emitted=number < 3)(named)
    if number > 1:
        titled = type("Written", (Event[TitledState],), {"__module__": __name__})
        known.event(f"{topic}.written.v2", place, example={}, emitted=number > 2)(titled)
        known.upcast(from_type=f"{topic}.written.v1", to=f"{topic}.written.v2")(name_is_a_title)
    return known


def name_is_a_title(data: dict[str, Any]) -> dict[str, Any]:
    return {**data, "state": {"title": data["state"]["name"]}}


@pytest.fixture
def releases(bench: Bench) -> Releases:
    topic = bench.things.topic.name
    return Releases(topic, *(released(topic, number) for number in (1, 2, 3)))


def keeping(releases: Releases, group: str = GROUP, **given: Any) -> Reaction:
    """A reaction that notes what it is given, as it is given it."""

    async def note(session: WriteSession, envelopes: Sequence[Envelope]) -> None:
        await session.connection.executemany(
            "INSERT INTO given (group_name, event_id, type, subject, version, state) VALUES ($1, $2, $3, $4, $5, $6)",
            [(group, e.id, e.type, e.subject, e.payload["version"], e.payload["state"]) for e in envelopes],
        )

    return Reaction(group, (releases.topic,), handle_batch=note, **given)


async def worker(bench: Bench, service: str, known: Registry, *reactions: Reaction) -> Worker:
    """A worker of a release."""
    settings = await bench.settings(service)
    if reactions:
        await execute(bench, service, _TABLE)
    return Worker(settings, await bench.database(service), reactions, known=known)


async def execute(bench: Bench, service: str, sql: str, *arguments: Any) -> None:
    async with (await bench.database(service)).write(context()) as session:
        await session.connection.execute(sql, *arguments)


async def write(bench: Bench, known: Registry, *ids: uuid.UUID) -> list[uuid.UUID]:
    """The maker's action in a release: each thing is written once more, or for the first time; answers the ids of the events."""
    (model,) = [one for one in known.events.values() if one.emitted]
    text = {"name": "x"} if model.type.endswith(".v1") else {"title": "x"}
    made = []
    async with (await bench.database("maker")).write(context()) as session:
        for one in sorted(ids):
            version = await session.connection.fetchval("SELECT version FROM thing WHERE id = $1 FOR UPDATE", one)
            if version is not None:
                session.hold(thing, one, version)
            made += await record(session, [Step(thing, one, model, text, values={"name": "x"}, new=version is None)])
    return made


async def given(bench: Bench, service: str, group: str = GROUP) -> list[tuple[str, uuid.UUID, int, dict[str, Any]]]:
    """(type, subject, version, state) in the order in which they were given."""
    async with (await bench.database(service)).read() as session:
        rows = await session.connection.fetch(
            "SELECT type, subject, version, state FROM given WHERE group_name = $1 ORDER BY position", group
        )
    return [tuple(row) for row in rows]


async def has(bench: Bench, service: str, count: int, group: str = GROUP) -> None:
    """Wait for so many."""

    async def enough() -> bool:
        return len(await given(bench, service, group)) >= count

    await until(enough, f"{group} is given {count} events", 40.0)
    assert len(await given(bench, service, group)) == count


def in_order(told: Sequence[tuple[str, uuid.UUID, int, Any]]) -> dict[uuid.UUID, list[int]]:
    found: dict[uuid.UUID, list[int]] = {}
    for _, subject, version, _ in told:
        found.setdefault(subject, []).append(version)
    return found


async def recorded(bench: Bench) -> dict[str, int]:
    """Type → how many events of it the journal has."""
    async with (await bench.database("maker")).read() as session:
        rows = await session.connection.fetch("SELECT type, count(*) FROM journal GROUP BY 1")
    return {row[0]: row[1] for row in rows}


@pytest.mark.requirement("PL-13")
async def test_consumers_of_two_releases_work_side_by_side_and_nothing_is_lost_or_told_twice(
    bench: Bench, releases: Releases
) -> None:
    names = [new_id() for _ in range(6)]
    early = await worker(bench, "follower", releases.announcing, keeping(releases))
    late = await worker(bench, "late", releases.first, keeping(releases, "late.things"))
    # The relay is the oldest of all: it sends what the journal has.
    async with bench.running(await worker(bench, "maker", releases.first), early):
        async with bench.running(late):
            await write(bench, releases.first, *names)
            # The maker is upgraded to the release that announces: it records as before.
            await write(bench, releases.announcing, *names)
            await has(bench, "follower", 12)
            await has(bench, "late", 12, "late.things")
            assert {told[0] for told in await given(bench, "follower")} == {releases.type(2)}
            assert {tuple(told[3]) for told in await given(bench, "follower")} == {("title",)}
            assert {told[0] for told in await given(bench, "late", "late.things")} == {releases.type(1)}

            # One release later. Whoever was upgraded to the one before goes on.
            await write(bench, releases.recording, *names)
            await has(bench, "follower", 18)
            # Who skipped it stands still, alive, and says why.

            async def stands_still() -> bool:
                return "waits to be upgraded" in (late.warning() or "")

            await until(stands_still, "the consumer that was left behind says so")
            assert f"{releases.type(2)} comes from a later release" in (late.warning() or "")
            assert late.alive() is None
            assert len(await given(bench, "late", "late.things")) == 12
            assert await bench.value("late", "SELECT count(*) FROM dead_letter") == 0
        # It is upgraded, while a writer of the release before still works.
        upgraded = await worker(bench, "late", releases.recording, keeping(releases, "late.things"))
        async with bench.running(upgraded):
            await write(bench, releases.announcing, *names)
            await has(bench, "late", 24, "late.things")
            await has(bench, "follower", 24)
            assert upgraded.warning() is None
    assert await recorded(bench) == {releases.type(1): 18, releases.type(2): 6}
    for service, group in (("follower", GROUP), ("late", "late.things")):
        assert in_order(await given(bench, service, group)) == {name: [1, 2, 3, 4] for name in names}
    # What stands at the old consumer from before its upgrade, it was given in v1; from then on in v2.
    assert [told[0] for told in await given(bench, "late", "late.things")][12:] == [releases.type(2)] * 12
    await follow_from_outside(bench, releases)


async def follow_from_outside(bench: Bench, releases: Releases) -> None:
    """Subscribers get each event once, as it was recorded, under dense numbers."""
    numbers: dict[int, list[int]] = {}
    types: dict[str, int] = {}
    async with AIOKafkaConsumer(
        releases.topic,
        bootstrap_servers=bench.bootstrap,
        group_id=f"shop.{uuid.uuid4().hex}",
        auto_offset_reset="earliest",
    ) as consumer:
        async with asyncio.timeout(30):
            while sum(types.values()) < 24:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    for one in records:
                        headers = {name: value.decode() for name, value in one.headers}
                        known, number = numbers.setdefault(one.partition, []), int(headers["ce_sequence"])
                        if known and number <= known[-1]:
                            continue
                        known.append(number)
                        types[headers["ce_type"]] = types.get(headers["ce_type"], 0) + 1
    assert types == {releases.type(1): 18, releases.type(2): 6}
    for found in numbers.values():
        assert found == list(range(1, len(found) + 1))


@pytest.mark.requirement("PL-48")
async def test_a_journal_with_both_versions_is_told_again_in_the_newest(bench: Bench, releases: Releases) -> None:
    names = [new_id() for _ in range(4)]
    reaction = keeping(releases, resync="journal")
    follower = await worker(bench, "follower", releases.recording, reaction)
    async with bench.running(await worker(bench, "maker", releases.recording), follower):
        await write(bench, releases.first, *names)
        await write(bench, releases.recording, *names)
        await has(bench, "follower", 8)
        await execute(bench, "follower", "DELETE FROM given")
        await resynced(bench, reaction)
        told = await given(bench, "follower")
        assert {one[0] for one in told} == {releases.type(2)}
        assert in_order(told) == {name: [1, 2] for name in names}
        assert all(one[3] == {"title": "x"} for one in told)
        # A type means its fact: what was recorded in earlier versions is asked for too.
        await execute(bench, "follower", "DELETE FROM given")
        await resynced(bench, reaction, types=(releases.type(2),))
        assert len(await given(bench, "follower")) == 8


async def resynced(bench: Bench, reaction: Reaction, **wish: Any) -> ResyncRequest:
    """A resync that has come to its end."""
    database = await bench.database("follower")
    (made,) = await box.ask(database, groups_of([reaction]), box.Wish(**wish), dt.datetime.now(dt.UTC))
    found: list[ResyncRequest] = []

    async def ended() -> bool:
        async with database.read() as session:
            found[:] = await ask_store.some(session, [made])
        return not found[0].is_open

    await until(ended, "the resync comes to its end")
    return found[0]


async def test_what_only_a_later_release_can_read_is_refused_when_it_is_told_again(
    bench: Bench, releases: Releases
) -> None:
    names = [new_id() for _ in range(2)]
    reaction = keeping(releases, resync="journal")
    await write(bench, releases.first, *names)
    follower = await worker(bench, "follower", releases.first, reaction)
    async with bench.running(await worker(bench, "maker", releases.first), follower):
        await has(bench, "follower", 2)
        await write(bench, releases.recording, *names)
        await execute(bench, "follower", "DELETE FROM given")
        done = await resynced(bench, reaction)
        assert (done.state, done.refused, done.total) == ("complete", 2, 4)
        assert {one[0] for one in await given(bench, "follower")} == {releases.type(1)}


async def test_a_log_keeps_events_as_they_were_recorded_also_those_of_later_releases(
    bench: Bench, releases: Releases
) -> None:
    names = [new_id() for _ in range(3)]
    reaction = keeping(releases, as_recorded=True, resync="journal", held=Held({}, notices=False))
    async with bench.running(
        await worker(bench, "maker", releases.recording), await worker(bench, "follower", releases.first, reaction)
    ):
        await write(bench, releases.first, *names)
        await write(bench, releases.recording, *names)
        await has(bench, "follower", 6)
        kinds = [told[0] for told in await given(bench, "follower")]
        assert sorted(kinds) == [releases.type(1)] * 3 + [releases.type(2)] * 3


def envelope(releases: Releases, version: int, number: int, subject: uuid.UUID) -> Envelope:
    """An event as it comes from the bus: publication `number`, in this version of the type."""
    state = {"name": "x"} if version == 1 else {"title": "x"}
    data = {"version": number, "occurred_at": "2026-03-01T09:00:00Z", "actor": {"kind": "system"}, "state": state}
    return Envelope(
        new_id(),
        releases.type(version),
        "/crm/maker",
        subject,
        dt.datetime.now(dt.UTC),
        orjson.dumps({**data, "origin": {"channel": "api"}}),
        number,
        "s",
        new_id(),
        topic=releases.topic,
        partition=0,
    )


@dataclass
class Stand:
    """One group of the follower, applied to by hand."""

    bench: Bench
    applier: Applier
    place: store.Place

    async def settle(self, *envelopes: Envelope) -> None:
        await self.applier.settle(self.place, envelopes)

    async def mark(self) -> int:
        return int(await self.bench.value("follower", "SELECT number FROM watermark"))


async def stand(bench: Bench, releases: Releases, known: Registry, **chosen: Any) -> Stand:
    await bench.database("follower")
    await execute(bench, "follower", _TABLE)
    (group,) = groups_of([keeping(releases, **chosen)], known)
    applier = Applier(group, await bench.database("follower"), SystemClock(), asyncio.Event())
    place = store.Place(GROUP, releases.topic, 0)
    return Stand(bench, applier, place)


async def test_what_comes_before_a_later_version_is_applied_and_what_was_applied_is_no_reason_to_stand_still(
    bench: Bench, releases: Releases
) -> None:
    subject = new_id()
    told = [envelope(releases, version, number, subject) for number, version in ((1, 1), (2, 1), (3, 2), (4, 1))]
    old = await stand(bench, releases, releases.first)
    settling = asyncio.create_task(old.settle(*told))

    async def waits() -> bool:
        return bool(old.applier.waits)

    await until(waits, "it waits to be upgraded")
    assert await old.mark() == 2
    old.applier.stop.set()
    with pytest.raises(asyncio.CancelledError):
        await settling
    assert old.applier.waits == {}
    # Upgraded, it goes on; rolled back, it meets as doubles what a later release applied.
    await (await stand(bench, releases, releases.announcing)).settle(*told)
    async with asyncio.timeout(20):
        await (await stand(bench, releases, releases.first)).settle(*told)
    assert [(one[0], one[2]) for one in await given(bench, "follower")] == [
        (releases.type(1), 1),
        (releases.type(1), 2),
        (releases.type(2), 3),
        (releases.type(2), 4),
    ]


async def test_an_upcaster_that_fails_makes_a_dead_letter_of_the_event_as_it_was_recorded(
    bench: Bench, releases: Releases
) -> None:
    subject, known = new_id(), releases.announcing
    (first,) = known.upcasters
    upcaster = known.upcasters.pop(first)
    known.upcasters[first] = lambda data: data["missing"]
    here = await stand(bench, releases, known)
    await here.settle(*(envelope(releases, 1, number, subject) for number in (1, 2)))
    database = await bench.database("follower")
    (letter,) = await letter_box.letters(database)
    assert letter.reason.startswith("UpcastFailed: the upcaster of")
    assert (letter.type, letter.parked, await here.mark()) == (releases.type(1), 1, 2)
    # Mended in the next release, it is retried, and given in the newest version like any other.
    known.upcasters[first] = upcaster
    await letter_box.retry(database, dt.datetime.now(dt.UTC), event_id=letter.event_id)
    assert await letters.carry_out(here.applier, here.place) == 1
    assert [(one[0], one[2]) for one in await given(bench, "follower")] == [
        (releases.type(2), 1),
        (releases.type(2), 2),
    ]


async def test_a_later_version_behind_a_dead_letter_is_the_next_dead_letter(bench: Bench, releases: Releases) -> None:
    """Who retries by hand gets an answer; standing still is for the log of the bus."""
    subject = new_id()
    here = await stand(bench, releases, releases.first)
    broken = replace(envelope(releases, 1, 1, subject), data=b'{"version": 1}')
    await here.settle(broken, envelope(releases, 2, 2, subject))
    database = await bench.database("follower")
    (letter,) = await letter_box.letters(database)
    await letter_box.discard(database, dt.datetime.now(dt.UTC), event_id=letter.event_id)
    async with asyncio.timeout(20):
        await letters.carry_out(here.applier, here.place)
    (left,) = await letter_box.letters(database)
    assert left.reason.startswith(f"NewerThanKnown: {releases.type(2)}")


async def test_a_version_that_is_not_recorded_can_not_be(bench: Bench, releases: Releases) -> None:
    for known, number in ((releases.announcing, 2), (releases.recording, 1)):
        model = known.events[releases.type(number)]
        async with (await bench.database("maker")).write(context()) as session:
            step = Step(thing, new_id(), model, {"name": "x", "title": "x"}, values={"name": "x"}, new=True)
            with pytest.raises(NotEmitted):
                await record(session, [step])
    assert await recorded(bench) == {}


async def test_a_write_of_an_earlier_version_is_waited_for(bench: Bench, releases: Releases) -> None:
    """PL-13: the token names what was recorded, the group wants the newest version."""
    group = groups_of([keeping(releases, types=frozenset({releases.type(2)}))], releases.announcing)
    tokens = ConsistencyTokens("maker", b"k" * 32, group, FixedClock(dt.datetime.now(dt.UTC)))
    wanted = tokens._wanted(uuid.UUID(int=1), {releases.type(1): 2, releases.type(2): 1})
    assert wanted == {(uuid.UUID(int=1), GROUP, releases.topic): 3}


async def test_a_reaction_names_the_newest_version_or_takes_all(bench: Bench, releases: Releases) -> None:
    named = keeping(releases, types=frozenset({releases.type(1)}))
    assert groups_of([named], releases.first)
    with pytest.raises(GroupsDisagree, match=r"comes upcast: name .*\.v2"):
        groups_of([named], releases.announcing)
    with pytest.raises(GroupsDisagree, match="a type names one version"):
        keeping(releases, types=frozenset({releases.type(1)}), as_recorded=True)
    (group,) = groups_of([keeping(releases, types=frozenset({releases.type(2)}))], releases.announcing)
    assert group.reaction(releases.topic, releases.type(1)) is group.reactions[0]
    assert group.reaction(releases.topic, f"{releases.topic}.lost.v1") is None

"""Being told again over the bus: what a group asks for, page by page, through crashes, doubles, wipes; and gaps that are noticed."""

import asyncio
import datetime as dt
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from aiokafka import AIOKafkaProducer

from crm_contracts import Envelope, control
from crm_database import WriteSession
from crm_events import Held, Reaction, reconcile_holdings
from crm_events.reaction import groups_of
from crm_events.reconcile import reconcile
from crm_events.resync import answerer as answering
from crm_events.resync import ask_store, box, rules, walk
from crm_events.resync.ask_store import ResyncRequest
from crm_stack.broker import EmbeddedBroker
from crm_testing.servers import MakeDatabase

from .conftest import Bench, Things, context, following, metadata, open_bench, things, until

GROUP = "follower.things"
copy = sa.Table(
    "thing_copy", metadata, sa.Column("id", sa.Uuid, primary_key=True), sa.Column("version", sa.Integer, nullable=False)
)
_KEEP = """
INSERT INTO thing_copy AS c (id, version) SELECT * FROM unnest($1::uuid[], $2::int[]) ON CONFLICT (id)
DO UPDATE SET version = excluded.version WHERE c.version < excluded.version
"""


def replica(things: Things, group: str = GROUP, **given: Any) -> Reaction:
    """A replica of things: one row per record, by version."""

    async def keep(session: WriteSession, envelopes: Sequence[Envelope]) -> None:
        newest = {e.subject: e.payload["version"] for e in sorted(envelopes, key=lambda e: e.payload["version"])}
        await session.connection.execute(_KEEP, list(newest), list(newest.values()))

    async def forget(session: WriteSession, topic: str, ids: Sequence[uuid.UUID]) -> None:
        await session.connection.execute("DELETE FROM thing_copy WHERE id = ANY($1)", list(ids))

    held = given.pop("held", Held({things.topic.name: copy}, forget=forget))
    return Reaction(group, (things.topic.name,), handle_batch=keep, resync="state", held=held, **given)


def told(things: Things, group: str = GROUP) -> Reaction:
    """A reaction that notes every event that it is told again, in order."""
    return following(things, group, resync="journal")


@asynccontextmanager
async def _bench(bootstrap: str, idempotence: bool, make: Any) -> AsyncIterator[Bench]:
    async with open_bench(bootstrap, idempotence, make, things()) as bench:
        async with (await bench.database("follower")).write(context()) as session:
            await session.connection.execute("CREATE TABLE thing_copy (id uuid PRIMARY KEY, version int NOT NULL)")
        yield bench


@pytest.fixture
async def stand(broker_under_test: Any, make_database: MakeDatabase, template: str) -> AsyncIterator[Bench]:
    server = broker_under_test
    async with _bench(server.bootstrap, server.idempotence, lambda: make_database(template)) as bench:
        yield bench


async def copies(bench: Bench) -> dict[uuid.UUID, int]:
    async with (await bench.database("follower")).read() as session:
        return {row[0]: row[1] for row in await session.connection.fetch("SELECT id, version FROM thing_copy")}


async def ask(bench: Bench, reaction: Reaction, **wish: Any) -> list[uuid.UUID]:
    return await box.ask(
        await bench.database("follower"), groups_of([reaction]), box.Wish(**wish), dt.datetime.now(dt.UTC)
    )


async def request(bench: Bench, made: uuid.UUID) -> ResyncRequest:
    async with (await bench.database("follower")).read() as session:
        (found,) = await ask_store.some(session, [made])
    return found


async def finished(bench: Bench, *made: uuid.UUID, seconds: float = 25.0) -> list[ResyncRequest]:
    """The requests, once they are finished; fails when one does not come to its end."""

    async def all_ended() -> bool:
        return not any([(await request(bench, one)).is_open for one in made])

    await until(all_ended, "the resync comes to its end", seconds)
    return [await request(bench, one) for one in made]


async def change_follower(bench: Bench, sql: str, *arguments: Any) -> None:
    async with (await bench.database("follower")).write(context()) as session:
        await session.connection.execute(sql, *arguments)


async def filled(bench: Bench, create: int = 30) -> None:
    """Things with one to three events each."""
    await bench.write(create=create)
    await bench.write(change=bench.names[: create // 2])
    await bench.write(change=bench.names[: create // 3])


async def applied(bench: Bench) -> None:
    async def same() -> bool:
        return await copies(bench) == await bench.journal()

    await until(same, "the replica has every record at its newest version")


@pytest.mark.requirement("PL-48")
async def test_an_emptied_replica_is_told_the_state_of_every_record(
    stand: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk, "PAGE_RECORDS", 7)
    monkeypatch.setattr(walk, "SCANNED", 10)
    reaction = replica(stand.things)
    async with stand.running(await stand.worker("maker"), await stand.worker("follower", [reaction])):
        await filled(stand)
        await applied(stand)
        marks = await stand.value("follower", "SELECT jsonb_agg(w.number ORDER BY partition) FROM watermark w")
        await change_follower(stand, "DELETE FROM thing_copy")
        await change_follower(stand, "DELETE FROM inbox")
        (made,) = await ask(stand, reaction)
        (done,) = await finished(stand, made)
        assert (done.state, done.applied, done.total, done.refused) == ("complete", 30, 30, 0)
        assert await copies(stand) == await stand.journal()
        # Rule 5 is left alone: watermarks are as they were, and the newest events are in the inbox.
        assert marks == await stand.value("follower", "SELECT jsonb_agg(w.number ORDER BY partition) FROM watermark w")
        assert await stand.value("follower", "SELECT count(*) FROM inbox") == 30
        # Life goes on: what comes now is applied once.
        await stand.write(change=stand.names)
        await applied(stand)


async def test_a_journal_is_told_whole_and_in_order_with_the_original_ids(
    stand: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk, "PAGE_RECORDS", 4)
    monkeypatch.setattr(walk, "SCANNED", 6)
    reaction = told(stand.things)
    async with stand.running(await stand.worker("maker"), await stand.worker("follower", [reaction])):
        await filled(stand, 12)
        await stand.followed("follower", GROUP)
        # Two processes' clocks differ: the second fact of a record has an earlier id than its first.
        odd = stand.names[0]
        async with (await stand.database("maker")).write(context()) as session:
            ids = await session.connection.fetch(
                "SELECT event_id FROM journal WHERE subject = $1 ORDER BY version", odd
            )
            first, second = ids[0][0], ids[1][0]
            for old, new in ((first, uuid.UUID(int=1)), (second, first), (uuid.UUID(int=1), second)):
                await session.connection.execute("UPDATE journal SET event_id = $2 WHERE event_id = $1", old, new)
        await change_follower(stand, "DELETE FROM effect")
        (made,) = await ask(stand, reaction)
        (done,) = await finished(stand, made)
        assert done.total == 22
        await stand.followed("follower", GROUP)
        assert await stand.value("follower", "SELECT count(DISTINCT event_id) FROM effect") == 22


async def test_only_what_was_asked_for_is_told(stand: Bench) -> None:
    reaction = told(stand.things)
    async with stand.running(await stand.worker("maker"), await stand.worker("follower", [reaction])):
        await filled(stand, 6)
        await stand.followed("follower", GROUP)
        await change_follower(stand, "DELETE FROM effect")
        await asyncio.sleep(0.01)
        since = dt.datetime.now(dt.UTC)
        await stand.write(change=stand.names)
        await until(stand.drained, "everything is sent")
        await ask(stand, reaction, types=(stand.things.created.type,))
        (made,) = await ask(stand, reaction, since=since)
        async with (await stand.database("follower")).write(context()) as session:
            (one,) = await ask_store.ask(
                session,
                group=GROUP,
                topic=stand.things.topic.name,
                kind="journal",
                ids=[stand.names[0], uuid.uuid4()],
                reason="test",
            )
        since_done, ids_done = await finished(stand, made, one)
        assert since_done.total == 6
        assert (ids_done.total, ids_done.unknown) == (5, 1)

        async def as_asked() -> bool:
            versions = sorted(version for _, version in await stand.effects("follower", GROUP))
            # Live once, by type, by time, by id.
            newest = sorted((await stand.journal()).values())
            return versions == sorted([*newest, *[1] * 6, *newest, 1, 2, 3, 4])

        await until(as_asked, "what was asked for is told, and no more")


async def test_side_effects_are_never_repeated_and_strangers_hear_nothing(stand: Bench) -> None:
    effects = following(stand.things, "follower.mail", projection=False)
    reaction = replica(stand.things)
    with pytest.raises(ValueError, match="side effects"):
        following(stand.things, "follower.mail", projection=False, resync="state")
    async with stand.running(await stand.worker("maker"), await stand.worker("follower", [reaction, effects])):
        await filled(stand, 5)
        await applied(stand)
        await stand.followed("follower", "follower.mail")
        with pytest.raises(box.NothingToAsk):
            await box.ask(await stand.database("follower"), groups_of([effects]), box.Wish(), dt.datetime.now(dt.UTC))
        # Asked for by hand all the same.
        async with (await stand.database("follower")).write(context()) as session:
            (made,) = await ask_store.ask(
                session, group="follower.mail", topic=stand.things.topic.name, kind="state", reason="test"
            )
        (mail,) = await finished(stand, made)
        assert (mail.state, mail.applied) == ("failed", 0)
        await finished(stand, *await ask(stand, reaction))
        await stand.followed("follower", "follower.mail")


async def test_an_owner_tells_only_consumers_of_the_topic(stand: Bench) -> None:
    stand.things.registry.topics[stand.things.topic.name] = topic = type(stand.things.topic)(
        stand.things.topic.name, "maker", ("somebody",), "Things."
    )
    reaction = replica(stand.things)
    async with stand.running(await stand.worker("maker"), await stand.worker("follower", [reaction])):
        await stand.write(create=3)
        (made,) = await ask(stand, reaction)
        (done,) = await finished(stand, made)
    assert done.state == "failed"
    assert topic.name in (done.problem or "")


async def test_answers_twice_in_a_wrong_order_and_from_two_answerers_change_nothing(
    stand: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each page is sent twice, the one before it once more."""
    monkeypatch.setattr(walk, "PAGE_RECORDS", 5)
    real, earlier = answering.Answerer._send, []

    async def send(self: Any, parts: Any) -> None:
        for page in [parts, *earlier[-1:], parts]:
            await real(self, page)
        earlier.append(parts)

    monkeypatch.setattr(answering.Answerer, "_send", send)
    reaction = told(stand.things)
    async with stand.running(await stand.worker("maker"), await stand.worker("follower", [reaction])):
        await filled(stand, 12)
        await stand.followed("follower", GROUP)
        await change_follower(stand, "DELETE FROM effect")
        (done,) = await finished(stand, *await ask(stand, reaction))
        assert (done.total, done.applied) == (22, 22)
        await stand.followed("follower", GROUP)


async def test_an_answerer_that_dies_goes_on_where_it_was(stand: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between a page and keeping its place: the page is told twice and taken once, and nobody has to ask again."""
    monkeypatch.setattr(walk, "PAGE_RECORDS", 5)
    real, deaths = answering.Answerer._move, iter(range(1000))

    async def move(self: Any, *given: Any) -> None:
        if next(deaths) in (1, 2, 4):
            raise ConnectionResetError("killed between telling and keeping the place")
        await real(self, *given)

    monkeypatch.setattr(answering.Answerer, "_move", move)
    reaction = told(stand.things)
    async with stand.running(await stand.worker("maker"), await stand.worker("follower", [reaction])):
        await filled(stand, 12)
        await stand.followed("follower", GROUP)
        await change_follower(stand, "DELETE FROM effect")
        (done,) = await finished(stand, *await ask(stand, reaction))
        assert (done.total, done.attempt) == (22, 1)
        await stand.followed("follower", GROUP)


async def test_both_sides_restarted_in_the_middle_go_on(stand: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "PAGE_RECORDS", 3)
    monkeypatch.setattr(rules, "WINDOW", 6)
    reaction = told(stand.things)
    async with stand.running(await stand.worker("maker"), await stand.worker("follower", [reaction])):
        await filled(stand, 40)
        await stand.followed("follower", GROUP)
    await change_follower(stand, "DELETE FROM effect")
    (made,) = await ask(stand, reaction)

    async def begun() -> bool:
        return (await request(stand, made)).applied > 0

    for _ in range(2):
        async with stand.running(
            await stand.worker("maker"), await stand.worker("follower", [reaction], resync_seconds=2.0)
        ):
            await until(begun, "the answer begins")
    async with stand.running(
        await stand.worker("maker"), await stand.worker("follower", [reaction], resync_seconds=2.0)
    ):
        (done,) = await finished(stand, made)
        assert done.total == await stand.value("maker", "SELECT count(*) FROM journal")
        await stand.followed("follower", GROUP)


async def test_a_broker_wiped_during_a_resync_makes_it_start_again(
    tmp_path: Path, make_database: MakeDatabase, template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk, "PAGE_RECORDS", 3)
    monkeypatch.setattr(rules, "WINDOW", 6)
    with EmbeddedBroker(tmp_path) as broker:
        async with _bench(broker.bootstrap, False, lambda: make_database(template)) as bench:
            reaction = told(bench.things)
            follower = await bench.worker("follower", [reaction], resync_seconds=2.0)
            async with bench.running(await bench.worker("maker"), follower):
                await filled(bench, 60)
                await bench.followed("follower", GROUP)
                await change_follower(bench, "DELETE FROM effect")
                (made,) = await ask(bench, reaction)

                async def begun() -> bool:
                    return (await request(bench, made)).applied > 0

                await until(begun, "the answer begins")
                await asyncio.to_thread(broker.stop)
                await asyncio.to_thread(broker.start)
                (done,) = await finished(bench, made, seconds=60)
                assert done.state == "complete"
                await bench.followed("follower", GROUP)


async def test_an_event_that_does_not_fit_is_left_out_and_counted(stand: Bench) -> None:
    bad: set[uuid.UUID] = set()
    keep = replica(stand.things)
    assert keep.handle_batch is not None
    inner = keep.handle_batch

    async def refill(session: WriteSession, envelopes: Sequence[Envelope]) -> None:
        if any(e.subject in bad for e in envelopes):
            raise ValueError("does not fit")
        await inner(session, envelopes)

    reaction = replica(stand.things, refill=refill)
    async with stand.running(await stand.worker("maker"), await stand.worker("follower", [reaction])):
        await stand.write(create=9)
        await applied(stand)
        bad.add(stand.names[4])
        await change_follower(stand, "DELETE FROM thing_copy")
        (done,) = await finished(stand, *await ask(stand, reaction))
        assert (done.state, done.total, done.refused) == ("complete", 9, 1)
        assert set(await copies(stand)) == set(stand.names) - bad


async def test_pruning_removes_what_the_owner_does_not_know_and_nothing_else(stand: Bench) -> None:
    reaction = replica(stand.things)
    async with stand.running(await stand.worker("maker"), await stand.worker("follower", [reaction])):
        await filled(stand, 10)
        await applied(stand)
        await change_follower(stand, "DELETE FROM thing_copy WHERE id = $1", stand.names[0])
        await change_follower(stand, "UPDATE thing_copy SET version = 0 WHERE id = $1", stand.names[1])
        await change_follower(stand, "INSERT INTO thing_copy SELECT gen_random_uuid(), 3 FROM generate_series(1, 4)")
        made = await ask(stand, reaction, prune=True)
        async for standing in box.watched(await stand.database("follower"), made, 0.1):
            assert standing[0].state != "failed"
        assert await copies(stand) == await stand.journal()
        assert await stand.value("follower", "SELECT count(*) FROM resync_seen") == 0


# -- gaps -----------------------------------------------------------------------------------------------------------------------


async def test_a_gap_is_noticed_and_repaired_without_anybody_stopping_anything(stand: Bench) -> None:
    reaction = replica(stand.things)
    async with stand.running(await stand.worker("maker"), await stand.worker("follower", [reaction])):
        await filled(stand, 12)
        await applied(stand)
        await stand.write(change=stand.names)
        await applied(stand)
        assert await stand.value("follower", "SELECT count(*) FROM resync_gap") == 0
        assert await stand.value("follower", "SELECT count(*) FROM resync_request") == 0
        lost, behind = stand.names[0], stand.names[1]
        await change_follower(stand, "DELETE FROM thing_copy WHERE id = $1", lost)
        await change_follower(stand, "UPDATE thing_copy SET version = version - 1 WHERE id = $1", behind)
        await stand.write(change=[lost, behind, stand.names[2]])

        async def asked() -> bool:
            return bool(await stand.value("follower", "SELECT count(*) FROM resync_request WHERE state = 'complete'"))

        await until(asked, "what is lacking is asked for")
        (made,) = await box.requests(await stand.database("follower"))
        assert (made.reason, made.kind, set(made.ids or ()), made.unknown) == ("gap", "state", {lost, behind}, 0)
        assert await copies(stand) == await stand.journal()
        # Again within the minute: noticed, and not asked for once more.
        await change_follower(stand, "UPDATE thing_copy SET version = 1 WHERE id = $1", lost)
        await stand.write(change=[lost])
        await applied(stand)
        assert await stand.value("follower", "SELECT count(*) FROM resync_gap WHERE asked_at IS NULL") == 0


async def test_gaps_wait_for_a_resync_of_everything(stand: Bench) -> None:
    """An empty replica with news: it is told everything anyway."""
    reaction = replica(stand.things)
    database = await stand.database("follower")
    async with database.write(context()) as session:
        await ask_store.notice(session, GROUP, stand.things.topic.name, [(uuid.uuid4(), 0, 5)])
        await ask_store.ask(session, group=GROUP, topic=stand.things.topic.name, kind="state", reason="test")
        assert await ask_store.take_gaps(session, dt.datetime.now(dt.UTC) + dt.timedelta(minutes=1), 10) == {}
    async with stand.running(await stand.worker("maker"), await stand.worker("follower", [reaction])):
        made = await box.requests(database)
        await finished(stand, made[0].id)
    assert await stand.value("follower", "SELECT count(*) FROM resync_gap") == 0


# -- reconcile ------------------------------------------------------------------------------------------------------------------


async def _reconciled(bench: Bench, *reactions: Reaction) -> Any:
    databases = {name: await bench.database(name) for name in ("maker", "follower")}
    return await reconcile(databases, {"follower": groups_of(reactions)})


@pytest.mark.requirement("PL-48")
async def test_reconcile_finds_every_loss_of_a_replica_and_a_resync_repairs_it(
    stand: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile_holdings, "CHUNK", 4)
    reaction = replica(stand.things)
    async with stand.running(await stand.worker("maker"), await stand.worker("follower", [reaction])):
        await filled(stand, 12)
        await applied(stand)
        assert not (await _reconciled(stand, reaction)).is_faulty
        lost, behind, ahead = stand.names[:3]
        unknown, forgotten = uuid.uuid4(), stand.names[5]
        await change_follower(stand, "DELETE FROM thing_copy WHERE id = $1", lost)
        await change_follower(stand, "UPDATE thing_copy SET version = 1 WHERE id = $1", behind)
        await change_follower(stand, "UPDATE thing_copy SET version = 9 WHERE id = $1", ahead)
        await change_follower(stand, "INSERT INTO thing_copy VALUES ($1, 2)", unknown)
        event = await stand.value("maker", "SELECT event_id FROM journal WHERE subject = $1 AND version = 1", forgotten)
        await change_follower(stand, "DELETE FROM inbox WHERE event_id = $1", event)
        found = await _reconciled(stand, reaction)
        assert found.is_faulty
        assert {(f.subject, f.reason, f.owned, f.held) for f in found.holdings} == {
            (lost, "replica lacks", 3, 0),
            (behind, "replica behind", 3, 1),
            (ahead, "replica ahead of owner", 3, 9),
            (unknown, "replica unknown to owner", 0, 2),
        }
        assert [(f.event_id, f.reason) for f in found.faults] == [(event, "missing")]
        # Nobody can say what a version is that nobody made: by hand it came, by hand it goes.
        await change_follower(stand, "DELETE FROM thing_copy WHERE id = $1", ahead)
        made = await ask(stand, reaction, prune=True)
        async for _ in box.watched(await stand.database("follower"), made, 0.1):
            pass
        await finished(stand, *await ask(stand, reaction, kind="journal"))
        repaired = await _reconciled(stand, reaction)
        assert (repaired.findings, repaired.holdings) == ([], [])


async def test_reconcile_finds_what_a_journal_lost(stand: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile_holdings, "CHUNK", 5)
    reaction = replica(stand.things)
    async with stand.running(await stand.worker("maker"), await stand.worker("follower", [reaction])):
        await filled(stand, 12)
        await applied(stand)
    middle, newest = stand.names[0], stand.names[11]
    async with (await stand.database("maker")).write(context()) as session:
        gone = await session.connection.fetch(
            "DELETE FROM journal WHERE (subject = $1 AND version = 2) OR subject = $2 RETURNING event_id",
            middle,
            newest,
        )
    found = await _reconciled(stand, reaction)
    assert {(f.subject, f.reason) for f in found.holdings} == {
        (middle, "journal gap"),
        (newest, "replica unknown to owner"),
        *((row["event_id"], "journal lacks") for row in gone),
    }


async def test_what_is_under_way_is_no_loss(stand: Bench) -> None:
    reaction = replica(stand.things)
    async with stand.running(await stand.worker("maker"), await stand.worker("follower", [reaction])):
        await stand.write(create=5)
        await applied(stand)
    await stand.write(create=2, change=())
    await stand.write(change=stand.names[:2])
    found = await _reconciled(stand, reaction)
    assert (sorted({f.reason for f in found.findings}), found.holdings) == (["outbox"], [])


# -- guards ---------------------------------------------------------------------------------------------------------------------


async def test_guard_without_the_chain_of_pages_answers_are_taken_twice(
    stand: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = rules.judge

    def judge(asked: rules.Asked, page: rules.Page) -> rules.Verdict:
        return rules.Verdict.TAKE if page.total is None else real(asked, page)

    monkeypatch.setattr(rules, "judge", judge)
    with pytest.raises(AssertionError):
        await asyncio.wait_for(
            test_answers_twice_in_a_wrong_order_and_from_two_answerers_change_nothing(stand, monkeypatch), 60
        )


async def test_records_on_the_answers_topic_that_are_nobodys_are_left_alone(stand: Bench) -> None:
    reaction = replica(stand.things)
    async with stand.running(await stand.worker("maker"), await stand.worker("follower", [reaction])):
        await filled(stand, 4)
        await applied(stand)
        producer = AIOKafkaProducer(bootstrap_servers=stand.bootstrap)
        await producer.start()
        try:
            await producer.send_and_wait(control.RESYNC_ANSWERS.name, b"{}", partition=0)
            await producer.send_and_wait(control.RESYNC_REQUESTS.name, b"nonsense", partition=0)
        finally:
            await producer.stop()
        await change_follower(stand, "DELETE FROM thing_copy")
        await finished(stand, *await ask(stand, reaction))
        assert await copies(stand) == await stand.journal()

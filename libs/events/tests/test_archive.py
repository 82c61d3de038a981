"""Months of the journal in the archive: there and back, found meanwhile, and never while somebody needs them."""

import asyncio
import datetime as dt
import http.server
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import asyncpg
import orjson
import pytest

from crm_contracts import Envelope
from crm_events.archive import ArchiveDamaged, ArchiveUnreachable, Storage, contents, keep_in
from crm_events.archive import archiver as archiving
from crm_events.archive import storage as storing
from crm_events.archive.archiver import Archiver, archiver, due, months
from crm_events.archive.errors import NotArchived
from crm_events.archive.frames import packed, unpacked
from crm_events.archive.keeping import archive_due
from crm_events.months import bounds
from crm_events.reaction import groups_of
from crm_events.reconcile import reconcile
from crm_events.relay.ledger import Ledger
from crm_events.resync import walk
from crm_kernel.ids import first_id_at
from crm_testing.servers import MakeDatabase

from .conftest import Bench, following, open_bench, things, until

NOW = dt.datetime(2026, 11, 23, 12, 0, tzinfo=dt.UTC)
JANUARY, FEBRUARY = dt.date(2026, 1, 1), dt.date(2026, 2, 1)
#: What jsonb keeps and Python's floats, or another order of members, would not.
ODD = '{"state": {"sum": 1.00, "big": 123456789012345678901234567890, "text": "a, \\"data\\": \\u00e9\\n"}, "note": "x\\"y"}'

_INSERT = """
INSERT INTO journal (event_id, topic, type, subject, version, time, occurred_at, write_id, actor_id, traceparent, data)
SELECT e.id, $5::text, $5::text || '.changed.v1', e.subject, e.version, $3, $3::timestamptz - interval '1.000001 s',
  gen_random_uuid(), e.actor,
  'a, "data": b', $4::text::jsonb || jsonb_build_object(
    'version', e.version, 'actor', jsonb_build_object('kind', 'user', 'id', e.actor), 'changes', CASE
    WHEN e.version % 2 = 0 THEN '{"owner_id": {"old": null, "new": null}}'::jsonb ELSE '{"name": {"old": 1, "new": 2}}' END)
FROM unnest($1::uuid[], $2::uuid[], $6::int[], $7::uuid[]) AS e(id, subject, version, actor)
"""


class Old:
    """A maker whose journal has months of this year, as if they had been recorded and taken long ago."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self.bench = bench
        self.folder = folder
        self.url = folder.as_uri()
        self.storage = Storage(self.url)
        self.subjects = [uuid.UUID(int=n + 1) for n in range(7)]

    @classmethod
    async def made(cls, bench: Bench, folder: Path, *, january: int = 950, february: int = 60) -> "Old":
        old = cls(bench, folder)
        await bench.database("maker")
        async with old.connected() as connection:
            for month in (JANUARY, FEBRUARY):
                low, high = bounds(month)
                await connection.execute(
                    f"CREATE TABLE journal_{month:%Y_%m} PARTITION OF journal FOR VALUES FROM ('{low}') TO ('{high}')"
                )
            versions = dict.fromkeys(old.subjects, 0)
            for month, count in ((JANUARY, january), (FEBRUARY, february)):
                await old.fill(connection, month, count, versions)
        return old

    async def fill(
        self, connection: Any, month: dt.date, count: int, versions: dict[uuid.UUID, int] | None = None
    ) -> None:
        begin = dt.datetime(month.year, month.month, 2, tzinfo=dt.UTC)
        ids, subjects, numbers = [], [], []
        for n in range(count):
            subject = self.subjects[n % len(self.subjects)]
            if versions is not None:
                versions[subject] += 1
            ids.append(uuid.UUID(int=first_id_at(begin + dt.timedelta(seconds=n * 7)).int + n))
            subjects.append(subject)
            numbers.append(1 if versions is None else versions[subject])
        topic = self.bench.things.topic.name
        actors = [uuid.UUID(int=n) if n % 3 else None for n in range(count)]
        when = begin + dt.timedelta(microseconds=1)
        await connection.execute(_INSERT, ids, subjects, when, ODD, topic, numbers, actors)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Any]:
        connection = await asyncpg.connect(self.bench.dsns["maker"])
        try:
            yield connection
        finally:
            await connection.close()

    @asynccontextmanager
    async def archiver(self, **given: Any) -> AsyncIterator[Archiver]:
        known = {"known": self.bench.things.registry, "expected": frozenset[str](), **given}
        async with archiver(self.bench.dsns["maker"], "maker", self.storage, **known) as made:
            yield made

    async def rows(self) -> list[tuple[str, str]]:
        """All of the journal, to the letter."""
        async with self.connected() as connection:
            rows = await connection.fetch("SELECT event_id, j::text AS whole FROM journal j ORDER BY event_id")
        return [(str(row["event_id"]), row["whole"]) for row in rows]

    async def told(self, ids: Sequence[uuid.UUID] | None = None, kind: Any = "journal") -> list[tuple[Any, ...]]:
        """What a resync's answer would say, over all its pages."""
        database = await self.bench.database("maker")
        wanted = walk.Wanted(self.bench.things.topic.name, kind, None if ids is None else tuple(ids))
        found: list[tuple[Any, ...]] = []
        cursor = None
        while True:
            page = await walk.following(database, "/crm/maker", wanted, cursor)
            if not page:
                return found
            cursor = page[-1].cursor
            found += [
                (one.cursor, e.id, e.type, e.subject, e.time, e.data, e.write_id, e.traceparent)
                for one in page
                if (e := one.event) is not None
            ]

    def files(self, month: dt.date) -> list[Path]:
        return sorted(self.folder.glob(f"maker/journal/{month:%Y-%m}/*/*.gz"))

    def unpacked(self, month: dt.date) -> bytes:
        return subprocess.run(["zcat", *map(str, self.files(month))], capture_output=True, check=True).stdout

    async def tables(self) -> set[str]:
        async with self.connected() as connection:
            rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE tablename LIKE 'journal_20%'")
        return {row[0] for row in rows}


@pytest.fixture
async def old(make_database: MakeDatabase, template: str, tmp_path: Path) -> AsyncIterator[Old]:
    # No broker: nothing here is sent.
    async with open_bench("127.0.0.1:1", True, lambda: make_database(template), things()) as bench:
        yield await Old.made(bench, tmp_path / "the archive")


async def test_a_month_goes_to_the_archive_and_comes_back_to_the_letter(
    old: Old, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiving, "FILE_BYTES", 3_000)
    before = await old.rows()
    async with old.archiver() as at_work:
        assert await at_work.archive(JANUARY, NOW) == 950
        files = old.files(JANUARY)
        assert len(files) > 1, "several files, so that going over their edges is tried"
        meanwhile = await old.rows()
        assert [event for event, _ in meanwhile] == [event for event, _ in before]
        assert meanwhile != before
        assert sum(map(len, dict(meanwhile).values())) < sum(map(len, dict(before).values())) / 1.5
        assert await at_work.verify(JANUARY) == 950
        assert await at_work.restore(JANUARY) == 950
    assert await old.rows() == before
    assert await old.tables() == {"journal_2026_01", "journal_2026_02"}
    async with old.connected() as connection:
        assert await connection.fetchval("SELECT count(*) FROM journal_frame") == 0
        indexes = await connection.fetch(
            "SELECT replace(indexdef, tablename, 't') AS d, tablename FROM pg_indexes WHERE tablename LIKE 'journal_2026%'"
        )
    shapes = {
        name: sorted(row["d"].split(" ON ")[1] for row in indexes if row["tablename"] == name)
        for name in await old.tables()
    }
    assert shapes["journal_2026_01"] == shapes["journal_2026_02"]


async def test_files_are_read_without_us(old: Old) -> None:
    async with old.archiver() as at_work:
        await at_work.archive(JANUARY, NOW)
    read = old.unpacked(JANUARY)
    events = [orjson.loads(line) for line in read.splitlines()]
    assert len(events) == 950
    assert events[0]["data"]["note"] == 'x"y'
    manifest = orjson.loads((old.files(JANUARY)[0].parent / "manifest.json").read_bytes())
    assert (manifest["events"], manifest["first"], manifest["last"]) == (
        950,
        events[0]["event_id"],
        events[-1]["event_id"],
    )
    assert [frame["events"] for frame in manifest["frames"]] == [200, 200, 200, 200, 150]


async def test_a_resync_is_answered_from_the_archive_as_from_the_journal(old: Old) -> None:
    """All facts and newest ones, of all records and of some, in the same order and to the byte."""
    asked: list[dict[str, Any]] = [
        {},
        {"kind": "state"},
        {"ids": old.subjects[:2]},
        {"ids": old.subjects[:2], "kind": "state"},
    ]
    whole = [await old.told(**one) for one in asked]
    assert [len(one) for one in whole] == [1010, 7, 290, 2]
    async with old.archiver() as at_work:
        await at_work.archive(JANUARY, NOW)
        await at_work.archive(FEBRUARY, NOW)
    with pytest.raises(ArchiveUnreachable):
        await old.told()
    keep_in(await old.bench.database("maker"), old.storage)
    assert [await old.told(**one) for one in asked] == whole


async def test_reconcile_sees_an_archived_journal_whole(old: Old) -> None:
    maker = await old.bench.database("maker")
    groups = {
        "maker": (),
        "follower": groups_of([following(old.bench.things, "follower.all")], old.bench.things.registry),
    }
    databases = {"maker": maker, "follower": await old.bench.database("follower")}
    before = await reconcile(databases, groups)
    async with old.archiver() as at_work:
        await at_work.archive(JANUARY, NOW)
    after = await reconcile(databases, groups)
    assert before.events == after.events == 1010
    assert after.holdings == before.holdings == []
    # It is not told that a group lacks nothing: that what it lacks is still seen, one by one.
    assert len(after.faults) == 1010


@pytest.mark.parametrize(
    "step", ["begun", "file written", "file noted", "manifest written", "about to commit", "in place"]
)
async def test_killed_at_any_step_of_archiving_it_goes_on_and_nothing_is_lost(old: Old, step: str) -> None:
    before = await old.rows()
    told = await old.told()
    keep_in(await old.bench.database("maker"), old.storage)
    await _killed(old, "archive", step)
    # Whatever was reached: every event is there, and told as before.
    assert [event for event, _ in await old.rows()] == [event for event, _ in before]
    assert await old.told() == told
    async with old.archiver() as at_work:
        if step == "in place":
            with pytest.raises(NotArchived, match="archived already"):
                await at_work.archive(JANUARY, NOW)
        else:
            assert await at_work.archive(JANUARY, NOW) == 950
        assert await old.told() == told
        assert await old.tables() == {"journal_2026_01", "journal_2026_02"}
        await at_work.restore(JANUARY)
    assert await old.rows() == before


@pytest.mark.parametrize("step", ["begun", "rows brought back", "about to commit", "in place"])
async def test_killed_at_any_step_of_bringing_back_it_goes_on_and_nothing_is_lost(old: Old, step: str) -> None:
    before = await old.rows()
    told = await old.told()
    keep_in(await old.bench.database("maker"), old.storage)
    async with old.archiver() as at_work:
        await at_work.archive(JANUARY, NOW)
    await _killed(old, "restore", step)
    assert await old.told() == told
    async with old.archiver() as at_work:
        if step == "in place":
            with pytest.raises(NotArchived, match="not archived"):
                await at_work.restore(JANUARY)
        else:
            assert await at_work.restore(JANUARY) == 950
    assert await old.rows() == before
    assert await old.tables() == {"journal_2026_01", "journal_2026_02"}


_VICTIM = """
import asyncio, datetime as dt, os, signal, sys
from crm_contracts import Envelope
from crm_events.archive import archiver as archiving, Storage
from crm_contracts import Registry, Topic
dsn, url, what, step = sys.argv[1:]
archiving.FILE_BYTES = 3_000
archiving.RESTORED_AT_ONCE = 2
seen = []
def told(reached):
    seen.append(reached)
    # Not the first file: so some are noted, and some not.
    if reached == step and (not step.startswith(("file", "rows")) or seen.count(step) == 2):
        os.kill(os.getpid(), signal.SIGKILL)
async def main():
    async with archiving.archiver(dsn, "maker", Storage(url), known=Registry(), expected=frozenset(), told=told) as at_work:
        month = dt.date(2026, 1, 1)
        await (at_work.archive(month, dt.datetime(2026, 11, 23, tzinfo=dt.UTC)) if what == "archive" else at_work.restore(month))
asyncio.run(main())
"""


async def _killed(old: Old, what: str, step: str) -> None:
    """A process that does it and dies at a step, by SIGKILL."""
    victim = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _VICTIM, old.bench.dsns["maker"], old.url, what, step
    )
    assert await asyncio.wait_for(victim.wait(), 120) == -signal.SIGKILL
    async with old.connected() as connection:
        # The server notices the death a moment later, and gives the lock back.
        await until(lambda: _unlocked(connection), "the dead process's lock is free")


async def _unlocked(connection: Any) -> bool:
    return not await connection.fetchval(
        "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database "
        "WHERE l.locktype = 'advisory' AND d.datname = current_database()"
    )


async def test_two_at_once_are_one_after_the_other(old: Old) -> None:
    async with old.archiver():
        with pytest.raises(NotArchived, match="another process"):
            async with old.archiver():
                pass


@pytest.mark.parametrize("harm", ["changed", "shortened", "gone", "exchanged"])
async def test_a_damaged_file_is_refused_and_named(old: Old, harm: str) -> None:
    keep_in(await old.bench.database("maker"), old.storage)
    async with old.archiver() as at_work:
        await at_work.archive(JANUARY, NOW)
        await at_work.archive(FEBRUARY, NOW)
        january, february = old.files(JANUARY)[0], old.files(FEBRUARY)[0]
        content = bytearray(january.read_bytes())
        if harm == "changed":
            content[len(content) // 2] ^= 1
        elif harm == "shortened":
            del content[-10:]
        elif harm == "exchanged":
            content = bytearray(february.read_bytes() * 20)
        january.write_bytes(content)
        if harm == "gone":
            january.unlink()
        error = ArchiveUnreachable if harm == "gone" else ArchiveDamaged
        for attempt in (at_work.verify(JANUARY), at_work.restore(JANUARY), old.told()):
            with pytest.raises(error, match=r"maker/journal/2026-01/.*000001\.ndjson\.gz"):
                await attempt
        # What is read back by itself has not changed the journal.
        assert len(await old.rows()) == 1010
        assert await at_work.verify(FEBRUARY) == 60


async def test_a_file_that_does_not_read_back_as_written_leaves_the_month_where_it_is(
    old: Old, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await old.rows()
    write = Storage.write

    async def badly(self: Storage, file: str, content: bytes) -> None:
        await write(self, file, content[:-1] + b"x")

    monkeypatch.setattr(Storage, "write", badly)
    async with old.archiver() as at_work:
        with pytest.raises(ArchiveDamaged, match="000001"):
            await at_work.archive(JANUARY, NOW)
    assert await old.rows() == before


def test_a_frame_with_other_events_than_noted_is_refused() -> None:
    line = b'{"event_id": "01900000-0000-7000-8000-000000000001", "data": {}}'
    frame, written = packed("f", 0, [(uuid.UUID("01900000-0000-7000-8000-000000000001"), line)])
    assert unpacked(frame, written) == [(frame.first, line)]
    with pytest.raises(ArchiveDamaged):
        unpacked(frame, packed("f", 0, [(frame.first, line + b" ")])[1])


# -- nothing goes that somebody needs -------------------------------------------------------------------------------------


async def _published(old: Old, *, next: int = 951, head: int = 950) -> uuid.UUID:
    """January's events, numbered on one partition."""
    stream = uuid.uuid4()
    low, high = bounds(JANUARY)
    async with old.connected() as connection:
        await connection.execute(
            "INSERT INTO stream VALUES ($1, $2, 0, true, $3, $4, $5, 's', now())",
            stream,
            old.bench.things.topic.name,
            head,
            next - 1,
            next,
        )
        await connection.execute(
            "INSERT INTO publication SELECT $1, row_number() OVER (ORDER BY event_id), event_id FROM journal "
            "WHERE event_id BETWEEN $2 AND $3",
            stream,
            low,
            high,
        )
    return stream


async def _report(old: Old, stream: uuid.UUID, watermark: int, service: str = "follower") -> None:
    async with old.connected() as connection:
        await connection.execute(
            "INSERT INTO group_report VALUES ($1, $2, 0, $3, $4, $5, now())",
            f"{service}.all",
            old.bench.things.topic.name,
            service,
            str(stream),
            watermark,
        )


async def _outbox(old: Old) -> None:
    async with old.connected() as connection:
        await connection.execute(
            "INSERT INTO outbox (event_id, topic, subject) SELECT event_id, topic, subject FROM journal LIMIT 1"
        )


async def _not_acknowledged(old: Old) -> None:
    await _report(old, await _published(old, next=950), 950)


async def _behind(old: Old) -> None:
    await _report(old, await _published(old), 949)


async def _other_numbering(old: Old) -> None:
    await _published(old)
    await _report(old, uuid.uuid4(), 2_000)


async def _silent(old: Old) -> None:
    await _published(old)


async def _told_again(old: Old) -> None:
    await _report(old, await _published(old), 950)
    async with old.connected() as connection:
        await connection.execute(
            "INSERT INTO resync_answer (request_id, attempt, group_name, topic, kind, sent, taken, complete, heard_at) "
            "VALUES (gen_random_uuid(), 1, 'follower.all', 't', 'state', 0, 0, false, now())"
        )


@pytest.mark.parametrize(
    ("need", "said"),
    [
        (_outbox, "1 events are not on the bus yet"),
        (_not_acknowledged, "the bus lacks 1 events"),
        (_behind, "follower.all lacks 1 events"),
        (_other_numbering, "follower.all lacks 950 events"),
        (_silent, "follower lacks 950 events"),
        (_told_again, "follower.all is being told again"),
    ],
)
async def test_nothing_is_archived_that_somebody_still_needs(old: Old, need: Any, said: str) -> None:
    before = await old.rows()
    await need(old)
    async with old.archiver(expected=None) as at_work:
        with pytest.raises(NotArchived, match=said):
            await at_work.archive(JANUARY, NOW)
        assert [one.state for one in await months(at_work.connection)] == [None, None]
    assert await old.rows() == before
    assert not old.files(JANUARY), "it is seen before anything is written"


async def test_what_all_have_is_archived_and_a_tombstone_is_nobodys(old: Old) -> None:
    stream = await _published(old)
    await _report(old, stream, 949)
    async with old.connected() as connection:
        await connection.execute("UPDATE publication SET tombstone = true WHERE number = 950")
    async with old.archiver(expected=None) as at_work:
        assert await at_work.archive(JANUARY, NOW) == 950


async def test_a_need_that_arises_while_it_is_written_is_seen(old: Old) -> None:
    """A consumer's database is restored meanwhile: the last look is in the transaction that changes the journal."""
    before = await old.rows()
    stream = await _published(old)
    await _report(old, stream, 950)

    async with old.archiver(expected=None) as first:
        second = Archiver(first.connection, "maker", old.storage, first.known, None, lambda _: None)
        write = old.storage.write

        async def restored(file: str, content: bytes) -> None:
            await write(file, content)
            if file.endswith("manifest.json"):
                async with old.connected() as connection:
                    await connection.execute("UPDATE group_report SET watermark = 3")

        old.storage.write = restored  # type: ignore[method-assign]
        with pytest.raises(NotArchived, match=r"follower\.all lacks 947 events"):
            await second.archive(JANUARY, NOW)
    assert await old.rows() == before


async def test_a_file_is_noted_together_with_its_rows_or_not_at_all(old: Old) -> None:
    write = old.storage.write

    async def then_refusing(file: str, content: bytes) -> None:
        await write(file, content)
        async with old.connected() as connection:
            await connection.execute(
                "ALTER TABLE journal_2026_01_slim ADD CONSTRAINT refusing CHECK (version < 0) NOT VALID"
            )

    old.storage.write = then_refusing  # type: ignore[method-assign]
    async with old.archiver() as at_work:
        with pytest.raises(asyncpg.CheckViolationError):
            await at_work.archive(JANUARY, NOW)
        assert await at_work.connection.fetchval("SELECT count(*) FROM journal_frame") == 0
        await at_work.connection.execute("ALTER TABLE journal_2026_01_slim DROP CONSTRAINT refusing")
        old.storage.write = write  # type: ignore[method-assign]
        assert await at_work.archive(JANUARY, NOW) == 950


async def test_an_event_that_comes_while_it_is_written_is_not_lost(old: Old) -> None:
    write = old.storage.write
    late = uuid.UUID(int=bounds(JANUARY)[0].int + 1)

    async def overtaken(file: str, content: bytes) -> None:
        await write(file, content)
        if file.endswith("manifest.json"):
            async with old.connected() as connection:
                await connection.execute(
                    "INSERT INTO journal SELECT $1, topic, type, subject, 9999, time, occurred_at, write_id, actor_id, traceparent, data "
                    "FROM journal LIMIT 1",
                    late,
                )

    old.storage.write = overtaken  # type: ignore[method-assign]
    async with old.archiver() as at_work:
        with pytest.raises(NotArchived, match="got events meanwhile"):
            await at_work.archive(JANUARY, NOW)
        old.storage.write = write  # type: ignore[method-assign]
        before = await old.rows()
        assert await at_work.archive(JANUARY, NOW) == 951
        await at_work.restore(JANUARY)
    assert await old.rows() == before


async def test_an_event_that_is_recorded_into_an_archived_month_is_read_and_kept(old: Old) -> None:
    keep_in(await old.bench.database("maker"), old.storage)
    async with old.archiver() as at_work:
        await at_work.archive(JANUARY, NOW)
        async with old.connected() as connection:
            await old.fill(connection, dt.date(2026, 1, 1), 0)
            await connection.execute(
                "INSERT INTO journal SELECT $1, topic, type, subject, 500, time, occurred_at, write_id, actor_id, traceparent, "
                "data FROM journal WHERE event_id >= $2 LIMIT 1",
                uuid.UUID(int=bounds(FEBRUARY)[0].int - 1),
                bounds(FEBRUARY)[0],
            )
        told = await old.told()
        assert len(told) == 1011
        assert await at_work.restore(JANUARY) == 950
    keep_in(await old.bench.database("maker"), None)
    assert await old.told() == told


# -- what is due ----------------------------------------------------------------------------------------------------------


async def test_months_older_than_kept_are_archived_and_what_was_brought_back_stays(old: Old) -> None:
    settings = await old.bench.settings("maker", expected_services=frozenset())
    registry = old.bench.things.registry
    await archive_due(settings, registry, old.storage, 10, dt.datetime(2026, 11, 30, 23, tzinfo=dt.UTC))
    async with old.connected() as connection:
        assert [one.state for one in await months(connection)] == [None, None]
    await archive_due(settings, registry, old.storage, 10, dt.datetime(2026, 12, 1, tzinfo=dt.UTC))
    async with old.archiver() as at_work:
        found = await months(at_work.connection)
        assert [(one.month, one.state, one.events) for one in found] == [
            (JANUARY, "archived", 950),
            (FEBRUARY, None, 0),
        ]
        await at_work.restore(JANUARY)
    await archive_due(settings, registry, old.storage, 10, dt.datetime(2026, 12, 1, tzinfo=dt.UTC))
    async with old.archiver() as at_work:
        assert [one.state for one in await months(at_work.connection)] == ["restored", None]
        assert due(await months(at_work.connection), dt.date(2030, 1, 1), 0) == []
        assert await at_work.archive(JANUARY, NOW) == 950, "by an operator's word"


async def test_a_month_that_is_not_over_or_not_there_is_refused(old: Old) -> None:
    async with old.archiver() as at_work:
        with pytest.raises(NotArchived, match="not over"):
            await at_work.archive(FEBRUARY, dt.datetime(2026, 2, 28, 23, 59, tzinfo=dt.UTC))
        with pytest.raises(NotArchived, match="no month"):
            await at_work.archive(dt.date(2025, 1, 1), NOW)
        with pytest.raises(NotArchived, match="not archived"):
            await at_work.restore(JANUARY)
        with pytest.raises(NotArchived, match="not archived"):
            await at_work.verify(JANUARY)


async def test_readers_that_never_let_go_leave_the_month_where_it_is(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archiving, "LOCK_TIMEOUT", "100ms")
    monkeypatch.setattr(archiving, "PAUSE_SECONDS", 0.01)
    before = await old.rows()
    async with old.connected() as reader, old.archiver() as at_work:
        async with reader.transaction():
            await reader.fetchval("SELECT count(*) FROM journal")
            with pytest.raises(NotArchived, match="readers held the journal"):
                await at_work.archive(JANUARY, NOW)
        assert await old.rows() == before
        assert await at_work.archive(JANUARY, NOW) == 950


async def test_an_event_that_is_in_no_file_is_not_passed_over(old: Old) -> None:
    async with old.archiver() as at_work:
        await at_work.archive(JANUARY, NOW)
        with pytest.raises(ArchiveUnreachable, match="in no file"):
            await contents(at_work.connection, old.storage, [bounds(FEBRUARY)[0]])
        with pytest.raises(ArchiveUnreachable, match="CRM_ARCHIVE_URL"):
            await contents(at_work.connection, None, [bounds(JANUARY)[0]])
        assert await contents(at_work.connection, None, []) == {}


async def test_archived_events_are_sent_again_as_they_were(old: Old) -> None:
    """A consumer's database was restored to before they were archived: the relay puts their numbers back (rule 8)."""
    stream = await _published(old)
    whole = await _sendable(old, stream, old.storage)
    async with old.archiver() as at_work:
        await at_work.archive(JANUARY, NOW)
    assert await _sendable(old, stream, old.storage) == whole
    assert len(whole) == 950
    with pytest.raises(ArchiveUnreachable):
        await _sendable(old, stream, None)


async def _sendable(old: Old, stream: uuid.UUID, storage: Storage | None) -> list[Envelope]:
    ledger = await Ledger.connect(old.bench.dsns["maker"], "maker", storage)
    assert ledger is not None
    try:
        return await ledger.numbered(stream, 1, 950)
    finally:
        await ledger.close()


async def test_what_is_older_than_all_months_stays_whole(old: Old) -> None:
    """The default partition is no month: nothing of it goes, and it is told as before."""
    before = await old.told()
    async with old.connected() as connection:
        await connection.execute(
            "INSERT INTO journal SELECT $1, topic, type, $2, 1, time, occurred_at, write_id, actor_id, traceparent, data "
            "FROM journal LIMIT 1",
            first_id_at(dt.datetime(2024, 5, 5, tzinfo=dt.UTC)),
            uuid.UUID(int=99),
        )
        assert await connection.fetchval("SELECT count(*) FROM journal_rest") == 1
        rest = await connection.fetch("SELECT r::text FROM journal_rest r")
    settings = await old.bench.settings("maker", expected_services=frozenset())
    await archive_due(settings, old.bench.things.registry, old.storage, 1, NOW)
    async with old.archiver() as at_work:
        assert [(one.month, one.state) for one in await months(at_work.connection)] == [
            (JANUARY, "archived"),
            (FEBRUARY, "archived"),
        ]
        with pytest.raises(NotArchived, match="no month"):
            await at_work.archive(dt.date(2024, 5, 1), NOW)
    async with old.connected() as connection:
        assert await connection.fetch("SELECT r::text FROM journal_rest r") == rest
    keep_in(await old.bench.database("maker"), old.storage)
    assert (await old.told())[1:] == before


async def test_a_storage_that_has_not_what_was_archived_before_gets_nothing_more(old: Old, tmp_path: Path) -> None:
    """A folder that is not mounted looks like an empty one."""
    async with old.archiver() as at_work:
        await at_work.archive(JANUARY, NOW)
    before = await old.rows()
    unmounted = tmp_path / "not mounted"
    kept, old.storage = old.storage, Storage(unmounted.as_uri())
    async with old.archiver() as at_work:
        with pytest.raises(ArchiveUnreachable, match="2026-01"):
            await at_work.archive(FEBRUARY, NOW)
    assert await old.rows() == before
    assert list(unmounted.rglob("*")) == []
    old.storage = kept
    async with old.archiver() as at_work:
        assert await at_work.archive(FEBRUARY, NOW) == 60


async def test_a_backup_older_than_the_archiving_has_the_month_whole_and_archives_it_again(
    old: Old, make_database: MakeDatabase
) -> None:
    """The database as it was before, in the middle, and after; each with the files as they are now."""
    before = await old.rows()
    dsn = old.bench.dsns["maker"]
    # A database that somebody uses can't be copied.
    await old.bench.databases["maker"].close()
    backups = [make_database(dsn.rpartition("/")[2])]

    class Stopped(Exception):
        pass

    def stop_at_the_first(reached: str) -> None:
        if reached == "file noted":
            raise Stopped

    async with old.archiver() as at_work:
        with pytest.raises(Stopped):
            await Archiver(
                at_work.connection, "maker", old.storage, at_work.known, frozenset(), stop_at_the_first
            ).archive(JANUARY, NOW)
    backups.append(make_database(dsn.rpartition("/")[2]))
    async with old.archiver() as at_work:
        assert await at_work.archive(JANUARY, NOW) == 950
    backups.append(make_database(dsn.rpartition("/")[2]))
    async with old.archiver() as at_work:
        await at_work.restore(JANUARY)
    files = {file: file.read_bytes() for file in old.files(JANUARY)}
    for backup, states in zip(backups, ([None], ["writing"], ["archived"]), strict=True):
        old.bench.dsns["maker"] = backup
        async with old.archiver() as at_work:
            assert [one.state for one in await months(at_work.connection)][:1] == states
            if states != ["archived"]:
                assert await at_work.archive(JANUARY, NOW) == 950
            assert await at_work.verify(JANUARY) == 950
            assert {file: file.read_bytes() for file in files} == files, "a file that is there is never changed"
            await at_work.restore(JANUARY)
        assert await old.rows() == before


async def test_what_was_brought_back_since_its_row_was_read_is_answered_whole(old: Old) -> None:
    async with old.archiver() as at_work:
        whole = await at_work.connection.fetch("SELECT event_id, data::text FROM journal ORDER BY event_id LIMIT 3")
        await at_work.archive(JANUARY, NOW)
        await at_work.restore(JANUARY)
        found = await contents(at_work.connection, old.storage, [row["event_id"] for row in whole])
    assert found == {uuid.UUID(int=row["event_id"].int): row["data"].encode() for row in whole}


async def test_an_archived_month_is_frozen_and_its_planner_knows_it(old: Old) -> None:
    async with old.archiver() as at_work:
        await at_work.archive(JANUARY, NOW)
        known = "SELECT reltuples::int, relallvisible = relpages FROM pg_class WHERE relname = 'journal_2026_01'"
        assert tuple(await at_work.connection.fetchrow(known)) == (950, True)
        await at_work.restore(JANUARY)
        assert tuple(await at_work.connection.fetchrow(known)) == (950, True)


class _Bucket(http.server.BaseHTTPRequestHandler):
    """As much of S3's interface as archives use."""

    kept: ClassVar[dict[str, bytes]] = {}
    #: While it is not set, nothing is answered that is asked for.
    answering: ClassVar[threading.Event] = threading.Event()
    #: How many have asked.
    asked: ClassVar[list[str]] = []

    def do_PUT(self) -> None:
        self.kept[self.path] = self.rfile.read(int(self.headers["content-length"]))
        self._answer(200, b"")

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.answering.wait(60)
        content = self.kept.get(self.path)
        if content is None:
            self._answer(404, b"")
            return
        asked = self.headers.get("range")
        if asked is None:
            self._answer(200, content)
            return
        first, last = (int(n) for n in asked.removeprefix("bytes=").split("-"))
        self._answer(206, content[first : last + 1], f"bytes {first}-{min(last, len(content) - 1)}/{len(content)}")

    def _answer(self, status: int, content: bytes, content_range: str | None = None) -> None:
        self.send_response(status)
        self.send_header("etag", '"1"')
        self.send_header("last-modified", "Mon, 23 Nov 2026 12:00:00 GMT")
        self.send_header("content-length", str(len(content)))
        if content_range is not None:
            self.send_header("content-range", content_range)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Bucket)
    _Bucket.kept.clear()
    _Bucket.asked.clear()
    _Bucket.answering.set()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "archive",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "eu-west-1",
    }.items():
        monkeypatch.setenv(name, value)
    yield "s3://journals/company"
    _Bucket.answering.set()
    server.shutdown()
    server.server_close()


async def test_what_speaks_s3_keeps_an_archive_as_a_folder_does(old: Old, bucket: str) -> None:
    before = await old.rows()
    old.storage = Storage(bucket)
    async with old.archiver() as at_work:
        await at_work.archive(JANUARY, NOW)
        assert {path.split("/")[:5][1] for path in _Bucket.kept} == {"journals"}
        assert await at_work.verify(JANUARY) == 950
        (file,) = [path for path in _Bucket.kept if path.endswith(".gz")]
        whole, _Bucket.kept[file] = _Bucket.kept[file], _Bucket.kept[file][:-5]
        with pytest.raises((ArchiveDamaged, ArchiveUnreachable), match=r"000001\.ndjson\.gz"):
            await at_work.verify(JANUARY)
        _Bucket.kept[file] = whole
        await at_work.restore(JANUARY)
    assert await old.rows() == before


async def test_a_storage_that_hangs_holds_up_a_few_readers_and_refuses_the_others(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each reader has a database connection meanwhile: all of them would be all that a process has."""
    monkeypatch.setattr(storing, "READ_SECONDS", 60.0)
    monkeypatch.setattr(storing, "TURN_SECONDS", 0.1)
    storage = Storage(bucket)
    await storage.write("a file", b"0123456789")
    _Bucket.answering.clear()
    hanging = [asyncio.create_task(storage.ranges("a file", [(2, 3)])) for _ in range(storing.READERS)]

    async def all_asked() -> bool:
        return len(_Bucket.asked) == storing.READERS

    await until(all_asked, "the storage is asked by as many as may")
    with pytest.raises(ArchiveUnreachable, match="others wait for the storage"):
        await storage.ranges("a file", [(0, 1)])
    assert not any(task.done() for task in hanging)
    assert len(_Bucket.asked) == storing.READERS
    _Bucket.answering.set()
    assert await asyncio.gather(*hanging) == [[b"234"]] * storing.READERS
    assert await storage.ranges("a file", [(0, 1)]) == [b"0"], "their turns are given back"


@pytest.mark.parametrize("url", ["ftp://host/folder", "nonsense", "file:///proc/nowhere"])
def test_an_address_that_is_no_storage_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="is no storage"):
        Storage(url)

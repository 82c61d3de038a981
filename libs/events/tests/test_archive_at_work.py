"""The archive beside everything else: what a worker does by itself, and who waits when the storage is away."""

import asyncio
import datetime as dt
import shutil
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from crm_events import Worker, metrics
from crm_events.archive import Storage, keep_in
from crm_events.archive.archiver import months
from crm_events.archive.keeping import Keeping, Standing
from crm_events.relay import leader
from crm_events.resync import ask_store
from crm_events.topics import partition_of
from crm_kernel.clock import FixedClock
from crm_testing.archived import LONG_AGO, at_the_archive, recorded_long_ago
from crm_testing.servers import MakeDatabase

from .conftest import Bench, context, following, open_bench, things, until
from .test_archive import FEBRUARY, JANUARY, Old

#: When January is older than ten months, and February is not.
DECEMBER = dt.datetime(2026, 12, 1, tzinfo=dt.UTC)
ALL, OTHER = "follower.all", "follower.other"


@pytest.fixture
async def old(make_database: MakeDatabase, template: str, tmp_path: Path) -> AsyncIterator[Old]:
    # No broker: what a worker does for the archive needs none.
    async with open_bench("127.0.0.1:1", True, lambda: make_database(template), things()) as bench:
        yield await Old.made(bench, tmp_path / "the archive")


async def _worker(old: Old, keep: int) -> Worker:
    database = await old.bench.database("maker")
    settings = await old.bench.settings("maker", expected_services=frozenset())
    return Worker(settings, database, known=old.bench.things.registry, clock=FixedClock(DECEMBER), keep_months=keep)


async def _states(old: Old) -> list[tuple[dt.date, str | None]]:
    async with old.connected() as connection:
        found = {one.month: one.state for one in await months(connection)}
    return [(month, found[month]) for month in (JANUARY, FEBRUARY)]


async def test_workers_archive_what_is_due_by_themselves_one_of_them_at_a_time(old: Old) -> None:
    keep_in(await old.bench.database("maker"), old.storage)
    told = await old.told()
    first, second = await _worker(old, 10), await _worker(old, 10)
    async with old.bench.running(first, second):

        async def archived() -> bool:
            return await _states(old) == [(JANUARY, "archived"), (FEBRUARY, None)]

        await until(archived, "January is archived", 120)
    assert await old.told() == told
    assert len({file.parent for file in old.files(JANUARY)}) == 1, "written once"


@pytest.mark.parametrize(("keep", "named"), [(0, True), (10, False)])
async def test_a_worker_archives_nothing_where_all_is_kept_or_no_storage_is_named(
    old: Old, keep: int, named: bool
) -> None:
    database = await old.bench.database("maker")
    keep_in(database, old.storage if named else None)
    keeping = (await _worker(old, keep)).keeping
    stop = asyncio.Event()
    # It has nothing to do, so it ends by itself.
    await asyncio.wait_for(keeping._archiving(stop), 60)
    assert await _states(old) == [(JANUARY, None), (FEBRUARY, None)]


async def test_a_worker_that_is_stopped_leaves_the_month_for_the_next_one(old: Old) -> None:
    keep_in(await old.bench.database("maker"), old.storage)
    before = await old.rows()
    write, writing, never = old.storage.write, asyncio.Event(), asyncio.Event()

    async def hanging(file: str, content: bytes) -> None:
        writing.set()
        await never.wait()

    old.storage.write = hanging  # type: ignore[method-assign]
    worker = await _worker(old, 10)
    async with old.bench.running(worker):
        await asyncio.wait_for(writing.wait(), 120)
    assert await old.rows() == before
    assert await _states(old) == [(JANUARY, "writing"), (FEBRUARY, None)]
    old.storage.write = write  # type: ignore[method-assign]
    async with old.archiver() as at_work:
        assert await at_work.archive(JANUARY, DECEMBER) == 950


async def test_nothing_holds_back_the_vacuum_while_a_month_is_written(old: Old) -> None:
    """A month may take an hour: a transaction that is open as long would let every table grow."""
    keep_in(await old.bench.database("maker"), old.storage)
    write, open_ones = old.storage.write, []

    async def watched(file: str, content: bytes) -> None:
        async with old.connected() as connection:
            open_ones.append(
                await connection.fetchval(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
                    "AND (backend_xid IS NOT NULL OR state LIKE 'idle in transaction%')"
                )
            )
        await write(file, content)

    old.storage.write = watched  # type: ignore[method-assign]
    worker = await _worker(old, 10)
    async with old.bench.running(worker):

        async def archived() -> bool:
            return await _states(old) == [(JANUARY, "archived"), (FEBRUARY, None)]

        await until(archived, "January is archived", 120)
    assert 0 in open_ones


async def test_a_worker_tells_what_is_archived_what_is_overdue_and_that_nobody_says_where(old: Old) -> None:
    database = await old.bench.database("maker")
    keep_in(database, old.storage)
    keeping = Keeping(await old.bench.settings("maker"), database, old.bench.things.registry, 9, FixedClock(DECEMBER))
    await keeping.looked.look()
    assert (keeping.looked.now, keeping.warning()) == (Standing(archived=0, overdue=2), None)
    async with old.archiver() as at_work:
        await at_work.archive(JANUARY, DECEMBER)
    await keeping.looked.look()
    assert (keeping.looked.now, keeping.warning()) == (Standing(archived=1, overdue=1), None)
    keep_in(database, None)
    assert keeping.warning() == "1 months are archived, and CRM_ARCHIVE_URL does not say where"
    worker = await _worker(old, 0)
    await worker.keeping.looked.look()
    assert "CRM_ARCHIVE_URL" in (worker.warning() or "")


async def test_failures_are_counted_by_their_cause(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[Any] = []
    monkeypatch.setattr(metrics.archive_failures, "add", lambda count, labels: counted.append((count, labels["cause"])))
    database = await old.bench.database("maker")
    async with old.archiver() as at_work:
        await at_work.archive(JANUARY, DECEMBER)
    for storage, harm in ((None, "unreachable"), (old.storage, "damaged")):
        keep_in(database, storage)
        if harm == "damaged":
            file = old.files(JANUARY)[0]
            file.write_bytes(b"x" * len(file.read_bytes()))
        with pytest.raises(Exception, match=r"CRM_ARCHIVE_URL|not what was written"):
            await old.told()
    assert counted == [(1, "unreachable"), (1, "damaged")]


# -- on a bus -------------------------------------------------------------------------------------------------------------


def _partition(bench: Bench, subject: uuid.UUID) -> int:
    return partition_of(str(subject).encode(), bench.things.topic.partitions)


async def test_a_partition_whose_archived_events_cannot_be_read_waits_and_the_others_go_on(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leader, "ARCHIVE_SECONDS", 0.05)
    maker, follower = await bench.worker("maker"), await bench.worker("follower", [following(bench.things, ALL)])
    async with bench.running(maker, follower):
        await bench.write(create=12)
        await bench.followed("follower", ALL)
    archived = _partition(bench, bench.names[0])
    here = [name for name in bench.names if _partition(bench, name) == archived]
    others = [name for name in bench.names if name not in here]
    assert others, "twelve records in three partitions"
    dsn = bench.dsns["maker"]
    assert await recorded_long_ago(dsn, *here) == len(here)
    async with at_the_archive(dsn, "maker", tmp_path / "archive") as (archiver, _):
        await archiver.archive(LONG_AGO, dt.datetime.now(dt.UTC))
        # As the relay puts back what a restored consumer lacks (rule 8).
        await archiver.connection.execute("UPDATE stream SET next = 1 WHERE partition = $1", archived)
    database = await bench.database("maker")
    elsewhere = tmp_path / "elsewhere"
    keep_in(database, Storage(elsewhere.as_uri()))
    maker = await bench.worker("maker")
    follower = await bench.worker("follower", [following(bench.things, ALL)])
    async with bench.running(maker, follower):
        await bench.write(change=bench.names)

        async def done(wanted: set[uuid.UUID]) -> bool:
            return {subject for subject, version in await bench.effects("follower", ALL) if version == 2} == wanted

        await until(lambda: done(set(others)), "the other partitions go on", 60)

        async def said() -> bool:
            return f"{bench.things.topic.name}/{archived} waits for the archive" in (maker.warning() or "")

        await until(said, "the worker says which partition waits", 60)
        assert await done(set(others)), "what follows archived events is not sent before them"
        shutil.copytree(tmp_path / "archive", elsewhere, dirs_exist_ok=True)
        await until(lambda: done(set(bench.names)), "the partition goes on by itself", 60)
        assert "archive" not in (maker.warning() or "")
    await bench.followed("follower", ALL)


async def test_a_resync_that_waits_for_the_archive_keeps_no_other_from_its_answer(bench: Bench, tmp_path: Path) -> None:
    reactions = [following(bench.things, group, resync="journal") for group in (ALL, OTHER)]
    maker, follower = await bench.worker("maker"), await bench.worker("follower", reactions)
    async with bench.running(maker, follower):
        await bench.write(create=2)
        await bench.followed("follower", ALL)
        await bench.followed("follower", OTHER)
    away, here = bench.names
    assert await recorded_long_ago(bench.dsns["maker"], away) == 1
    async with at_the_archive(bench.dsns["maker"], "maker", tmp_path / "archive") as (archiver, _):
        await archiver.archive(LONG_AGO, dt.datetime.now(dt.UTC))
    elsewhere = tmp_path / "elsewhere"
    keep_in(await bench.database("maker"), Storage(elsewhere.as_uri()))
    database = await bench.database("follower")
    asked = []
    for group, subject in ((ALL, away), (OTHER, here)):
        async with database.write(context()) as session:
            asked += await ask_store.ask(
                session, group=group, topic=bench.things.topic.name, kind="journal", ids=[subject], reason="test"
            )

    async def states() -> list[str]:
        async with database.read() as session:
            found = {one.id: one.state for one in await ask_store.some(session, asked)}
        return [found[one] for one in asked]

    async def answered(*wanted: bool) -> bool:
        return [state == "complete" for state in await states()] == list(wanted)

    maker, follower = await bench.worker("maker"), await bench.worker("follower", reactions)
    async with bench.running(maker, follower):
        await until(lambda: answered(False, True), "the request that needs no archive is answered", 60)
        shutil.copytree(tmp_path / "archive", elsewhere, dirs_exist_ok=True)
        await until(lambda: answered(True, True), "the other one is answered when the archive is back", 90)

"""JOBS_1 makes the tables that the code declares; what runners and lists ask goes by indexes; what ended long ago is forgotten."""

import datetime as dt

import asyncpg
import pytest

from crm_jobs import store
from crm_jobs.rules import KEPT, LEASE
from crm_jobs.service_jobs import _purge
from crm_jobs.tables import metadata
from crm_kernel import new_id
from crm_testing.declared import require_declared

from .conftest import Works

_MANY = """
INSERT INTO job (id, version, kind, state, asked_by, parameters, done, failed, attempts, waits, run_after, created_at, finished_at)
SELECT uuidv7(), 1, 'k', CASE WHEN n % 500 = 0 THEN 'queued' ELSE 'succeeded' END, md5((n % 200)::text)::uuid, '{}', 0, 0, 0, 0,
       now() - n * interval '1 s', now() - n * interval '1 s', CASE WHEN n % 500 = 0 THEN NULL ELSE now() END
FROM generate_series(1, 20000) AS g(n)
"""
_ROWS = """
INSERT INTO job_row (job_id, index, status)
SELECT $1, n, CASE WHEN n % 1000 = 0 THEN 'error' ELSE 'ok' END FROM generate_series(1, 30000) AS g(n)
"""


async def test_the_statements_make_the_declared_tables(mill_dsn: str) -> None:
    await require_declared(mill_dsn, metadata.sorted_tables)


@pytest.mark.requirement("PL-40")
async def test_among_many_jobs_everything_goes_by_indexes(works: Works) -> None:
    await works.change(_MANY)
    (someone,) = await works.running.rows("SELECT id, asked_by FROM job LIMIT 1")
    await works.change(_ROWS, someone["id"])
    connection = await asyncpg.connect(works.running.dsn)
    try:
        await connection.execute("VACUUM ANALYZE job, job_row")
    finally:
        await connection.close()

    async def plan(sql: str, *arguments: object) -> str:
        async with works.running.database.pool.acquire() as asked, asked.transaction(readonly=False):
            return "\n".join(row[0] for row in await asked.fetch(f"EXPLAIN {sql}", *arguments))

    now = works.running.clock.now()
    assert "ix_job_due" in await plan(store._TAKE, new_id(), LEASE, ["k"], now)
    for after in (False, True):
        listed = store._page(after, 51)
        place = {"at": now, "last": new_id()} if after else {}
        found = await plan(listed.sql, *listed.arguments({"person": someone["asked_by"], **place}))
        assert "ix_job_asked_by" in found, found
        for status, index in ((None, "pk_job_row"), ("error", "ix_job_row_error")):
            rows = store._rows(status, after, 201)  # type: ignore[arg-type]
            found = await plan(rows.sql, *rows.arguments({"id": someone["id"], **({"last": 7} if after else {})}))
            assert index in found, found
    counted = store._HOW_MANY_OPEN
    found = await plan(counted.sql, *counted.arguments({"person": someone["asked_by"]}))
    assert "Seq Scan" not in found, found


@pytest.mark.requirement("PL-40")
async def test_what_ended_long_ago_is_forgotten_and_nothing_else(works: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crm_jobs.service_jobs._PURGED_AT_ONCE", 4)
    old = await works.asks(9)
    await works.running.work()
    works.running.clock.advance(dt.timedelta(days=2))
    young = await works.asks(3)
    await works.running.work()
    waiting = await works.asks(1)
    await _purge(works.running.database, works.running.clock.now() + KEPT - dt.timedelta(days=1))
    assert {str(row["id"]) for row in await works.running.rows("SELECT id FROM job")} == {young, waiting}
    left = await works.running.rows("SELECT DISTINCT job_id FROM job_row")
    assert {str(row["job_id"]) for row in left} == {young}
    assert old not in {young, waiting}

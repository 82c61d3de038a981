"""Following a job: server-sent events, read from the database, whoever works on it."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson
import pytest
import uvicorn

from crm_jobs import progress

from .conftest import Works
from .mill import HANDFUL, MILL

pytestmark = pytest.mark.requirement("PL-40")


@asynccontextmanager
async def followed(works: Works, job: str, token: str | None = None) -> AsyncIterator[tuple[httpx.Response, Any]]:
    """The stream of a job over a real connection: the client of the other tests has no answer before it is whole."""
    config = uvicorn.Config(works.running.app, host="127.0.0.1", port=0, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  (uvicorn has no event for it)
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        headers = {"authorization": f"Bearer {token or works.caller().token}"}
        async with (
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client,
            client.stream("GET", f"/api/sales/v1/jobs/{job}/progress", headers=headers) as answer,
        ):
            yield answer, events(answer)
    finally:
        server.should_exit = True
        await serving


async def events(answer: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    """What is told; comments as {"comment": …}."""
    told: dict[str, Any] = {}
    async for line in answer.aiter_lines():
        if line.startswith(":"):
            yield {"comment": line[1:].strip()}
        elif line:
            name, _, value = line.partition(": ")
            told[name] = value
        elif told:
            assert told["event"] == "job"
            body = orjson.loads(told["data"])
            assert told["id"] == str(body["version"])
            yield body
            told = {}


async def test_a_job_is_followed_from_the_queue_to_its_end(works: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LOOK_EVERY", 0.02)
    job = await works.asks(3 * HANDFUL)
    async with followed(works, job) as (answer, told):
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-accel-buffering"] == "no"
        assert (await anext(told))["state"] == "queued"
        MILL.gate.clear()
        working = asyncio.create_task(works.runner().run_due())
        assert (await anext(told))["state"] == "running"
        MILL.gate.set()
        rest = [event async for event in told]
        await working
    assert rest[-1]["state"] == "succeeded"
    assert rest[-1]["done"] == 3 * HANDFUL
    assert [event["version"] for event in rest] == sorted({event["version"] for event in rest})
    async with followed(works, job) as (_, told):
        assert [event["state"] async for event in told] == ["succeeded"]


async def test_a_stream_with_nothing_to_tell_says_that_it_is_there(
    works: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LOOK_EVERY", 0.02)
    monkeypatch.setattr(progress, "KEEP_ALIVE", 0.1)
    job = await works.asks(1)
    async with followed(works, job) as (_, told):
        assert (await anext(told))["state"] == "queued"
        assert await anext(told) == {"comment": "still there"}
        await works.caller().done("POST", f"/jobs/{job}/cancel")
        async for event in told:
            if "comment" not in event:
                assert event["state"] == "cancelled"


async def test_a_stream_ends_when_its_reader_is_dismissed(works: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LOOK_EVERY", 0.02)
    job = await works.asks(1)
    async with followed(works, job) as (_, told):
        assert (await anext(told))["state"] == "queued"
        await works.identity_says(status="dismissed")
        async with asyncio.timeout(10):
            assert [event async for event in told] == []


async def test_a_stream_ends_with_its_token(works: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LOOK_EVERY", 0.02)
    job = await works.asks(1)
    token = works.caller().token
    works.running.clock.advance(dt.timedelta(seconds=299))
    async with followed(works, job, token) as (_, told):
        assert (await anext(told))["state"] == "queued"
        async with asyncio.timeout(10):
            assert [event async for event in told] == []


async def test_a_stream_keeps_no_connection_to_the_database(works: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LOOK_EVERY", 3600.0)
    job = await works.asks(1)
    async with followed(works, job) as (_, told):
        await anext(told)
        pool = works.running.database.pool
        assert pool.get_size() == pool.get_idle_size()

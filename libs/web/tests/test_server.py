"""A real server in a process of its own: what the test client can't show."""

import asyncio
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from crm_stack.ports import free_port
from crm_testing.faulty_system import FaultySystem, NoCompiler

from .conftest import KEY, URL, Notes
from .test_bad_input import problem
from .test_requests import HERE, until

NOTES = "/api/notes/v1/notes"


class Server:
    """The notes service as a process. `lines`: what it logged."""

    def __init__(self, dsn: str, log: Path, *parts: str, **environ: str) -> None:
        self.port = free_port()
        self.log = log
        self.client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=30)
        settings = {
            "CRM_SERVICE": "notes",
            "CRM_DATABASE_URL": dsn,
            "CRM_PUBLIC_URL": URL,
            "CRM_SIGNING_KEY": KEY,
            "CRM_HTTP_PORT": str(self.port),
        }
        with log.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(Path(__file__).parent / "notes_service.py"), *parts],
                env={**os.environ, **settings, **environ},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    async def ready(self) -> bool:
        try:
            return (await self.client.get("/readyz")).status_code == 200
        except httpx.TransportError:
            assert self.process.poll() is None, self.log.read_text()
            return False

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@asynccontextmanager
async def running(dsn: str, log: Path, *parts: str, **environ: str) -> AsyncIterator[Server]:
    server = Server(dsn, log, *parts, **environ)
    try:
        await until(server.ready, "the server is ready", seconds=120)
        yield server
    finally:
        await server.client.aclose()
        server.process.kill()
        server.process.wait(10)


@pytest.mark.requirement("PL-46")
async def test_a_real_server_answers_logs_and_drains(notes: Notes, tmp_path: Path) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    async with running(notes.dsn, tmp_path / "log", CRM_ACCESS_LOG_SAMPLE="1") as server:
        made = await server.client.post(NOTES, json={"title": "하나"}, headers=notes.auth())
        assert made.status_code == 201, server.log.read_text()
        assert "server" not in made.headers
        headers = {**notes.auth(), "traceparent": f"00-{trace}-00f067aa0ba902b7-00"}
        read = await server.client.get(f"{NOTES}/{made.json()['id']}", headers=headers)
        assert read.json() == made.json()
        head = await server.client.head(f"{NOTES}/{made.json()['id']}", headers=notes.auth())
        assert (head.status_code, head.content) == (200, b"")
        problem(await server.client.get(NOTES), 401, "token.missing")
        assert (await server.client.get("/livez")).json()["status"] == "alive"
        assert (await server.client.get("/openapi.json")).json()["openapi"] == "3.1.0"
        stream = await server.client.get("/api/notes/v1/rows", headers=notes.auth())
        assert stream.text == "0\n1\n2\n"
        with pytest.raises(httpx.RemoteProtocolError):
            await server.client.get("/api/notes/v1/rows?fail=true", headers=notes.auth())

        # A request under way is finished after SIGTERM.
        holder = await asyncpg.connect(notes.dsn)
        await holder.execute("SELECT pg_advisory_lock(77)")
        wait = asyncio.create_task(server.client.post("/api/notes/v1/wait", json={"title": "w"}, headers=notes.auth()))
        await _until_waiting(holder)
        server.process.send_signal(signal.SIGTERM)

        async def refuses() -> bool:
            try:
                await httpx.AsyncClient().get(f"http://127.0.0.1:{server.port}/livez")
            except httpx.TransportError:
                return True
            return False

        await until(refuses, "no new connections are taken")
        await holder.execute("SELECT pg_advisory_unlock(77)")
        assert (await wait).json() == {"done": "w"}
        await holder.close()
        assert await asyncio.to_thread(server.process.wait, 30) == 0
    lines = server.lines()
    assert all(line["service"] == "notes" and line["time"] and line["level"] for line in lines)
    read_lines = [line for line in lines if line.get("trace_id") == trace]
    assert [(line["operation"], line["status"]) for line in read_lines] == [("read_note", 200)]
    assert [line["event"] for line in lines][-1] == "stopped"
    broken = [line for line in lines if "broken in the middle" in line.get("exception", "")]
    assert len(broken) == 1
    assert len(broken[0]["trace_id"]) == 32


@pytest.mark.requirement("PL-8")
async def test_killed_in_the_middle_nothing_is_left_and_the_next_try_starts_afresh(
    notes: Notes, tmp_path: Path
) -> None:
    headers = {**notes.auth(), "idempotency-key": "k"}
    holder = await asyncpg.connect(notes.dsn)
    await holder.execute("SELECT pg_advisory_lock(77)")
    async with running(notes.dsn, tmp_path / "first") as server:
        wait = asyncio.create_task(server.client.post("/api/notes/v1/wait", json={"title": "w"}, headers=headers))
        await _until_waiting(holder)
        server.process.kill()
        with pytest.raises(httpx.TransportError):
            await wait
    await holder.execute("SELECT pg_advisory_unlock(77)")

    async def gone() -> bool:
        return (
            await holder.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'notes-service'"
                " AND datname = current_database()"
            )
            == 0
        )

    await until(gone, "the killed process's transaction ended")
    assert (await notes.titles(), await notes.kept()) == ([], 0)
    async with running(notes.dsn, tmp_path / "second") as server:
        again = await server.client.post("/api/notes/v1/wait", json={"title": "w"}, headers=headers)
    assert (again.status_code, again.json()) == (200, {"done": "w"})
    assert await notes.titles() == ["w"]
    await holder.close()


async def test_bytes_that_are_no_request_do_not_harm_the_server(notes: Notes, tmp_path: Path) -> None:
    def raw(path: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        connection.putrequest("GET", path, skip_host=True)
        connection.putheader("Host", "x")
        connection.endheaders()
        status = connection.getresponse().status
        connection.close()
        return status

    async with running(notes.dsn, tmp_path / "log") as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert b" 400 " in await reader.readline()
        writer.close()
        assert await asyncio.to_thread(raw, "/open/by/%ff/x") == 400
        assert await asyncio.to_thread(raw, "//open/hello") == 404
        assert await asyncio.to_thread(raw, "/open/hello") == 200


async def test_a_service_starts_before_its_database(notes: Notes, tmp_path: Path) -> None:
    nowhere = f"postgresql://crm:secret-word@127.0.0.1:{free_port()}/crm"
    server = Server(nowhere, tmp_path / "log")

    async def alive() -> bool:
        try:
            return (await server.client.get("/livez")).status_code == 200
        except httpx.TransportError:
            return False

    try:
        await until(alive, "the service lives", seconds=120)
        assert (await server.client.get("/readyz")).status_code == 503
        problem(await server.client.get(NOTES, headers=notes.auth()), 503, "service.unavailable")
        server.process.terminate()
        assert await asyncio.to_thread(server.process.wait, 30) == 0
    finally:
        await server.client.aclose()
        server.process.kill()
        server.process.wait(10)
    assert "secret-word" not in server.log.read_text()


@pytest.mark.requirement("PL-13", "PL-46")
@pytest.mark.parametrize("together", [True, False])
async def test_app_and_worker_run_in_one_process_or_in_two(
    own_notes: Notes, embedded_broker: str, tmp_path: Path, together: bool
) -> None:
    """The write's event goes out through the relay, comes back to the projection, and lets the waiting read through."""
    notes, bus = own_notes, {"CRM_KAFKA_BOOTSTRAP": embedded_broker, "CRM_KAFKA_IDEMPOTENCE": "false"}
    async with AsyncExitStack() as stack:
        parts = ["app", "worker"] if together else ["app"]
        app = await stack.enter_async_context(running(notes.dsn, tmp_path / "app", *parts, **bus))
        if together:
            worker = app
        else:
            worker = await stack.enter_async_context(running(notes.dsn, tmp_path / "worker", "worker", **bus))
            problem(await worker.client.get(NOTES, headers=notes.auth()), 404, "route.unknown")

        async def reads_its_own_write() -> bool:
            made = await app.client.post(NOTES, json={"title": str(uuid.uuid4())[:20]}, headers=notes.auth())
            headers = {**notes.auth(), "consistency-token": made.headers["consistency-token"]}
            return (await app.client.get(NOTES, headers=headers)).status_code == 200

        await until(reads_its_own_write, "a read that waits for its own write", seconds=120)
        assert (await worker.client.get("/livez")).json() == {"status": "alive", "problems": []}
        for server in {app, worker}:
            server.process.terminate()
            assert await asyncio.to_thread(server.process.wait, 40) == 0, server.log.read_text()


@pytest.mark.requirement("PL-46")
async def test_a_process_whose_clock_is_set_back_says_that_it_wants_to_be_started_anew(
    notes: Notes, tmp_path: Path
) -> None:
    try:
        faulty = FaultySystem.build(tmp_path / "faulty")
    except NoCompiler as missing:
        pytest.skip(f"no clock can be made to jump: {missing}")
    async with running(notes.dsn, tmp_path / "log", "app", **faulty.environment) as server:
        for ahead in (3600, 0):
            faulty.clock_is_off(ahead)
            assert (await server.client.get("/livez")).json() == {"status": "alive", "problems": []}
        faulty.clock_is_off(-3600)
        answer = await server.client.get("/livez")
        assert answer.status_code == 503
        assert re.fullmatch(r"the clock was set back by 3[56]\d\d s", answer.json()["problems"][0])


async def test_a_port_that_is_taken_ends_the_process(notes: Notes, tmp_path: Path) -> None:
    async with running(notes.dsn, tmp_path / "first") as first:
        second = Server(notes.dsn, tmp_path / "second", CRM_HTTP_PORT=str(first.port))
        assert await asyncio.to_thread(second.process.wait, 60) == 1
        await second.client.aclose()
    assert "address already in use" in second.log.read_text()


async def test_without_telemetry_no_part_of_its_sdk_is_loaded() -> None:
    script = "import sys, crm_web, crm_web.run; print([m for m in sys.modules if m.startswith('opentelemetry.sdk')])"
    found = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", script], capture_output=True, text=True)
    assert found.stdout.strip() == "[]", found.stderr


async def _until_waiting(holder: Any) -> None:
    async def waits() -> bool:
        return (
            await holder.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted" + HERE)
            == 1
        )

    await until(waits, "the request is in its transaction")

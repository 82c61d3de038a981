"""A very small service for the tests of the stack: health, its environment, and a table in its own database."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import asyncpg
import uuid_utils


def run(service: str, parts: frozenset[str]) -> None:
    """Serve until SIGTERM."""
    dsn = Path(os.environ["CRM_DATABASE_URL_FILE"]).read_text()
    asyncio.run(_serve(service, parts, dsn))


def fail(service: str, parts: frozenset[str]) -> None:
    """A service that never comes up."""
    sys.exit(f"{service} refuses to start")


def upgrade(service: str, dsn: str) -> None:
    """Make the service's table."""
    asyncio.run(_execute(dsn, "CREATE TABLE IF NOT EXISTS note (id int PRIMARY KEY)"))


def upgrade_badly(service: str, dsn: str) -> None:
    """A migration that PostgreSQL refuses."""
    asyncio.run(_execute(dsn, "CREATE TABLE broken ("))


def bootstrap(dsn: str, *, email: str, password: str, company: str, time_zone: str, currency: str) -> bool | str:
    """Create the first administrator if there is none; whether it did, or why it refuses."""
    if len(password) < 12:
        return "password: 12 characters at least"

    async def create() -> bool:
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute("CREATE TABLE IF NOT EXISTS administrator (email text, password text)")
            if await connection.fetchval("SELECT count(*) FROM administrator"):
                return False
            await connection.execute("INSERT INTO administrator VALUES ($1, $2)", email, password)
            return True
        finally:
            await connection.close()

    return asyncio.run(create())


async def _execute(dsn: str, sql: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


async def _serve(service: str, parts: frozenset[str], dsn: str) -> None:
    first_id = str(uuid_utils.uuid7())
    stuck = False
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal stuck
        path = (await reader.readline()).split()[1].decode()
        status, body = "200 OK", "{}"
        stuck = stuck or path == "/stick"
        if path == "/readyz":
            try:
                await _execute(dsn, "SELECT 1 FROM note LIMIT 1")
            except (OSError, asyncpg.PostgresError) as away:
                status, body = "503 Service Unavailable", json.dumps(str(away))
        elif path == "/livez" and stuck:
            status = "503 Service Unavailable"
        elif path == "/about":
            about = {"service": service, "parts": sorted(parts), "first_id": first_id, "environment": dict(os.environ)}
            body = json.dumps(about)
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, os.environ["CRM_HTTP_HOST"], int(os.environ["CRM_HTTP_PORT"]))
    print(f"{service} serves as {sorted(parts)}", flush=True)
    async with server:
        await ended.wait()
    print(f"{service} ends", flush=True)

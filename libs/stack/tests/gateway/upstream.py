"""A service for tests: answers every request, remembers what arrived, and speaks raw HTTP/1.1 so nothing is hidden."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Arrived:
    """One request as the service received it; headers in order, with duplicates, names in lower case."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def all_of(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    def one(self, name: str) -> str:
        (value,) = self.all_of(name)
        return value


@dataclass
class Upstream:
    """Runs in a thread of its own. `jwks` is what it publishes; None makes it drop the connection instead.

    `…/never` gets no answer, `…/events` one event and, once somebody has asked for `…/public`, a second.
    """

    jwks: dict[str, Any] | None = None
    arrived: list[Arrived] = field(default_factory=list)
    port: int = 0

    def start(self) -> Upstream:
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(10), "the upstream did not start within 10 s"
        return self

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(10)

    def _run(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve(ready))

    async def _serve(self, ready: threading.Event) -> None:
        self._stopped, self._next = asyncio.Event(), asyncio.Event()
        self._open: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._connection, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self._stopped.wait()
        server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            while await self._one_request(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the test is over, or the gateway ended the connection, as it may at any time
        finally:
            self._open.discard(task)
            writer.close()

    async def _one_request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        pairs = [line.partition(":") for line in head[1:] if line]
        headers = tuple((name.strip().lower(), value.strip()) for name, _, value in pairs)
        if target == "/oauth/jwks.json":
            if self.jwks is None:
                return False
            await self._answer(writer, 200, self.jwks)
            return True
        body = await self._body(reader, dict(headers))
        self.arrived.append(Arrived(method, target, headers, body))
        if "upgrade" in dict(headers):
            await self._echo_after_upgrade(reader, writer)
            return False
        if target.endswith("/never"):
            await self._stopped.wait()
        if target.endswith("/public"):
            self._next.set()
        if target.endswith("/events"):
            self._next.clear()
            await self._events(writer)
            return False
        await self._answer(writer, 200, {"path": target, "received": len(body)})
        return True

    async def _body(self, reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding") == "chunked":
            parts = []
            while size := int(await reader.readline(), 16):
                parts.append(await reader.readexactly(size))
                await reader.readline()
            await reader.readline()
            return b"".join(parts)
        return await reader.readexactly(int(headers.get("content-length", "0")))

    async def _answer(self, writer: asyncio.StreamWriter, status: int, content: Any) -> None:
        body = json.dumps(content).encode()
        writer.write(b"HTTP/1.1 %d OK\r\ncontent-type: application/json\r\n" % status)
        writer.write(b"x-envoy-mine: 1\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()

    async def _events(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        for event in (b"data: one\n\n", b"data: two\n\n"):
            writer.write(b"%x\r\n" % len(event) + event + b"\r\n")
            await writer.drain()
            await self._next.wait()
        await self._stopped.wait()  # the stream stays open; who reads sees the events without its end

    async def _echo_after_upgrade(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        while data := await reader.read(1024):
            writer.write(data)
            await writer.drain()

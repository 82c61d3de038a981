"""A network that fails on request: a TCP proxy on 127.0.0.1 between a client and a server of the tests.

with Path.to(server.port) as path:
    …                               # connect to path.port instead of the server's own
    path.delay(0.2); path.cut(); path.freeze(); path.heal()

It has a thread of its own, so that it goes on whatever the test's event loop does; its methods may be called from anywhere, and have
taken effect when they return. What it can't do is fail below TCP: keep-alive packets are answered by this machine, on either side.
Somebody who trusts them alone therefore hangs here, as somebody hangs whose server stands still.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from crm_stack.ports import LOOPBACK, free_port

T = TypeVar("T")

Way = Literal["to_server", "to_client"]
BOTH: tuple[Way, Way] = ("to_server", "to_client")
_CHUNK = 64 * 1024
#: Chunks under way in one direction of a connection; who sends more has to wait, as with a full window.
_UNDER_WAY = 64
#: Seconds within which the proxy does what it is asked to.
_SECONDS = 10.0


@dataclass(frozen=True)
class Flow:
    """How bytes go in one direction. delay, jitter: seconds, each chunk takes `delay` and up to `jitter` more, in order. rate: bytes a
    second; None: as many as there are."""

    delay: float = 0.0
    jitter: float = 0.0
    rate: float | None = None


@dataclass(eq=False)
class _Link:
    """A connection: the client's socket, and the server's once there is one."""

    client: socket.socket
    server: socket.socket | None = None
    #: Directions in which nothing arrives any more, for as long as the connection lasts.
    silent: set[Way] = field(default_factory=set)
    #: Directions whose sender has said that nothing more comes, and whose receiver knows.
    ended: set[Way] = field(default_factory=set)
    #: Whether an end of it went while the other could not hear of it.
    orphaned: bool = False
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def close(self, *, reset: bool) -> None:
        """End it at both sides; `reset` does it as a firewall or a crash does, by RST."""
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        # Only then: the loop still watches the sockets that they wait for, by numbers that the next connection might get.
        await asyncio.gather(*tasks, return_exceptions=True)
        for end in (self.client, self.server):
            if end is not None:
                if reset:
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.close()


class Path:
    """The way to one server. Every fault lasts until `heal`, but `cut`, which is over at once."""

    def __init__(self, server: Callable[[], int], port: int | None = None) -> None:
        """server: answers the port that connections go to; asked for each. port: where to listen; None takes a free one, for good."""
        self.port = port or free_port()
        self._server = server
        self._flows: dict[Way, Flow] = dict.fromkeys(BOTH, Flow())
        self._frozen: set[Way] = set()
        self._links: set[_Link] = set()
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._random = random.Random(0)  # noqa: S311  (not a secret)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"path {self.port}", daemon=True)

    @classmethod
    def to(cls, server: int, port: int | None = None) -> Self:
        """The way to the server on this port of 127.0.0.1."""
        return cls(lambda: server, port)

    @property
    def address(self) -> str:
        """Where clients connect, as "host:port"."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def connections(self) -> int:
        """How many there are just now, silent ones included."""
        return len(self._links)

    @property
    def orphaned(self) -> int:
        """How many of them have lost one end, of which the other end doesn't know."""
        return sum(link.orphaned for link in list(self._links))

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._refuse())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_SECONDS)
        self._loop.close()

    # -- faults -----------------------------------------------------------------------------------------------------

    def delay(self, seconds: float, jitter: float = 0.0, ways: tuple[Way, ...] = BOTH) -> None:
        """Let everything take longer from now on, in each of these directions."""
        self._do(self._change(ways, delay=seconds, jitter=jitter))

    def throttle(self, bytes_per_second: float, ways: tuple[Way, ...] = BOTH) -> None:
        """Let no more than so much through, for each connection."""
        self._do(self._change(ways, rate=bytes_per_second))

    def cut(self) -> int:
        """Reset all connections; how many there were. New ones come through."""
        return self._do(self._cut())

    def refuse(self) -> None:
        """Reset all connections and refuse new ones."""
        self._do(self._refuse())

    def freeze(self, ways: tuple[Way, ...] = BOTH) -> None:
        """Forward nothing any more in these directions, and tell nobody: neither FIN nor RST comes through.

        New connections are accepted and stay silent. What is frozen hangs for good, also after `heal`; but an end that is closed
        meanwhile has its other end reset then, as a machine does that is asked for a connection it doesn't know.
        """
        self._do(self._freeze(ways))

    def heal(self) -> None:
        """End all faults, for new connections; those that were frozen stay so."""
        self._do(self._heal())

    # -- in the thread ----------------------------------------------------------------------------------------------

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_SECONDS)

    async def _listen(self) -> None:
        if self._listener is None:
            self._listener = listener = socket.create_server((LOOPBACK, self.port), backlog=128)
            listener.setblocking(False)
            self._accepting = self._loop.create_task(self._accept(listener))

    async def _change(self, ways: tuple[Way, ...], **changes: Any) -> None:
        for way in ways:
            self._flows[way] = replace(self._flows[way], **changes)

    async def _cut(self) -> int:
        links, self._links = self._links, set()
        await asyncio.gather(*(link.close(reset=True) for link in links))
        return len(links)

    async def _refuse(self) -> None:
        if self._listener is not None and self._accepting is not None:
            self._accepting.cancel()
            await asyncio.gather(self._accepting, return_exceptions=True)
            self._listener.close()
            self._listener = self._accepting = None
        await self._cut()
        await asyncio.gather(*self._closing)

    async def _freeze(self, ways: tuple[Way, ...]) -> None:
        self._frozen |= set(ways)
        for link in self._links:
            link.silent |= set(ways)

    async def _heal(self) -> None:
        self._flows = dict.fromkeys(BOTH, Flow())
        self._frozen.clear()
        for link in [link for link in self._links if link.orphaned]:
            self._end(link)
        await self._listen()

    async def _accept(self, listener: socket.socket) -> None:
        while True:
            client, _ = await self._loop.sock_accept(listener)
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # A connection that is made while nothing arrives is lost altogether: half of it would be no use to anybody.
            link = _Link(client, silent=set(BOTH) if self._frozen else set())
            self._links.add(link)
            self._spawn(link, self._connect(link))

    def _spawn(self, link: _Link, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        link.tasks.add(task)
        task.add_done_callback(link.tasks.discard)

    async def _connect(self, link: _Link) -> None:
        if link.silent:
            self._spawn(link, self._carry(link, "to_server", link.client, None))
            return
        server = socket.socket()
        server.setblocking(False)
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.server = server
        try:
            await self._loop.sock_connect(server, (LOOPBACK, self._server()))
        except OSError:
            self._end(link)
            return
        self._spawn(link, self._carry(link, "to_server", link.client, server))
        self._spawn(link, self._carry(link, "to_client", server, link.client))

    async def _carry(self, link: _Link, way: Way, source: socket.socket, sink: socket.socket | None) -> None:
        """Bytes from one end to the other until the source ends; then the other end hears of it, unless the direction is silent."""
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_UNDER_WAY)
        self._spawn(link, self._arrive(link, way, under_way, sink))
        sent = arrives = 0.0
        while True:
            try:
                data = await self._loop.sock_recv(source, _CHUNK)
            except OSError:
                self._lost(link)
                return
            if way in link.silent:
                if not data:
                    self._lost(link)
                    return
                continue
            flow = self._flows[way]
            sent = max(sent, self._loop.time()) + (len(data) / flow.rate if flow.rate is not None else 0.0)
            arrives = max(arrives, sent + flow.delay + self._random.random() * flow.jitter)
            await under_way.put((arrives, data))
            if not data:
                return

    async def _arrive(
        self, link: _Link, way: Way, under_way: asyncio.Queue[tuple[float, bytes]], sink: socket.socket | None
    ) -> None:
        while True:
            at, data = await under_way.get()
            await asyncio.sleep(max(0.0, at - self._loop.time()))
            if way in link.silent or sink is None:
                # What was under way when the direction fell silent is lost, the end of the connection included.
                if not data:
                    self._lost(link)
                continue
            try:
                if data:
                    await self._loop.sock_sendall(sink, data)
                    continue
                sink.shutdown(socket.SHUT_WR)
            except OSError:
                self._lost(link)
                return
            link.ended.add(way)
            if link.ended == set(BOTH):
                self._end(link, reset=False)
            return

    def _lost(self, link: _Link) -> None:
        """An end is gone: the connection is over, or, while the other end can't be told, orphaned."""
        if link.silent & self._frozen:
            link.orphaned = True
        else:
            self._end(link)

    def _end(self, link: _Link, *, reset: bool = True) -> None:
        """Close it from a task of its own: whoever notices is one of those that are ended with it."""
        if link in self._links:
            self._links.discard(link)
            task = self._loop.create_task(link.close(reset=reset))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

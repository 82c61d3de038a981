"""Asking a server whether it serves, by its own protocol: a TCP connection alone is accepted earlier than that.

A `Probe` is one short question and what a good answer looks like; it can be asked from ordinary code and from an event
loop, and never starts a process or a thread.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass

from crm_stack.ports import LOOPBACK


@dataclass(frozen=True)
class Probe:
    """One question: the bytes to send, how many to read (at most), and whether these are a good answer."""

    question: bytes
    size: int
    good: Callable[[bytes], bool]

    def ask(self, port: int, host: str = LOOPBACK, timeout: float = 1.0) -> bool:
        """Whether a good answer comes within `timeout` seconds."""
        received = b""
        try:
            with socket.create_connection((host, port), timeout=timeout) as connection:
                connection.sendall(self.question)
                while len(received) < self.size and (part := connection.recv(self.size - len(received))):
                    received += part
        except OSError:
            return False
        return self.good(received)

    async def ask_soon(self, port: int, host: str = LOOPBACK, timeout: float = 1.0) -> bool:  # noqa: ASYNC109
        """The same without blocking the event loop."""
        received = b""
        writer = None
        try:
            async with asyncio.timeout(timeout):
                reader, writer = await asyncio.open_connection(host, port)
                writer.write(self.question)
                while len(received) < self.size and (part := await reader.read(self.size - len(received))):
                    received += part
        except OSError:  # TimeoutError is one of them.
            return False
        finally:
            if writer is not None:
                writer.transport.abort()
        return self.good(received)


def http(path: str) -> Probe:
    """GET `path` answers 200."""
    question = f"GET {path} HTTP/1.1\r\nHost: {LOOPBACK}\r\nUser-Agent: crm-probe\r\nConnection: close\r\n\r\n"
    return Probe(question.encode(), 12, lambda answer: answer.startswith(b"HTTP/1.1 200"))


def _kafka() -> Probe:
    client = b"crm-probe"
    correlation = 4711
    request = struct.pack(">hhih", 18, 0, correlation, len(client)) + client  # 18, 0: ApiVersions in its first form
    expected = struct.pack(">i", correlation)
    return Probe(struct.pack(">i", len(request)) + request, 8, lambda answer: answer[4:8] == expected)


def _postgres() -> Probe:
    # A start-up message (protocol 3.0). A server that takes connections asks for a password ("R"); one that is still
    # starting, or recovering, refuses ("E"). Nobody logs in, and the server's log stays clean.
    fields = b"user\0postgres\0database\0postgres\0\0"
    message = struct.pack(">ii", 8 + len(fields), 196608) + fields
    return Probe(message, 1, lambda answer: answer == b"R")


KAFKA = _kafka()
"""A Kafka broker answers requests."""
POSTGRES = _postgres()
"""PostgreSQL takes connections."""

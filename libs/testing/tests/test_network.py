"""The network that fails on request, on real sockets: what each end of a connection sees."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from crm_stack.ports import LOOPBACK, free_port
from crm_stack.process import wait_until
from crm_testing.network import Path

#: Seconds that may pass on a busy machine before something counts as missing.
PATIENCE = 20.0
#: Seconds in which what is silent must not be heard. It can't fail for being short.
SILENCE = 0.3


class Echo:
    """A server that answers every byte with itself, and knows how its connections ended."""

    def __init__(self) -> None:
        self.listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self.listener.getsockname()[1]
        self.received = 0
        self.ended: list[str] = []
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):  # The listener is closed at the end of the test.
            while True:
                connection, _ = self.listener.accept()
                self._connections.append(connection)
                threading.Thread(target=self._echo, args=(connection,), daemon=True).start()

    def _echo(self, connection: socket.socket) -> None:
        try:
            while data := connection.recv(65536):
                self.received += len(data)
                connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            self.ended.append("FIN")
        except OSError:
            self.ended.append("RST")

    def close(self) -> None:
        for each in (self.listener, *self._connections):
            each.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def path(echo: Echo) -> Iterator[Path]:
    with Path.to(echo.port) as made:
        yield made


def connected(path: Path) -> socket.socket:
    """A client whose connection works."""
    client = socket.create_connection((LOOPBACK, path.port), timeout=PATIENCE)
    answered(client)
    return client


def answered(client: socket.socket, sent: bytes = b"x") -> float:
    """Send and have it back; seconds that it took."""
    began = time.monotonic()
    client.sendall(sent)
    back = b""
    while len(back) < len(sent):
        part = client.recv(len(sent) - len(back))
        assert part, "the connection ended"
        back += part
    assert back == sent
    return time.monotonic() - began


def is_silent(client: socket.socket) -> bool:
    client.settimeout(SILENCE)
    try:
        client.sendall(b"y")
        client.recv(1)
    except TimeoutError:
        return True
    finally:
        client.settimeout(PATIENCE)
    return False


def test_what_is_sent_arrives_whole_and_in_order_and_so_does_its_end(echo: Echo, path: Path) -> None:
    client = connected(path)
    everything = bytes(range(256)) * 20_000
    threading.Thread(target=client.sendall, args=(everything,), daemon=True).start()
    back = b""
    while len(back) < len(everything):
        back += client.recv(1 << 20)
    assert back == everything
    client.shutdown(socket.SHUT_WR)
    assert client.recv(1) == b""
    client.close()
    assert wait_until(lambda: echo.ended == ["FIN"] and path.connections == 0, PATIENCE)


@pytest.mark.parametrize(("ways", "least"), [(("to_server", "to_client"), 0.4), (("to_server",), 0.2)])
def test_a_delay_is_added_in_each_direction(path: Path, ways: tuple[str, ...], least: float) -> None:
    client = connected(path)
    path.delay(0.2, jitter=0.01, ways=ways)  # type: ignore[arg-type]
    assert answered(client, b"abc") >= least
    path.heal()
    # What was delayed is not overtaken: only the order is asked for, not how soon.
    assert answered(client, b"def") >= 0


def test_delayed_bytes_keep_their_order(path: Path) -> None:
    client = connected(path)
    path.delay(0.02, jitter=0.05)
    sent = b"".join(struct.pack(">I", number) for number in range(50))
    for number in range(50):
        client.sendall(struct.pack(">I", number))
        time.sleep(0.002)  # So that these are chunks of their own: each draws a delay of its own.
    back = b""
    while len(back) < len(sent):
        back += client.recv(4096)
    assert back == sent


def test_a_rate_is_kept(path: Path) -> None:
    client = connected(path)
    path.throttle(100_000, ways=("to_server",))
    assert answered(client, b"z" * 50_000) >= 0.45


def test_a_cut_resets_both_ends_and_is_over_at_once(echo: Echo, path: Path) -> None:
    client = connected(path)
    assert path.cut() == 1
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    assert wait_until(lambda: echo.ended == ["RST"], PATIENCE)
    connected(path).close()


def test_who_is_refused_is_refused_until_it_is_healed(path: Path) -> None:
    client = connected(path)
    path.refuse()
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((LOOPBACK, path.port), timeout=PATIENCE)
    path.heal()
    connected(path).close()


def test_what_is_frozen_hears_nothing_also_after_healing(echo: Echo, path: Path) -> None:
    before = connected(path)
    path.freeze()
    during = socket.create_connection((LOOPBACK, path.port), timeout=PATIENCE)
    received = echo.received
    assert is_silent(before)
    assert is_silent(during)
    path.heal()
    connected(path).close()
    assert is_silent(before)
    assert is_silent(during)
    assert echo.received == received + 1, "only what the healed connection sent"
    assert "RST" not in echo.ended, "nobody was told"


def test_an_end_that_left_while_all_was_silent_is_told_of_when_it_heals(echo: Echo, path: Path) -> None:
    client = connected(path)
    path.freeze()
    client.close()
    assert wait_until(lambda: path.orphaned == 1, PATIENCE)
    assert echo.ended == []
    path.heal()
    assert wait_until(lambda: echo.ended == ["RST"] and path.connections == 0, PATIENCE)


def test_an_end_that_leaves_after_it_healed_is_told_of_at_once(echo: Echo, path: Path) -> None:
    client = connected(path)
    path.freeze()
    path.heal()
    client.close()
    assert wait_until(lambda: echo.ended == ["RST"] and path.connections == 0, PATIENCE)


def test_one_direction_alone_can_fall_silent(echo: Echo, path: Path) -> None:
    """The request arrives and is carried out; its answer does not."""
    client = connected(path)
    received = echo.received
    path.freeze(ways=("to_client",))
    assert is_silent(client)
    assert wait_until(lambda: echo.received == received + 1, PATIENCE)


def test_where_nobody_listens_the_connection_is_reset() -> None:
    with Path.to(free_port()) as path:
        client = socket.create_connection((LOOPBACK, path.port), timeout=PATIENCE)
        with pytest.raises(ConnectionResetError):
            client.recv(1)

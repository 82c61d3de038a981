"""WebSocket and server-sent events pass through, on the routes that the table marks as streams and nowhere else."""

import base64

import pytest

from .conftest import Gateway
from .keys import token

UPGRADE = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: {key}\r\n"
KEY = base64.b64encode(bytes(16)).decode()


def opening(path: str, bearer: str | None) -> bytes:
    credential = f"authorization: Bearer {bearer}\r\n" if bearer else ""
    return f"GET {path} HTTP/1.1\r\nhost: x\r\n{credential}{UPGRADE.format(key=KEY)}\r\n".encode()


def test_a_websocket_carries_bytes_both_ways(gateway: Gateway) -> None:
    request = opening("/api/identity/v1/stream", token()) + b"\x81\x05hello"
    answer = gateway.raw(request, until=lambda answer: b"hello" in answer)
    assert answer.startswith(b"HTTP/1.1 101")
    assert answer.endswith(b"\x81\x05hello")


@pytest.mark.parametrize(
    ("path", "bearer", "status", "code"),
    [
        ("/api/identity/v1/stream", None, 401, b"token.missing"),
        ("/api/identity/v1/stream", token(use="refresh"), 401, b"token.invalid"),
        ("/api/identity/v1/me", token(), 400, b"upgrade.refused"),
        ("/api/identity/v1/public", None, 400, b"upgrade.refused"),
        ("/api/customers/v1/customers", None, 400, b"upgrade.refused"),
    ],
)
def test_no_websocket_opens_without_a_token_or_elsewhere(
    gateway: Gateway, path: str, bearer: str | None, status: int, code: bytes
) -> None:
    answer = gateway.raw(opening(path, bearer))
    assert answer.startswith(b"HTTP/1.1 %d" % status)
    assert code in answer
    assert gateway.arrived == []


def test_an_upgrade_to_another_protocol_is_refused(gateway: Gateway) -> None:
    request = opening("/api/identity/v1/stream", token()).replace(b"upgrade: websocket", b"upgrade: h3c")
    assert gateway.raw(request).startswith(b"HTTP/1.1 400")
    assert gateway.arrived == []


def test_events_arrive_while_the_stream_is_open_and_no_timeout_of_requests_cuts_it(gateway: Gateway) -> None:
    headers = {"authorization": f"Bearer {token()}", "accept": "text/event-stream"}
    with gateway.client.stream("GET", "/api/identity/v1/stream/events", headers=headers) as answer:
        assert answer.status_code == 200
        lines = answer.iter_lines()
        assert next(lines) == "data: one"
        slow = gateway.request("GET", "/api/customers/v1/slow/never", token())
        assert (
            slow.status_code == 504
        )  # after 0.3 s and a little; this table gives the stream 0.2 s, which must not count
        assert gateway.request("GET", "/api/identity/v1/public").status_code == 200
        assert [next(lines), next(lines)] == ["", "data: two"]

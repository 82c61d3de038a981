"""A real Envoy in front of a recording service, started once for all tests of the gateway."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from crm_stack.gateway import GatewaySettings, Route, envoy_command, parse_routes, write_config

from .keys import ISSUER, KEY, OTHER_KEY, jwks, token
from .upstream import Arrived, Upstream

CUSTOMER = {"access": "permission", "permission": "customers.customer:read", "module": "customers", "scope": True}


def entry(method: str, path: str, operation_id: str, **more: Any) -> dict[str, Any]:
    """A table entry of the service that the path names."""
    service = path.split("/")[2] if path.startswith("/api/") else "identity"
    return {"service": service, "method": method, "path": path, "operation_id": operation_id, **more}


TABLE = [
    entry("POST", "/oauth/token", "get_token", access="public", limits={"rate": "login"}),
    entry("GET", "/api/identity/v1/public", "see_public", access="public"),
    entry("GET", "/api/identity/v1/me", "see_me", access="authenticated"),
    entry(
        "GET",
        "/api/identity/v1/stream",
        "open_stream",
        access="authenticated",
        stream=True,
    ),
    entry(
        "GET",
        "/api/identity/v1/stream/events",
        "open_events",
        access="authenticated",
        stream=True,
        limits={"timeout_seconds": 0.2},
    ),
    entry("GET", "/api/customers/v1/customers", "list_customers", **CUSTOMER),
    entry("POST", "/api/customers/v1/customers", "create_customer", **CUSTOMER, limits={"body_bytes": 1000}),
    entry("GET", "/api/customers/v1/customers/{id}", "get_customer", **CUSTOMER),
    entry("PATCH", "/api/customers/v1/customers/{id}", "change_customer", **CUSTOMER),
    entry("POST", "/api/customers/v1/customers/search", "search_customers", access="public"),
    entry("GET", "/api/customers/v1/customers/{id}/notes/{note}", "get_note", **CUSTOMER),
    entry("GET", "/api/customers/v1/slow/never", "wait", **CUSTOMER, limits={"timeout_seconds": 0.3}),
    entry("POST", "/api/customers/v1/slow/{id}/never", "wait_posting", **CUSTOMER, limits={"timeout_seconds": 0.3}),
    entry("POST", "/api/customers/v1/imports", "import_customers", **CUSTOMER, limits={"body_bytes": 9_000_000}),
    entry("POST", "/api/customers/v1/bulk", "change_many", **CUSTOMER, limits={"rate": "bulk"}),
    entry("GET", "/api/customers/v1/customers-by-stage", "count_by_stage", access="authenticated"),
    entry("GET", "/api/customers/v1/{kind}/fields", "list_fields", access="authenticated"),
    entry("GET", "/api/sales/v1/leads", "list_leads", access="authenticated"),
]


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 10) -> None:
    """Return as soon as `condition` holds; fail, saying `what` was waited for, when it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.01)


def answer_is_complete(answer: bytes, without_body: bool) -> bool:
    """Whether a raw HTTP/1.1 answer has all bytes that its Content-Length tells."""
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return False
    length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b":0")
    return without_body or len(body) >= int(length.split(b":")[1])


@dataclass
class Gateway:
    """A running Envoy and the service behind it."""

    folder: Path
    port: int
    admin: int
    process: subprocess.Popen[str]
    upstream: Upstream
    log: Path
    client: httpx.Client

    @property
    def arrived(self) -> list[Arrived]:
        return self.upstream.arrived

    def request(self, method: str, path: str, bearer: str | None = None, **more: Any) -> httpx.Response:
        """One request; `bearer` is the access token to send."""
        headers = httpx.Headers(more.pop("headers", None))
        if bearer is not None:
            headers["authorization"] = f"Bearer {bearer}"
        return self.client.request(method, path, headers=headers, **more)

    def raw(self, request: bytes, until: Callable[[bytes], bool] | None = None) -> bytes:
        """Send bytes as they are on a connection of their own; return the answer, read until it is complete."""
        complete = until or (lambda answer: answer_is_complete(answer, request.startswith(b"HEAD ")))
        answer = b""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            with suppress(ConnectionError):  # refused before everything was sent: the answer is what counts
                connection.sendall(request)
            with suppress(ConnectionResetError):
                while not complete(answer) and (received := connection.recv(65536)):
                    answer += received
        return answer

    def stat(self, name: str) -> int:
        """The sum of Envoy's counters whose whole name matches the expression `name`."""
        listed = httpx.get(f"http://127.0.0.1:{self.admin}/stats", params={"filter": f"^{name}$"}).text
        return sum(int(line.rpartition(":")[2]) for line in listed.splitlines())

    def access_lines(self) -> list[dict[str, Any]]:
        """What Envoy has written about requests so far."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]


@contextmanager
def running_gateway(
    folder: Path,
    upstream: Upstream,
    routes: Sequence[Route] | None = None,
    settings: GatewaySettings | None = None,
    as_command: Callable[[list[str]], list[str]] = lambda command: command,
    wait_for_keys: bool = True,
    services: dict[str, tuple[str, int]] | None = None,
) -> Iterator[Gateway]:
    """Start Envoy on a fresh configuration in `folder`; end it afterwards."""
    port, admin = free_port(), free_port()
    here = ("127.0.0.1", upstream.port)
    write_config(
        folder,
        listen=("127.0.0.1", port),
        admin=("127.0.0.1", admin),
        routes=routes if routes is not None else parse_routes(TABLE),
        services=services or {"identity": here, "customers": here, "sales": ("127.0.0.1", free_port())},
        issuer=ISSUER,
        settings=settings,
    )
    log = folder.parent / f"{folder.name}.log"
    with log.open("w") as out, (folder.parent / f"{folder.name}.err").open("w+") as err:
        process = subprocess.Popen(as_command(envoy_command(folder)), stdout=out, stderr=err, text=True)
        client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10)
        gateway = Gateway(folder, port, admin, process, upstream, log, client)
        try:
            wait_for(lambda: _answers(gateway), "Envoy to answer /healthz")
            if wait_for_keys:
                wait_for(
                    lambda: gateway.request("GET", "/api/identity/v1/me", token()).status_code == 200,
                    "the first token to be taken",
                )
            upstream.arrived.clear()
            yield gateway
        finally:
            client.close()
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
            err.seek(0)
            print(err.read())


def _answers(gateway: Gateway) -> bool:
    assert gateway.process.poll() is None, "Envoy ended while it was starting"
    try:
        return gateway.client.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="session")
def shared_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One Envoy for every test that needs no settings of its own; its folder has a space in its name."""
    upstream = Upstream(jwks=jwks(KEY, OTHER_KEY)).start()
    try:
        with running_gateway(tmp_path_factory.mktemp("gateway") / "with a space", upstream) as gateway:
            yield gateway
    finally:
        upstream.stop()


@pytest.fixture
def gateway(shared_gateway: Gateway) -> Gateway:
    """The shared Envoy, with nothing arrived yet."""
    shared_gateway.arrived.clear()
    return shared_gateway


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """A recording service of this test alone."""
    started = Upstream(jwks=jwks(KEY)).start()
    yield started
    started.stop()

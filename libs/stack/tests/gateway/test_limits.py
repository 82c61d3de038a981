"""Size, time and rate: nobody can ask for more than the table allows, and nobody pays for somebody else."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from crm_stack.gateway import BUCKETS, Bucket, GatewaySettings, TokenRules
from crm_stack.gateway.route_config import ENDING_SECONDS

from .conftest import Gateway, running_gateway, wait_for
from .keys import ISSUER, KEY, jwks, token
from .upstream import Upstream

CREATE = "/api/customers/v1/customers"


@pytest.mark.requirement("PL-12")
@pytest.mark.parametrize(("size", "status"), [(0, 200), (999, 200), (1000, 200), (1001, 413), (300_000, 413)])
def test_a_body_larger_than_the_table_says_is_refused(gateway: Gateway, size: int, status: int) -> None:
    for chunked in (False, True):
        gateway.arrived.clear()
        body = b"x" * size
        answer = gateway.request("POST", CREATE, token(), content=iter([body]) if chunked else body)
        assert answer.status_code == status
        assert [len(one.body) for one in gateway.arrived] == ([size] if status == 200 else [])
        if status == 413:
            assert answer.json()["code"] == "body.too_large"


@pytest.mark.requirement("PL-12")
def test_a_large_body_must_say_its_length_and_keep_it(gateway: Gateway) -> None:
    imports = "/api/customers/v1/imports"
    assert gateway.request("POST", imports, token(), content=b"x" * 9_000_000).status_code == 200
    assert len(gateway.arrived.pop().body) == 9_000_000
    unsaid = gateway.request("POST", imports, token(), content=iter([b"x"]))
    assert (unsaid.status_code, unsaid.json()["code"]) == (411, "length.required")
    head = f"POST {imports} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token()}\r\ncontent-length: 9000001\r\n\r\n"
    assert gateway.raw(head.encode()).startswith(b"HTTP/1.1 413")  # refused before a byte of the body is sent
    assert gateway.request("POST", imports, content=b"x").status_code == 401
    assert gateway.arrived == []


@pytest.mark.requirement("PL-12")
def test_an_answer_that_takes_too_long_is_cut(gateway: Gateway) -> None:
    asked = [("GET", "/api/customers/v1/slow/never"), ("POST", "/api/customers/v1/slow/1/never")]
    began = time.monotonic()
    with ThreadPoolExecutor() as threads:
        answers = list(threads.map(lambda one: gateway.request(*one, token()), asked))
    # Not before the service had the time to say so itself.
    assert time.monotonic() - began > ENDING_SECONDS
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (504, "service.timeout")
    assert len(gateway.arrived) == 2  # neither was sent a second time


def test_a_service_that_is_away_gives_503_and_says_when_to_come_back(gateway: Gateway) -> None:
    answer = gateway.request("GET", "/api/sales/v1/leads", token())
    assert (answer.status_code, answer.json()["code"]) == (503, "service.unavailable")
    assert answer.headers["retry-after"] == "1"


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with small buckets that hardly refill, and few connections."""
    buckets = {**BUCKETS, "default": Bucket(5, 1), "login": Bucket(3, 1), "bulk": Bucket(2, 1)}
    settings = GatewaySettings(tokens=TokenRules(issuer=ISSUER), buckets=buckets, max_connections=20)
    upstream = Upstream(jwks=jwks(KEY)).start()
    try:
        with running_gateway(tmp_path_factory.mktemp("narrow") / "gateway", upstream, settings=settings) as gateway:
            yield gateway
    finally:
        upstream.stop()


def spend(gateway: Gateway, path: str, bearer: str | None, method: str = "GET") -> httpx.Response:
    """Ask until refused; the refusal."""
    for _ in range(50):
        answer = gateway.request(method, path, bearer)
        if answer.status_code == 429:
            return answer
    raise AssertionError(f"{path} was never limited")


@pytest.mark.requirement("PL-12", "ID-22")
def test_each_caller_has_a_bucket_of_its_own_across_routes(narrow: Gateway) -> None:
    refused = spend(narrow, "/api/identity/v1/me", token(sub="greedy"))
    assert refused.json()["code"] == "rate.limited"
    assert refused.headers["retry-after"] == "1"
    assert (refused.headers["ratelimit-limit"], refused.headers["ratelimit-remaining"]) == ("5", "0")
    assert "ratelimit-reset" in refused.headers
    assert not [name for name in refused.headers if name.startswith("x-ratelimit")]
    # Another token of the same person and another route draw from the same bucket; another person does not.
    assert narrow.request("GET", CREATE, token(sub="greedy", jti="another")).status_code == 429
    other = narrow.request("GET", CREATE, token(sub="modest"))
    assert (other.status_code, other.headers["ratelimit-remaining"]) == (200, "4")


@pytest.mark.requirement("PL-12")
def test_a_limited_caller_is_not_freed_by_many_others(narrow: Gateway) -> None:
    """Envoy's default remembers 20 callers: without our 10,000 the limited one would be free after 20 others."""
    greedy = token(sub="greedy-among-many")
    others = [token(sub=f"other-{n}") for n in range(200)]
    spend(narrow, "/api/identity/v1/me", greedy)
    for other in others:
        assert narrow.request("GET", "/api/identity/v1/me", other).status_code == 200
    allowed = 0
    while narrow.request("GET", "/api/identity/v1/me", greedy).status_code == 200:
        allowed += 1
    assert allowed <= 4, "more than what refilled (1 a second) meanwhile"


@pytest.mark.requirement("PL-12")
def test_log_in_is_limited_by_address_whatever_token_or_forwarded_address_is_sent(narrow: Gateway) -> None:
    spend(narrow, "/oauth/token", None, "POST")
    for n in range(3):
        headers = {"x-forwarded-for": f"198.51.100.{n}", "x-crm-subject": f"s{n}", "authorization": f"Bearer {n}"}
        assert narrow.request("POST", "/oauth/token", headers=headers).status_code == 429
    assert narrow.request("GET", "/api/identity/v1/me", token(sub="calm")).status_code == 200


def test_kinds_of_rate_do_not_share_a_bucket(narrow: Gateway) -> None:
    both = token(sub="bulky")
    spend(narrow, "/api/customers/v1/bulk", both, "POST")
    assert narrow.request("GET", "/api/identity/v1/me", both).status_code == 200


def test_a_refused_token_costs_its_pretended_owner_nothing(narrow: Gateway) -> None:
    for _ in range(10):
        assert narrow.request("GET", "/api/identity/v1/me", token(sub="victim", use="refresh")).status_code == 401
    assert narrow.request("GET", "/api/identity/v1/me", token(sub="victim")).status_code == 200


def test_shipped_buckets_let_fifty_people_of_one_office_log_in_at_once() -> None:
    assert BUCKETS["login"].burst == 50
    assert all(bucket.per_second >= 1 for bucket in BUCKETS.values())  # what "Retry-After: 1" promises


@pytest.mark.requirement("PL-12")
def test_no_more_connections_than_allowed_are_served(narrow: Gateway) -> None:
    held = [socket.create_connection(("127.0.0.1", narrow.port), timeout=5) for _ in range(40)]
    try:
        request = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
        served = 0
        for connection in held:
            try:
                connection.sendall(request)
                served += connection.recv(4096).startswith(b"HTTP/1.1 200")
            except ConnectionError:
                continue  # closed by the gateway
        assert 0 < served <= 20
    finally:
        for connection in held:
            connection.close()
    wait_for(lambda: narrow.request("GET", "/healthz").status_code == 200, "the gateway to serve again")

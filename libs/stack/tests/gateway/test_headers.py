"""Nobody outside can write a header that services, logs or Envoy take for the gateway's word."""

from pathlib import Path

import pytest

from crm_stack.gateway import GatewaySettings, TokenRules

from .conftest import Gateway, running_gateway
from .keys import ISSUER, claims, token
from .upstream import Upstream

FORGED = {
    "X-Crm-Subject": "somebody-else",
    "x-crm-session": "another",
    "X-CRM-Client": "another",
    "x-crm-address": "10.0.0.1",
    "x-crm-trace-id": "0",
    "x-crm-anything": "1",
    "X-Real-IP": "10.0.0.1",
    "X-Forwarded-For": "10.0.0.1, ::ffff:10.0.0.2",
    "Forwarded": "for=10.0.0.1",
    "True-Client-IP": "10.0.0.1",
    "X-Client-IP": "10.0.0.1",
    "X-Forwarded-Host": "attacker.test",
    "X-Original-URL": "/api/customers/v1/customers",
    "X-Rewrite-URL": "/api/customers/v1/customers",
    "X-HTTP-Method-Override": "DELETE",
    "x-envoy-original-path": "/api/customers/v1/customers",
    "x-envoy-internal": "true",
    "x-envoy-external-address": "10.0.0.1",
    "x-envoy-upstream-rq-timeout-ms": "60000",
    "x-envoy-retry-on": "5xx",
    "x-envoy-max-retries": "9",
    "x-envoy-decorator-operation": "forged",
    "x-forwarded-client-cert": "By=forged",
}


@pytest.mark.requirement("ID-22")
@pytest.mark.parametrize("path", ["/api/identity/v1/public", "/api/identity/v1/me"])
def test_forged_headers_do_not_arrive(gateway: Gateway, path: str) -> None:
    bearer = token() if path.endswith("me") else None
    assert gateway.request("GET", path, bearer, headers=FORGED).status_code == 200
    (arrived,) = gateway.arrived
    ours = {"x-crm-subject", "x-crm-session", "x-crm-client"} if bearer else set()
    names = {name for name, _ in arrived.headers if name.startswith("x-crm-")}
    assert names == {"x-crm-address", "x-crm-trace-id", *ours}
    assert arrived.all_of("x-crm-address") == ["127.0.0.1"]
    assert not any("10.0.0" in value or "forged" in value or "attacker" in value for _, value in arrived.headers)
    left = {name.lower() for name in FORGED} & {name for name, _ in arrived.headers}
    assert left <= {"x-crm-address", "x-crm-trace-id", "x-envoy-external-address", *ours}
    assert arrived.all_of("x-envoy-external-address") in ([], ["127.0.0.1"])


def test_the_callers_identity_in_headers_is_the_tokens(gateway: Gateway) -> None:
    gateway.request("GET", "/api/identity/v1/me", token(sub="alice", sid="s-9", client_id="import"), headers=FORGED)
    (arrived,) = gateway.arrived
    sent = [arrived.all_of(f"x-crm-{name}") for name in ("subject", "session", "client")]
    assert sent == [["alice"], ["s-9"], ["import"]]
    assert arrived.one("authorization").startswith("Bearer ")  # the services verify it themselves


@pytest.mark.parametrize("name", ["x_crm_subject", "X_Crm_Subject", "x-crm_subject", "a_b", "authorization_"])
def test_headers_with_underscores_are_refused(gateway: Gateway, name: str) -> None:
    answer = gateway.request("GET", "/api/identity/v1/me", token(), headers={name: "x"})
    assert (answer.status_code, answer.json()["code"]) == (400, "request.malformed")
    assert gateway.arrived == []


@pytest.mark.parametrize(
    "request_lines",
    [
        "GET /api/identity/v1/public HTTP/1.1\r\nhost: x\r\nx-crm-subject : a\r\n",
        "GET /api/identity/v1/public HTTP/1.1\r\nhost: x\r\n x-folded: a\r\n",
        "POST /oauth/token HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n",
        "POST /oauth/token HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n",
        "POST /oauth/token HTTP/1.1\r\nhost: x\r\ntransfer-encoding: xchunked\r\n",
        "GET /api/identity/v1/public HTTP/1.1\r\n",
        "GET api/identity/v1/public HTTP/1.1\r\nhost: x\r\n",
        "GET /api/identity/v1/pub lic HTTP/1.1\r\nhost: x\r\n",
        "nonsense\r\n",
    ],
)
def test_what_two_servers_could_read_differently_is_refused(gateway: Gateway, request_lines: str) -> None:
    answer = gateway.raw((request_lines + "\r\n").encode() + b"0\r\n\r\n")
    assert int(answer.split()[1]) in (400, 404, 501), answer
    assert gateway.arrived == []


def test_behind_a_trusted_proxy_its_word_about_the_address_counts(tmp_path: Path, upstream: Upstream) -> None:
    behind_one = GatewaySettings(tokens=TokenRules(issuer=ISSUER), trusted_hops=1)
    with running_gateway(tmp_path / "gateway", upstream, settings=behind_one) as gateway:
        forwarded = {"x-forwarded-for": "10.6.6.6, 203.0.113.7"}  # the caller wrote the first, the proxy the second
        assert gateway.request("GET", "/api/identity/v1/public", headers=forwarded).status_code == 200
        assert gateway.arrived[0].all_of("x-crm-address") == ["203.0.113.7"]


def test_the_claims_of_the_tests_are_those_of_the_interface() -> None:
    assert {"iss", "aud", "sub", "sid", "client_id", "jti", "iat", "exp", "use", "mod", "scp"} <= set(claims())

"""The public keys: fetched at once, kept while identity is away, exchanged while the gateway runs."""

from pathlib import Path

import pytest
from joserfc.jwk import RSAKey
from joserfc.jws import JWSRegistry

from crm_stack.gateway import GatewaySettings, TokenRules

from .conftest import Gateway, running_gateway, wait_for
from .keys import ISSUER, KEY, OTHER_KEY, claims, encoded, header, jwks, part, signed, token
from .upstream import Upstream

QUICK = GatewaySettings(tokens=TokenRules(issuer=ISSUER, keys_refresh_seconds=0.2, keys_retry_seconds=0.1))


def status(gateway: Gateway, bearer: str) -> int:
    return gateway.request("GET", "/api/identity/v1/me", bearer).status_code


@pytest.mark.requirement("ID-22")
def test_until_the_keys_are_there_a_token_gets_503_and_not_401(tmp_path: Path, upstream: Upstream) -> None:
    upstream.jwks = None
    with running_gateway(tmp_path / "gateway", upstream, settings=QUICK, wait_for_keys=False) as gateway:
        answer = gateway.request("GET", "/api/identity/v1/me", token())
        assert (answer.status_code, answer.json()["code"]) == (503, "service.unavailable")
        assert answer.headers["retry-after"] == "1"
        assert status(gateway, "x.y.z") in (401, 503)
        assert gateway.arrived == []
        upstream.jwks = jwks(KEY)
        wait_for(lambda: status(gateway, token()) == 200, "the keys to be fetched again")


@pytest.mark.requirement("ID-22", "ID-26")
def test_the_keys_are_kept_while_identity_is_away(tmp_path: Path, upstream: Upstream) -> None:
    with running_gateway(tmp_path / "gateway", upstream, settings=QUICK) as gateway:
        upstream.jwks = None
        failed = "http.ingress.jwt_authn.jwks_fetch_failed"
        before = gateway.stat(failed)
        wait_for(lambda: gateway.stat(failed) >= before + 2, "two refreshes to fail")
        assert status(gateway, token()) == 200
        assert status(gateway, token(jti="never seen before")) == 200


@pytest.mark.requirement("ID-26")
def test_a_new_key_is_taken_and_a_retired_one_refused_without_a_restart(tmp_path: Path, upstream: Upstream) -> None:
    """Tokens that Envoy has verified before their key was retired pass it until they expire; the services check again."""
    new = signed(header(kid="key-2"), claims(), OTHER_KEY)
    with running_gateway(tmp_path / "gateway", upstream, settings=QUICK) as gateway:
        assert status(gateway, new) == 401
        upstream.jwks = jwks(KEY, OTHER_KEY)
        wait_for(lambda: status(gateway, new) == 200, "the new key to be known")
        upstream.jwks = jwks(OTHER_KEY)
        wait_for(lambda: status(gateway, token(jti="fresh")) == 401, "the retired key to be forgotten")
        assert status(gateway, new) == 200


@pytest.mark.requirement("ID-22")
def test_a_published_key_of_another_kind_signs_no_access_tokens(tmp_path: Path, upstream: Upstream) -> None:
    rsa = RSAKey.generate_key(2048, {"kid": "key-3", "use": "sig", "alg": "RS256"})
    upstream.jwks = {"keys": [KEY.as_dict(private=False), rsa.as_dict(private=False)]}
    with running_gateway(tmp_path / "gateway", upstream) as gateway:
        body = f"{part(header(alg='RS256', kid='key-3'))}.{part(claims())}"
        signature = JWSRegistry(algorithms=["RS256"]).get_alg("RS256").sign(body.encode(), rsa)
        answer = gateway.request("GET", "/api/identity/v1/me", f"{body}.{encoded(signature)}")
        assert (answer.status_code, answer.json()["detail"]) == (401, "It is no access token of this platform.")
        assert gateway.arrived == []

"""Every attack on tokens: none is accepted, none reaches a service, none gives a server error."""

import base64
import json
import time
from typing import Any

import httpx
import pytest
from joserfc.jwk import ECKey

from .conftest import TABLE, Gateway
from .keys import KEY, OTHER_KEY, STRANGER, claims, header, part, signed, signed_hs256, token

UNPUBLISHED = ECKey.generate_key("P-256", {"kid": "key-9", "use": "sig", "alg": "ES256"})
PUBLIC_TEXTS = [KEY.as_pem(private=False), json.dumps(KEY.as_dict(private=False)).encode()]


def unsigned(alg: str) -> str:
    return f"{part(header(alg=alg))}.{part(claims())}."


def tampered(**changes: Any) -> str:
    """A good token whose claims were changed after signing."""
    head, payload, signature = token().split(".")
    content = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return f"{head}.{part(content | changes)}.{signature}"


def claimed(text: str) -> str:
    """A signed token whose payload begins with `text`, then the ordinary claims: duplicate names among them."""
    return signed(header(), "{" + text + "," + json.dumps(claims())[1:])


def also(text: str) -> str:
    """The same with `text` at the end."""
    return signed(header(), json.dumps(claims())[:-1] + "," + text + "}")


def forged() -> dict[str, str]:
    """Tokens as attackers would make them, of this moment: one that has grown old is refused for that."""
    now = int(time.time())
    return {
        "one dot": "a.b",
        "four parts": token() + ".x",
        "no signature": token().rsplit(".", 1)[0] + ".",
        "another signature": token().rsplit(".", 1)[0] + "." + token(sub="x").rsplit(".", 1)[1],
        "cut signature": token()[:-4],
        "zero signature": token().rsplit(".", 1)[0] + "." + base64.urlsafe_b64encode(bytes(64)).rstrip(b"=").decode(),
        **{f"alg {alg}": unsigned(alg) for alg in ("none", "None", "NONE", "nOnE", "", "ES256", "HS256")},
        **{f"HS256 keyed with the public key {n}": signed_hs256(text) for n, text in enumerate(PUBLIC_TEXTS)},
        "HS256 with a blank secret": signed_hs256(b""),
        "key of a stranger": signed(header(), claims(), STRANGER),
        "embedded jwk": signed(header(jwk=STRANGER.as_dict(private=False)), claims(), STRANGER),
        "jku": signed(header(jku="http://127.0.0.1:1/jwks.json"), claims(), STRANGER),
        "x5u": signed(header(x5u="http://127.0.0.1:1/x.pem"), claims(), STRANGER),
        "kid traversal": signed(header(kid="../../../../dev/null"), claims(), STRANGER),
        "kid SQL": signed(header(kid="x' UNION SELECT 'key"), claims(), STRANGER),
        "kid unknown": signed(header(kid="key-9"), claims(), UNPUBLISHED),
        "kid swapped": signed(header(kid="key-2"), claims(), KEY),
        "kid swapped the other way": signed(header(kid="key-1"), claims(), OTHER_KEY),
        "kid missing": signed(header(kid=None), claims()),
        "crit unknown": signed(header(crit=["exp2"], exp2=1), claims()),
        "crit empty": signed(header(crit=[]), claims()),
        "crit b64": signed(header(crit=["b64"], b64=True), claims()),
        "iss missing": token(iss=None),
        "iss wrong": token(iss="http://attacker.test"),
        "iss longer": token(iss="http://gateway.test.attacker.test"),
        "iss part": token(iss="http://gateway"),
        "iss with slash": token(iss="http://gateway.test/"),
        "iss list": token(iss=["http://gateway.test"]),
        "aud missing": token(aud=None),
        "aud empty": token(aud=""),
        "aud wrong": token(aud="other-api"),
        "aud longer": token(aud="crm-api-2"),
        "aud part": token(aud="crm"),
        "aud with scheme": token(aud="https://crm-api"),
        "aud with slash": token(aud="crm-api/"),
        "aud list": token(aud=["crm-api"]),
        "aud list with others": token(aud=["other-api", "crm-api"]),
        "exp missing": token(exp=None),
        "exp zero": token(exp=0),
        "exp past": token(exp=now - 30),
        "exp text": token(exp=str(now + 200)),
        "exp word": token(exp="tomorrow"),
        "exp huge": token(exp=10**18),
        "exp beyond integers": token(exp=1e300),
        "exp negative": token(exp=-1),
        "exp in an hour": token(exp=now + 3600),
        "exp list": token(exp=[now + 200]),
        "nbf later": token(nbf=now + 120),
        "nbf text": token(nbf="0"),
        "typ missing": signed(header(typ=None), claims()),
        "typ JWT": signed(header(typ="JWT"), claims()),
        "typ of a refresh token": signed(header(typ="rt+jwt"), claims()),
        "typ list": signed(header(typ=["at+jwt"]), claims()),
        "typ in capitals": signed(header(typ="AT+JWT"), claims()),
        "refresh token": token(use="refresh"),
        "identity token": signed(header(typ="JWT"), claims(use="id", aud="console")),
        "use missing": token(use=None),
        "use list": token(use=["access"]),
        "use object": token(use={"access": True}),
        "use longer": token(use="access2"),
        "sub missing": token(sub=None),
        "sub empty": token(sub=""),
        "sub list": token(sub=["x"]),
        "sub number": token(sub=7),
        "tampered subject": tampered(sub="01890000-0000-7000-8000-000000000000"),
        "tampered scope": tampered(scp={"customers": {"customer": {"read": ["all"]}}}),
        "tampered module": tampered(mod=["customers", "sales", "identity"]),
        "tampered expiry": tampered(exp=now + 299),
        "payload no object": signed(header(), "[]"),
        "payload no JSON": signed(header(), "{"),
        "duplicate use, the last is wrong": also('"use": "refresh"'),
        "duplicate aud, the last is wrong": also('"aud": "other-api"'),
        "duplicate exp, the last is past": also('"exp": 1'),
    }


@pytest.mark.requirement("ID-20", "ID-21", "ID-22")
@pytest.mark.parametrize("attack", forged())
def test_no_forged_or_foreign_token_enters_any_route(gateway: Gateway, attack: str) -> None:
    token_of_now = forged()[attack]
    for route in TABLE:
        if route["access"] == "public":
            continue
        path = route["path"].replace("{id}", "1").replace("{note}", "2").replace("{kind}", "3")
        answer = gateway.request(route["method"], path, token_of_now)
        assert answer.status_code == 401, (path, answer.text)
        assert answer.json()["code"] in ("token.invalid", "token.missing")
    assert gateway.arrived == []


def test_the_good_token_that_the_attacks_are_made_from_enters(gateway: Gateway) -> None:
    """Otherwise the refusals above would show nothing."""
    for good in (token(), signed(header(kid="key-2"), claims(), OTHER_KEY), signed(header(), claims())):
        assert gateway.request("GET", "/api/customers/v1/customers", good).status_code == 200


@pytest.mark.parametrize("name", ["use", "aud", "iss", "sub", "exp"])
def test_of_duplicate_names_the_gateway_takes_the_last_as_the_services_do(gateway: Gateway, name: str) -> None:
    """Python's JSON reader takes the last too, so both judge the same token."""
    wrong = claimed(f'"{name}": "wrong"')
    answer = gateway.request("GET", "/api/customers/v1/customers", wrong)
    assert answer.status_code in (200, 401)
    if answer.status_code == 200:
        assert gateway.arrived[0].one("x-crm-subject") == claims()["sub"]


def test_a_token_verified_once_is_judged_again_each_time(gateway: Gateway) -> None:
    """Envoy remembers verified tokens: neither their kind nor their modules are remembered as good."""
    refresh, without_module = token(use="refresh"), token(mod=["sales"])
    for _ in range(3):
        assert gateway.request("GET", "/api/customers/v1/customers", refresh).status_code == 401
        assert gateway.request("GET", "/api/customers/v1/customers", without_module).status_code == 403
    assert gateway.arrived == []


@pytest.mark.requirement("ID-22")
def test_a_token_is_no_longer_taken_when_it_expires_while_remembered(gateway: Gateway) -> None:
    short = token(exp=int(time.time()) - 3)  # within the 5 s of clock difference that is forgiven
    assert gateway.request("GET", "/api/identity/v1/me", short).status_code == 200
    end = time.monotonic() + 10
    while gateway.request("GET", "/api/identity/v1/me", short).status_code == 200:
        assert time.monotonic() < end, "an expired token is still taken"


@pytest.mark.parametrize(
    "lines",
    [
        ["Authorization: Bearer {good}", "Authorization: Bearer {good}"],
        ["Authorization: Bearer {good}", "Authorization: Bearer {forged}"],
        ["Authorization: Bearer {forged}", "authorization: Bearer {good}"],
        ["Authorization: Bearer {good}, Bearer {forged}"],
        ["Authorization: Basic YTpi, Bearer {good}"],
        ["Authorization: Basic YTpi Bearer {good}"],
        ["Authorization: Bearer {good} x"],
        ["Authorization: Bearer  {good}"],
        ["Authorization: Bearer{good}"],
        ["Authorization: {good}"],
        ["Authorization: Token {good}"],
        ["Authorization: Bearer"],
        ["Authorization:"],
        ["Authorization: Bearer {good}\x01"],
        ["X-Authorization: Bearer {good}"],
        ["Cookie: access_token={good}; authorization={good}"],
        ["Proxy-Authorization: Bearer {good}"],
    ],
    ids=lambda lines: " | ".join(lines),
)
def test_only_one_bearer_token_in_one_authorization_header_counts(gateway: Gateway, lines: list[str]) -> None:
    headers = "".join(line.format(good=token(), forged=forged()["key of a stranger"]) + "\r\n" for line in lines)
    request = f"GET /api/identity/v1/me HTTP/1.1\r\nhost: x\r\n{headers}connection: close\r\n\r\n"
    assert int(gateway.raw(request.encode()).split()[1]) in (400, 401)
    assert gateway.arrived == []


@pytest.mark.parametrize("name", ["access_token", "token", "authorization", "jwt", "bearer"])
def test_a_token_in_the_query_or_body_is_no_token(gateway: Gateway, name: str) -> None:
    answer = gateway.request("GET", "/api/identity/v1/me", params={name: token()})
    assert (answer.status_code, answer.json()["code"]) == (401, "token.missing")
    answer = gateway.request("POST", "/api/customers/v1/customers", data={name: token()})
    assert answer.status_code == 401
    assert gateway.arrived == []


@pytest.mark.requirement("PL-12")
def test_a_header_of_64_kib_is_refused(gateway: Gateway) -> None:
    for headers in ({"authorization": "Bearer " + "a" * 65536}, {"x-long": "a" * 65536}):
        try:
            answer = gateway.client.get("/api/identity/v1/me", headers=headers)
        except httpx.TransportError:
            continue  # closed while it was being sent
        assert (answer.status_code, answer.json()["code"]) == (431, "headers.too_large")
    assert gateway.arrived == []


def test_the_widest_token_still_fits(gateway: Gateway) -> None:
    wide = token(perm={"customers": {f"record_{n}": ["read", "create", "change"] for n in range(90)}})
    assert len(wide) > 4096
    assert gateway.request("GET", "/api/customers/v1/customers", wide).status_code == 200


@pytest.mark.requirement("PL-3")
def test_a_refused_token_is_answered_as_oauth_says(gateway: Gateway) -> None:
    missing = gateway.request("GET", "/api/identity/v1/me")
    assert missing.headers["www-authenticate"] == 'Bearer realm="crm"'
    for refused in (forged()["exp past"], forged()["refresh token"], "x"):
        answer = gateway.request("GET", "/api/identity/v1/me", refused)
        assert answer.headers["www-authenticate"] == 'Bearer realm="crm", error="invalid_token"'
    assert "expired" in gateway.request("GET", "/api/identity/v1/me", forged()["exp past"]).json()["detail"]

"""Access tokens: what identity writes is read back; every attack listed in the reliability gates (G6) is refused."""

import base64
import datetime as dt
import json
import uuid
from typing import Any

import pytest
from joserfc.jwk import ECKey

from crm_authz import (
    Place,
    RightsTooLarge,
    Rule,
    SigningKey,
    TokenExpired,
    TokenInvalid,
    TokenVerifier,
    VerifyingKey,
)
from crm_authz.tokens import MAX_TOKEN_CHARACTERS

from .forge import GOOD_HEADER, b64, hs256, signed, text, with_header, without
from .world import ISSUER, KEY, NOW, good_claims, grants, issue, role, uid

KEYS = {KEY.kid: KEY.verifying()}
OTHER = SigningKey.generate("key-b")
IAT = int(NOW.timestamp())
SECOND = dt.timedelta(seconds=1)


def verify(token: str, now: dt.datetime = NOW, keys: dict[str, VerifyingKey] | None = None) -> Any:
    return TokenVerifier(ISSUER).verify(token, KEYS if keys is None else keys, now)


@pytest.mark.requirement("ID-21")
def test_what_the_issuer_writes_is_what_the_verifier_reads() -> None:
    given = grants(
        role(1, ["customers.customer:read", "customers.*:claim"], {"customers.*": {"*": Rule("department")}}),
        role(2, [], {"customers.customer": {"read": Rule("departments", uid(7))}}),
    )
    principal = verify(
        issue(given=given, role_epochs={uid(4001): 3, uid(4002): 1}, epoch=9, ip_restricted=True, place=Place(uid(2)))
    )
    assert principal.user_id == uid(1000)
    assert (principal.session_id, principal.client_id, principal.token_id) == (uid(6), "console", uid(5))
    assert (principal.issued_at, principal.expires_at) == (NOW, NOW + 300 * SECOND)
    assert (principal.epoch, principal.role_epochs) == (9, {uid(4001): 3, uid(4002): 1})
    assert principal.modules == {"customers"}
    assert principal.ip_restricted
    assert principal.allows("customers.customer:read")
    assert principal.allows("customers.customer:claim")
    assert not principal.allows("customers.contact:read")
    assert principal.rules("customers.customer", "read") == (Rule("department"), Rule("departments", uid(7)))
    assert principal.rules("customers.customer", "write") == (Rule("department"),)


def test_the_hand_written_token_is_good_so_that_the_attacks_below_fail_for_their_own_reason() -> None:
    assert verify(signed()).user_id == uid(1000)


def _flip(token: str, part: int) -> str:
    parts = token.split(".")
    middle = len(parts[part]) // 2
    parts[part] = parts[part][:middle] + ("A" if parts[part][middle] != "A" else "B") + parts[part][middle + 1 :]
    return ".".join(parts)


def _reclaimed(**changed: Any) -> str:
    """A good token whose claims were replaced without signing anew."""
    head, _, signature = signed().split(".")
    return f"{head}.{b64(text({**good_claims(), **changed}))}.{signature}"


def _unsigned(alg: str, signature: str = "") -> str:
    return f"{b64(text(with_header(alg=alg)))}.{b64(text(good_claims()))}.{signature}"


def _hmac_with(secret: bytes, alg: str = "HS256") -> str:
    head, body = b64(text(with_header(alg=alg))), b64(text(good_claims()))
    return f"{head}.{body}.{b64(hs256(f'{head}.{body}'.encode(), secret))}"


def _doubled(key: str, value: object, where: str = "claims") -> str:
    """JSON in which one key stands twice; the second is the attacker's, or the first."""
    source = GOOD_HEADER if where == "header" else good_claims()
    doubled = json.dumps(source)[:-1] + f", {json.dumps(key)}: {json.dumps(value)}}}"
    return signed(header=doubled.encode()) if where == "header" else signed(claims=doubled.encode())


PEM = KEY.key.as_pem(private=False)
DER = KEY.key.as_der(private=False)
EVIL_JWK = OTHER.public_jwk()
ALL = {"customers": {"*": {"*": ["all"]}}}

ATTACKS: dict[str, str] = {
    **{f"alg {alg}": _unsigned(alg) for alg in ("none", "None", "NONE", "nOnE", "")},
    **{f"alg {alg} with the signature": _unsigned(alg, signed().split(".")[2]) for alg in ("none", "es256", "ES384")},
    "alg is a list": signed(header=with_header(alg=["ES256"])),
    "no alg": signed(header={"typ": "at+jwt", "kid": KEY.kid}),
    "HS256 keyed with the public PEM": _hmac_with(PEM),
    "HS256 keyed with the public PEM without its last line end": _hmac_with(PEM.strip()),
    "HS256 keyed with the public DER": _hmac_with(DER),
    "HS256 keyed with the JWK": _hmac_with(json.dumps(KEY.public_jwk()).encode()),
    "HS256 keyed with x": _hmac_with(base64.urlsafe_b64decode(KEY.public_jwk()["x"] + "=")),
    "HS256 with a blank secret": _hmac_with(b""),
    "HMAC that calls itself ES256": _hmac_with(PEM, "ES256"),
    "embedded jwk": signed(header=with_header(jwk=EVIL_JWK), key=OTHER),
    "embedded jwk, signed by ours": signed(header=with_header(jwk=KEY.public_jwk())),
    "jku": signed(header=with_header(jku="https://evil.example/jwks.json"), key=OTHER),
    "jku, signed by ours": signed(header=with_header(jku="https://evil.example/jwks.json")),
    "x5u": signed(header=with_header(x5u="https://evil.example/cert.pem")),
    "x5c": signed(header=with_header(x5c=["MIIB"])),
    "unknown crit": signed(header=with_header(crit=["exp"])),
    "empty crit": signed(header=with_header(crit=[])),
    "b64 false": signed(header=with_header(b64=False, crit=["b64"])),
    "zip": signed(header=with_header(zip="DEF")),
    "nested, cty": signed(header=with_header(cty="JWT")),
    **{
        f"kid {kid!r}": signed(header=with_header(kid=kid))
        for kid in (
            "../../dev/null",
            "' OR 1=1 --",
            "unknown",
            "",
            KEY.kid.upper(),
            KEY.kid + "\x00",
            0,
            None,
            [KEY.kid],
            {},
        )
    },
    "no kid": signed(header={"alg": "ES256", "typ": "at+jwt"}),
    "key of another environment under our kid": signed(key=OTHER),
    **{
        f"typ {typ!r}": signed(header=with_header(typ=typ))
        for typ in ("JWT", "AT+JWT", "application/at+jwt", "rt+jwt", "at+jwt ", None, ["at+jwt"])
    },
    "no typ": signed(header={"alg": "ES256", "kid": KEY.kid}),
    "duplicate key in the header": _doubled("kid", KEY.kid, "header"),
    "header is a list": signed(header=[GOOD_HEADER]),
    "header is no JSON": signed(header=b"{"),
    "header with an odd byte": signed(header=text(GOOD_HEADER) + b"\xff"),
    **{
        f"{name} {value!r}": signed(**{name: value})
        for name, good in (("iss", ISSUER), ("aud", "crm-api"), ("use", "access"))
        for value in (None, "", good[:-1], good + "/", good.upper(), [good], {good: 1}, True, 1)
    },
    **{f"no {name}": signed(claims=without(name)) for name in good_claims()},
    "refresh token": signed(use="refresh"),
    "ID token": signed(claims={**without("use", "perm", "scp"), "aud": "console", "nonce": "x"}),
    **{
        f"{name} {label}": signed(**{name: value})
        for name in ("exp", "nbf", "iat")
        for label, value in {
            "as text": str(IAT),
            "as fraction": IAT + 0.5,
            "true": True,
            "null": None,
            "negative": -1,
            "huge": 10**30,
            "in a list": [IAT],
        }.items()
    },
    "exp as float": signed(exp=float(IAT + 300)),
    "exp infinite": signed(claims=json.dumps({**good_claims(), "exp": float("inf")}).encode()),
    "exp NaN": signed(claims=json.dumps({**good_claims(), "exp": float("nan")}).encode()),
    "exp too large for any clock": signed(claims=text(good_claims()).replace(str(IAT + 300).encode(), b"9" * 5000)),
    "exp all huge": signed(exp=10**30 + 300, iat=10**30, nbf=10**30),
    "lives longer than allowed": signed(exp=IAT + 301),
    "expires before it is issued": signed(exp=IAT - 1, iat=IAT),
    "issued in the future": signed(iat=IAT + 6, exp=IAT + 300),
    "not valid yet": signed(nbf=IAT + 6),
    "tampered scope": _reclaimed(scp=ALL),
    "tampered subject": _reclaimed(sub=str(uid(1001))),
    "tampered times": _reclaimed(exp=IAT + 299),
    **{f"flipped {name}": _flip(signed(), part) for part, name in enumerate(("header", "claims", "signature"))},
    **{f"claim {name} twice": _doubled(name, value) for name, value in good_claims().items()},
    "scope twice, deep down": signed(
        claims=text(good_claims()).replace(b'"*": ["self"]', b'"*": ["self"], "*": ["all"]')
    ),
    **{
        f"{name} as {value!r}": signed(**{name: value})
        for name in ("scp", "perm", "roles", "place")
        for value in (None, [], "all", 1, True, [["customers"]])
    },
    "scope as text": signed(scp={"customers": {"customer": {"read": "all"}}}),
    "scope as list of lists": signed(scp={"customers": {"customer": {"read": [["all"]]}}}),
    "scope as object": signed(scp={"customers": {"customer": {"read": {"0": "all"}}}}),
    "actions as text": signed(perm={"customers": {"customer": "read"}}),
    **{f"sub {value!r}": signed(sub=value) for value in ("", "1000", str(uid(1000)).replace("-", ""), 1000, None)},
    "sub in upper case": signed(sub=str(uuid.UUID(int=0xABCDEF)).upper()),
    "sub as urn": signed(sub=uid(1000).urn),
    **{f"epoch {value!r}": signed(epoch=value) for value in ("1", 1.0, True, -1, None)},
    **{f"role epoch {value!r}": signed(roles={str(uid(4001)): value}) for value in ("1", 1.5, True, None)},
    "role that is no id": signed(roles={"admin": 1}),
    "mod as text": signed(mod="customers"),
    "ip as number": signed(ip=0),
    "client_id empty": signed(client_id=""),
    "claims are a list": signed(claims=[good_claims()]),
    "claims are no JSON": signed(claims=b"{"),
    "claims are not UTF-8": signed(claims=b'{"a": "\xff"}'),
    "claims nested to the bottom": signed(claims=b'{"a":' + b"[" * 2000 + b"]" * 2000 + b"}"),
    "empty signature": signed().rsplit(".", 1)[0] + ".",
    "zero signature": signed().rsplit(".", 1)[0] + "." + b64(bytes(64)),
    "signature in DER": signed().rsplit(".", 1)[0] + "." + b64(b"0\x06\x02\x01\x01\x02\x01\x01"),
    "signature too short": signed()[:-4],
    "two parts": ".".join(signed().split(".")[:2]),
    "four parts": signed() + ".x",
    "five parts": ".".join(["e30"] * 5),
    "JSON serialisation": json.dumps({"protected": "e30", "payload": "e30", "signature": "e30"}),
    "padding": signed() + "=",
    "white space": " " + signed(),
    "line end": signed() + "\n",
    "NUL": signed() + "\x00",
    "letters that look alike": signed().replace("e", "е"),
    "lone surrogate": signed() + "\ud800",
    "empty": "",
    "dots": "..",
    "64 KiB": signed(extra="x" * 65536),
}


@pytest.mark.requirement("ID-21", "ID-22")
@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused(name: str) -> None:
    with pytest.raises(TokenInvalid) as refused:
        verify(ATTACKS[name])
    assert refused.value.status == 401
    assert refused.value.code == "token.invalid"
    assert refused.value.headers["WWW-Authenticate"].startswith('Bearer error="invalid_token"')


@pytest.mark.requirement("ID-12")
@pytest.mark.parametrize("rules", [[], ["everything"], [""], ["departments:x"], ["self "], ["ALL"]])
def test_an_empty_or_unknown_scope_in_a_good_token_reaches_nothing(rules: list[str]) -> None:
    principal = verify(signed(scp={"customers": {"customer": {"*": rules}}}))
    assert principal.rules("customers.customer", "read") == ()


def test_a_curve_that_is_not_ours_verifies_nothing() -> None:
    for jwk in (
        ECKey.generate_key("P-384").as_dict(private=False),
        {"kty": "oct", "k": "AAAA"},
        {"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"},
        {"kty": "EC", "crv": "P-256", "x": KEY.public_jwk()["x"]},
        {**KEY.public_jwk(), "y": 5},
    ):
        with pytest.raises(ValueError, match="key k"):
            VerifyingKey.of("k", jwk)


@pytest.mark.requirement("ID-26")
def test_a_retired_key_stops_verifying_at_its_instant_even_for_a_token_seen_before() -> None:
    verifier = TokenVerifier(ISSUER)
    token = issue()
    verifier.verify(token, KEYS, NOW)
    retired = {KEY.kid: KEY.verifying(not_after=NOW + SECOND)}
    verifier.verify(token, retired, NOW)
    with pytest.raises(TokenInvalid):
        verifier.verify(token, retired, NOW + SECOND)
    for keys_without in ({}, {OTHER.kid: OTHER.verifying()}):
        verifier.verify(token, KEYS, NOW)
        with pytest.raises(TokenInvalid):
            verifier.verify(token, keys_without, NOW)
    verifier.verify(token, KEYS, NOW)
    swapped = {KEY.kid: VerifyingKey.of(KEY.kid, OTHER.public_jwk())}
    with pytest.raises(TokenInvalid):
        verifier.verify(token, swapped, NOW)


def test_two_keys_verify_side_by_side_and_kids_cannot_be_swapped() -> None:
    keys = {KEY.kid: KEY.verifying(), OTHER.kid: OTHER.verifying()}
    assert verify(issue(OTHER), keys=keys).user_id == uid(1000)
    with pytest.raises(TokenInvalid):
        verify(signed(header=with_header(kid=OTHER.kid), key=KEY), keys=keys)


@pytest.mark.requirement("ID-21")
def test_a_good_token_expires_five_seconds_after_its_time_also_when_remembered() -> None:
    verifier = TokenVerifier(ISSUER)
    token = issue()
    for asked in (verifier, TokenVerifier(ISSUER)):
        asked.verify(token, KEYS, NOW + 304 * SECOND)
        with pytest.raises(TokenExpired) as refused:
            asked.verify(token, KEYS, NOW + 305 * SECOND)
        assert refused.value.code == "token.expired"


def test_a_clock_five_seconds_behind_takes_a_fresh_token() -> None:
    verify(issue(), now=NOW - 5 * SECOND)
    with pytest.raises(TokenInvalid):
        verify(issue(), now=NOW - 6 * SECOND)


def test_expiry_is_said_only_of_a_token_that_was_good() -> None:
    with pytest.raises(TokenInvalid):
        verify(_reclaimed(exp=IAT - 10, iat=IAT - 300, nbf=IAT - 300))


def test_a_remembered_token_is_not_mistaken_for_another_and_memory_is_bounded() -> None:
    verifier = TokenVerifier(ISSUER, remembered=3)
    tokens = [issue(given=grants(role(1, [], {}), user_id=uid(n)), token_id=uid(n)) for n in range(1, 8)]
    for _ in range(2):
        for n, token in enumerate(tokens, start=1):
            assert verifier.verify(token, KEYS, NOW).user_id == uid(n)
    assert len(verifier._verified) == 3
    with pytest.raises(TokenInvalid):
        verifier.verify(_flip(tokens[-1], 2), KEYS, NOW)


def test_a_service_of_another_issuer_or_audience_refuses_ours() -> None:
    for verifier in (TokenVerifier("https://other.example.com"), TokenVerifier(ISSUER, audience="other")):
        with pytest.raises(TokenInvalid):
            verifier.verify(issue(), KEYS, NOW)


def test_rights_too_large_for_a_token_are_refused_when_signing_not_at_every_request() -> None:
    rules = {f"customers.record_{n}": {"read": Rule("departments", uid(n))} for n in range(200)}
    with pytest.raises(RightsTooLarge):
        issue(given=grants(role(1, [], rules)))
    assert len(issue()) < MAX_TOKEN_CHARACTERS


def test_a_token_lives_five_minutes_at_most() -> None:
    for life in (0, -1, 301):
        with pytest.raises(ValueError, match="lives 1 to 300"):
            issue(life=life)


def test_private_keys_are_p256_and_do_not_show() -> None:
    again = SigningKey.of("key-a", KEY.private_pem())
    assert again.public_jwk() == KEY.public_jwk()
    assert "d" not in KEY.public_jwk()
    assert SigningKey.of("k", KEY.key.as_dict(private=True)).public_jwk()["x"] == KEY.public_jwk()["x"]
    assert "key=" not in repr(KEY)
    with pytest.raises(ValueError, match="private key on P-256"):
        SigningKey.of("k", ECKey.generate_key("P-384").as_pem(private=True))
    with pytest.raises(ValueError, match="private key on P-256"):
        SigningKey.of("k", KEY.public_jwk())

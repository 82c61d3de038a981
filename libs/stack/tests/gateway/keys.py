"""Keys and tokens as identity would make them, and as an attacker would."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

from joserfc.jwk import ECKey
from joserfc.jws import JWSRegistry

ISSUER = "http://gateway.test"
KEY = ECKey.generate_key("P-256", {"kid": "key-1", "use": "sig", "alg": "ES256"})
OTHER_KEY = ECKey.generate_key("P-256", {"kid": "key-2", "use": "sig", "alg": "ES256"})
STRANGER = ECKey.generate_key("P-256", {"kid": "key-1", "use": "sig", "alg": "ES256"})


def jwks(*keys: ECKey) -> dict[str, Any]:
    """What identity publishes: public halves only."""
    return {"keys": [key.as_dict(private=False) for key in keys]}


def header(**changes: Any) -> dict[str, Any]:
    """An access token's header with `changes`; a change to None leaves the field out."""
    return _changed({"alg": "ES256", "typ": "at+jwt", "kid": "key-1"}, changes)


def claims(**changes: Any) -> dict[str, Any]:
    """Alice's claims with `changes`; a change to None leaves the claim out."""
    now = int(time.time())
    standard = {
        "iss": ISSUER,
        "aud": "crm-api",
        "sub": "01890000-0000-7000-8000-00000000a11c",
        "sid": "session-1",
        "client_id": "console",
        "jti": "token-1",
        "iat": now,
        "exp": now + 300,
        "use": "access",
        "mod": ["customers"],
        "perm": {"customers": {"customer": ["read"]}},
        "scp": {"customers": {"customer": {"read": ["own"]}}},
        "epoch": 1,
        "roles": [],
        "place": None,
    }
    return _changed(standard, changes)


def _changed(standard: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (standard | changes).items() if not (name in changes and value is None)}


def signed(head: dict[str, Any], payload: dict[str, Any] | str, key: ECKey = KEY) -> str:
    """A token signed (ES256) over exactly this header and payload, however wrong they are; text is taken as it stands."""
    text = payload if isinstance(payload, str) else json.dumps(payload)
    body = f"{part(head)}.{encoded(text.encode())}"
    return f"{body}.{encoded(JWSRegistry(algorithms=['ES256']).get_alg('ES256').sign(body.encode(), key))}"


def signed_hs256(secret: bytes) -> str:
    """A token with a symmetric signature under `secret`; by hand, because joserfc refuses secrets this bad."""
    body = f"{part(header(alg='HS256'))}.{part(claims())}"
    return f"{body}.{encoded(hmac.new(secret, body.encode(), hashlib.sha256).digest())}"


def part(content: dict[str, Any]) -> str:
    """One unsigned part of a token."""
    return encoded(json.dumps(content).encode())


def encoded(content: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def token(**changes: Any) -> str:
    """A good access token, its claims changed."""
    return signed(header(), claims(**changes))

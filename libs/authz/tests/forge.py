"""Tokens that nobody should accept. Written by hand, not with the library that verifies: it would refuse to write them."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from crm_authz import SigningKey

from .world import KEY, good_claims

GOOD_HEADER: dict[str, Any] = {"alg": "ES256", "typ": "at+jwt", "kid": KEY.kid}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def es256(signed: bytes, key: SigningKey = KEY) -> bytes:
    """A signature as JWS has it: r and s, 32 bytes each."""
    private: Any = key.key.private_key
    r, s = decode_dss_signature(private.sign(signed, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def hs256(signed: bytes, secret: bytes) -> bytes:
    return hmac.new(secret, signed, hashlib.sha256).digest()


def text(value: object) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def signed(header: object = None, claims: object = None, *, key: SigningKey = KEY, **changed: Any) -> str:
    """A token with a true ES256 signature over whatever header and claims; `changed` replaces single claims."""
    payload = {**good_claims(), **changed} if claims is None else claims
    head = b64(text(GOOD_HEADER if header is None else header))
    body = b64(text(payload))
    return f"{head}.{body}.{b64(es256(f'{head}.{body}'.encode(), key))}"


def without(*names: str) -> dict[str, Any]:
    """Good claims that lack some."""
    return {name: value for name, value in good_claims().items() if name not in names}


def with_header(**changed: Any) -> Mapping[str, Any]:
    return {**GOOD_HEADER, **changed}

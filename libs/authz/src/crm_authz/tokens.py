"""Verifying access tokens (ID-21): JWS ES256, `typ: at+jwt`, after RFC 9068 and RFC 8725, and stricter than both.

Everything that is not exactly what TokenIssuer writes is refused. The signature is checked by joserfc; what stands here decides
what is given to it.
"""

import datetime as dt
import hashlib
import re
from base64 import urlsafe_b64decode
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from joserfc import jws
from joserfc.errors import JoseError

from crm_authz.claims import MalformedClaim, read_whole
from crm_authz.keys import ALGORITHM, TOKEN_TYPE, VerifyingKey
from crm_authz.principal import Principal
from crm_authz.refusals import TokenExpired, TokenInvalid
from crm_authz.strict_json import NotStrict, parse_object

#: Longer tokens are refused unread. The widest shipped role needs at most 4 KiB (ID-21).
MAX_TOKEN_CHARACTERS: Final = 8192
#: The longest life of an access token, and how far clocks may differ; seconds.
LONGEST_LIFE: Final = 300
LEEWAY: Final = 5

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)


class TokenVerifier:
    """Turns a token into a Principal, or refuses it. One per process; remembers what it verified until that expires."""

    def __init__(self, issuer: str, *, audience: str = "crm-api", remembered: int = 5000) -> None:
        """issuer: the public URL that `iss` must be. remembered: how many verified tokens are kept at most."""
        self._issuer = issuer
        self._audience = audience
        self._remembered = remembered
        self._verified: OrderedDict[bytes, tuple[VerifyingKey, Principal]] = OrderedDict()

    def verify(self, token: str, keys: Mapping[str, VerifyingKey], now: dt.datetime) -> Principal:
        """The token's holder. keys: `Directory.keys`. Raises TokenInvalid, TokenExpired.

        Whether the token still counts after changes of rights is `Directory.admit`'s to say, at every request.
        """
        if len(token) > MAX_TOKEN_CHARACTERS or not _COMPACT.fullmatch(token):
            raise TokenInvalid
        digest = hashlib.sha256(token.encode()).digest()
        known = self._verified.get(digest)
        if known is None:
            known = self._verify(token, keys, now)
            self._remember(digest, known)
            return known[1]
        key, principal = known
        present = keys.get(key.kid)
        if present is None or present.key is not key.key or not present.usable(now):
            # The key was retired or replaced since: read again, as if never seen.
            del self._verified[digest]
            return self.verify(token, keys, now)
        if _over(now, int(principal.expires_at.timestamp())):
            del self._verified[digest]
            raise TokenExpired
        return principal

    def _remember(self, digest: bytes, verified: tuple[VerifyingKey, Principal]) -> None:
        self._verified[digest] = verified
        while len(self._verified) > self._remembered:
            self._verified.popitem(last=False)

    def _verify(self, token: str, keys: Mapping[str, VerifyingKey], now: dt.datetime) -> tuple[VerifyingKey, Principal]:
        try:
            key = _key_for(parse_object(_decode(token.partition(".")[0])), keys, now)
            payload = jws.deserialize_compact(token, key.key, algorithms=[ALGORITHM]).payload
            claims = parse_object(payload)
            self._check_purpose(claims)
            expires_at = _check_times(claims, now)
            principal = Principal.read(claims)
        except (JoseError, NotStrict, MalformedClaim) as error:
            raise TokenInvalid from error
        # Last, so that "expired" is only said of a token that was good.
        if _over(now, expires_at):
            raise TokenExpired
        return key, principal

    def _check_purpose(self, claims: Mapping[str, Any]) -> None:
        """For whom it was issued and what for: exactly ours, an access token. A list is not a text."""
        for name, expected in (("iss", self._issuer), ("aud", self._audience), ("use", "access")):
            if claims.get(name) != expected:
                raise MalformedClaim(name)


def _decode(part: str) -> bytes:
    try:
        return urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError as error:
        raise NotStrict("base64") from error


def _key_for(header: Mapping[str, Any], keys: Mapping[str, VerifyingKey], now: dt.datetime) -> VerifyingKey:
    """The key that a header names. A header with anything beyond `alg`, `typ`, `kid` is refused: crit, jwk, jku, x5u, zip, b64."""
    if header.keys() != {"alg", "typ", "kid"} or header["alg"] != ALGORITHM or header["typ"] != TOKEN_TYPE:
        raise NotStrict("header")
    kid = header["kid"]
    key = keys.get(kid) if isinstance(kid, str) else None
    if key is None or not key.usable(now):
        raise NotStrict("kid")
    return key


def _check_times(claims: Mapping[str, Any], now: dt.datetime) -> int:
    """Seconds since 1970 when the token expires. Raises MalformedClaim for times that no token of ours has."""
    issued_at, not_before, expires_at = (read_whole(claims, name) for name in ("iat", "nbf", "exp"))
    latest = int(now.timestamp()) + LEEWAY
    if not 0 < expires_at - issued_at <= LONGEST_LIFE:
        raise MalformedClaim("exp")
    if issued_at > latest or not_before > latest:
        raise MalformedClaim("nbf")
    return expires_at


def _over(now: dt.datetime, expires_at: int) -> bool:
    return now.timestamp() >= expires_at + LEEWAY

"""Signing access tokens. Only identity has the private keys; it stands here so that both sides are read together."""

import datetime as dt
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import orjson
from joserfc import jws
from joserfc.jwk import ECKey

from crm_authz.claims import encode_claims
from crm_authz.grants import Grants
from crm_authz.keys import ALGORITHM, TOKEN_TYPE, VerifyingKey
from crm_authz.tokens import LONGEST_LIFE, MAX_TOKEN_CHARACTERS
from crm_kernel import Conflict


class RightsTooLarge(Conflict):
    """409: the user's rights don't fit into a token. Use department sets, `*`, fewer roles."""

    code = "token.rights_too_large"
    title = "The rights of the user's roles together are too large for a token"


@dataclass(frozen=True)
class SigningKey:
    """A private key on P-256 with the id under which its public half is published."""

    kid: str
    key: ECKey = field(repr=False)

    @classmethod
    def of(cls, kid: str, private: str | bytes | Mapping[str, Any]) -> Self:
        """From PEM or JWK. ValueError for anything but a private key on P-256."""
        key = ECKey.import_key(dict(private) if isinstance(private, Mapping) else private)
        if not key.is_private or key.curve_name != "P-256":
            raise ValueError(f"key {kid}: a private key on P-256 is needed")
        return cls(kid, key)

    @classmethod
    def generate(cls, kid: str) -> Self:
        """A fresh key."""
        return cls(kid, ECKey.generate_key("P-256"))

    def public_jwk(self) -> dict[str, Any]:
        """What is published (JWKS, SigningKeyState): no private member."""
        return {**self.key.as_dict(private=False), "kid": self.kid, "alg": ALGORITHM, "use": "sig"}

    def private_pem(self) -> str:
        """What identity keeps, to be encrypted at rest by it."""
        return self.key.as_pem(private=True).decode()

    def verifying(self, not_after: dt.datetime | None = None) -> VerifyingKey:
        """Its public half."""
        return VerifyingKey.of(self.kid, self.public_jwk(), not_after)


@dataclass(frozen=True)
class Place:
    """Where the holder stands, for clients to read; services ask their directory."""

    department_id: uuid.UUID | None = None
    superior_id: uuid.UUID | None = None
    business_area: str | None = None
    groups: Collection[uuid.UUID] = ()

    def claim(self) -> dict[str, Any]:
        return {
            "department": self.department_id,
            "superior": self.superior_id,
            "business_area": self.business_area,
            "groups": sorted(self.groups),
        }


class TokenIssuer:
    """Writes access tokens as TokenVerifier reads them."""

    def __init__(self, issuer: str, *, audience: str = "crm-api") -> None:
        self._issuer = issuer
        self._audience = audience

    def issue(
        self,
        key: SigningKey,
        grants: Grants,
        *,
        now: dt.datetime,
        token_id: uuid.UUID,
        session_id: uuid.UUID,
        client_id: str,
        epoch: int,
        role_epochs: Mapping[uuid.UUID, int],
        modules: Collection[str],
        place: Place | None = None,
        ip_restricted: bool = False,
        life: int = LONGEST_LIFE,
    ) -> str:
        """A token for `grants.user_id`. life: seconds, 1 to 300. Raises RightsTooLarge; ValueError for another life."""
        if not 0 < life <= LONGEST_LIFE:
            raise ValueError(f"an access token lives 1 to {LONGEST_LIFE} s")
        issued_at = int(now.timestamp())
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": grants.user_id,
            "sid": session_id,
            "client_id": client_id,
            "jti": token_id,
            "iat": issued_at,
            "nbf": issued_at,
            "exp": issued_at + life,
            "use": "access",
            "epoch": epoch,
            "roles": {str(role): role_epoch for role, role_epoch in role_epochs.items()},
            "mod": sorted(modules),
            **encode_claims(grants),
            "place": (place or Place()).claim(),
            "ip": ip_restricted,
        }
        header = {"alg": ALGORITHM, "typ": TOKEN_TYPE, "kid": key.kid}
        # default: the database driver's own UUID type, which orjson leaves to us.
        token = jws.serialize_compact(header, orjson.dumps(claims, default=str), key.key, algorithms=[ALGORITHM])
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise RightsTooLarge
        return token

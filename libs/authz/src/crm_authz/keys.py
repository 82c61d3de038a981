"""Public keys that access tokens are verified with; identity publishes them, each service's directory keeps them."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from joserfc.errors import JoseError
from joserfc.jwk import ECKey

ALGORITHM: Final = "ES256"
TOKEN_TYPE: Final = "at+jwt"


@dataclass(frozen=True)
class VerifyingKey:
    """One public key. not_after: from that instant on nothing signed by it is accepted; None: still in use."""

    kid: str
    key: ECKey
    not_after: dt.datetime | None = None

    @classmethod
    def of(cls, kid: str, jwk: Mapping[str, Any], not_after: dt.datetime | None = None) -> Self:
        """A key from its JWK. Only the public members are taken. ValueError for anything but a point on P-256."""
        if jwk.get("kty") != "EC" or jwk.get("crv") != "P-256":
            raise ValueError(f"key {kid}: only EC P-256 keys verify tokens")
        try:
            key = ECKey.import_key({name: jwk[name] for name in ("kty", "crv", "x", "y")})
            # joserfc builds the point when it is first needed; a broken one shall be noticed here.
            key.public_key  # noqa: B018
        except (KeyError, ValueError, TypeError, JoseError) as error:
            raise ValueError(f"key {kid}: not a public key on P-256") from error
        return cls(kid, key, not_after)

    def usable(self, now: dt.datetime) -> bool:
        """Whether tokens signed by it still count."""
        return self.not_after is None or now < self.not_after

"""Standard Webhooks 1.0: what a message is signed with, and how (https://www.standardwebhooks.com). Pure.

The signature is HMAC-SHA256 over `id.timestamp.body`. Receivers verify it with the published libraries of many languages.
"""

import base64
import datetime as dt
import hmac
from collections.abc import Sequence
from typing import Final

_PREFIX: Final = "whsec_"
#: Bytes of a secret: within the 24 to 64 that the specification asks for.
SECRET_BYTES: Final = 32


def shown(secret: bytes) -> str:
    """A secret as its owner gets it."""
    return _PREFIX + base64.b64encode(secret).decode()


def headers(message_id: str, at: dt.datetime, body: bytes, secrets: Sequence[bytes]) -> dict[str, str]:
    """The headers of a message. secrets: the newest first; each of them signs, so that a receiver may know either."""
    timestamp = str(int(at.timestamp()))
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(_signature(message_id, timestamp, body, secret) for secret in secrets),
    }


def _signature(message_id: str, timestamp: str, body: bytes, secret: bytes) -> str:
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    return "v1," + base64.b64encode(hmac.digest(secret, signed, "sha256")).decode()

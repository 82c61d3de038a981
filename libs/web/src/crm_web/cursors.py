"""Signed keyset cursors (PL-4): where a list goes on, for the caller and query it was made for and nobody else."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from typing import Any

import orjson

from crm_kernel import FieldError, Invalid

_MAC_BYTES = 12
_MAX_LENGTH = 2048


class CursorInvalid(Invalid):
    """422: not a cursor of this list, caller, filter and sort order."""

    code = "cursor.invalid"
    title = "The cursor does not belong to this list"

    def __init__(self) -> None:
        detail = "Cursors are good for the same caller, filter and sort order only; begin again without one"
        super().__init__(detail, errors=[FieldError("query:cursor", "cursor.invalid", detail)])


class Cursors:
    """Signs and opens cursors. key: the service's signing key.

    A cursor is the position as JSON behind a MAC of position and binding, base64url. The position can be read by its holder: it
    saw the row. 96 bits of HMAC-SHA-256 are far beyond guessing over a network.
    """

    def __init__(self, key: bytes) -> None:
        # A key of its own purpose: a value signed elsewhere with the same secret is no cursor.
        self._key = hmac.digest(key, b"crm cursor v1", "sha256")

    def sign(self, position: Sequence[Any], binding: Any) -> str:
        """The cursor for a position. What JSON has no form for (UUIDs, instants, decimals) comes back as a string."""
        content = orjson.dumps(list(position), default=str, option=orjson.OPT_UTC_Z)
        return base64.urlsafe_b64encode(self._mac(content, binding) + content).rstrip(b"=").decode()

    def open(self, cursor: str, binding: Any) -> list[Any]:
        """The position that `sign` was given. Raises CursorInvalid."""
        if len(cursor) > _MAX_LENGTH:
            raise CursorInvalid
        try:
            raw = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, UnicodeEncodeError):
            raise CursorInvalid from None
        mac, content = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(content, binding)):
            raise CursorInvalid
        position = orjson.loads(content)
        if not isinstance(position, list):
            raise CursorInvalid
        return position

    def _mac(self, content: bytes, binding: Any) -> bytes:
        bound = orjson.dumps(binding, default=str, option=orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z)
        # The hash has a fixed length, so no bytes can move between binding and content.
        return hmac.digest(self._key, hashlib.sha256(bound).digest() + content, "sha256")[:_MAC_BYTES]

"""One request as it came in: headers, address, trace. Nothing in it is trusted that a caller could have written."""

import secrets
import urllib.parse
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from crm_kernel import FieldError, Malformed
from crm_kernel.errors import TooLarge

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

#: Set by the gateway alone, which removes it from what comes from outside.
ADDRESS = b"x-crm-address"
# Two of these could mean one thing to the gateway and another to us.
_SINGLE = (
    b"authorization",
    b"consistency-token",
    b"content-length",
    b"content-type",
    b"idempotency-key",
    b"traceparent",
    ADDRESS,
)
_HEX = frozenset("0123456789abcdef")


class BodyTooLarge(TooLarge):
    """413: the body is larger than this operation takes."""


class ClientLeft(Exception):
    """The client went away before its request was complete: nobody is there to be answered."""


class Incoming:
    """method, path: as sent, the path not decoded. headers: lower-case name → value, latin-1 bytes.

    trace_id: 32 hex digits, the gateway's or a new one. traceparent: W3C, of the request (or of our span in it).
    """

    __slots__ = ("headers", "method", "path", "query", "receive", "repeated", "scope", "trace_id", "traceparent")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self.receive = receive
        self.method: str = scope["method"]
        raw = scope.get("raw_path")
        self.path: str = raw.decode("latin-1") if raw is not None else urllib.parse.quote(scope["path"])
        self.query: bytes = scope["query_string"]
        pairs: list[tuple[bytes, bytes]] = scope["headers"]
        self.headers: dict[bytes, bytes] = dict(pairs)
        self.repeated: bool = len(self.headers) != len(pairs)
        self.traceparent, self.trace_id = _trace(self.headers.get(b"traceparent"))

    def refuse_repeated(self) -> None:
        """Raise Malformed when a header that may stand once stands twice."""
        if not self.repeated:
            return
        seen: set[bytes] = set()
        for name, _ in self.scope["headers"]:
            if name in _SINGLE and name in seen:
                text = name.decode("latin-1")
                raise Malformed(
                    errors=[FieldError(f"header:{text}", "header.repeated", f"{text} stands more than once")]
                )
            seen.add(name)

    def header(self, name: bytes) -> str | None:
        """A header's value, or None. `name` in lower case."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def address(self) -> str | None:
        """The caller's network address as the gateway saw it; None when the request did not come through it."""
        return self.header(ADDRESS)

    @property
    def token(self) -> str | None:
        """The bearer token, or None. Only from the Authorization header, never from the query."""
        value = self.headers.get(b"authorization")
        if value is None or value[:7].lower() != b"bearer ":
            return None
        return value[7:].decode("latin-1")

    @property
    def language(self) -> str:
        """The Accept-Language header, or "" (crm_web.messages chooses)."""
        return self.header(b"accept-language") or ""

    async def body(self, limit: int) -> bytes:
        """The whole body. Raises BodyTooLarge beyond `limit` bytes, as soon as it is known; ClientLeft."""
        length = self.headers.get(b"content-length")
        if length is not None and length.isdigit() and (len(length) > 15 or int(length) > limit):
            raise BodyTooLarge(f"At most {limit} bytes are taken here", extra={"limit": limit})
        message = await self.receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        first: bytes = message.get("body", b"")
        if not message.get("more_body", False):
            if len(first) > limit:
                raise BodyTooLarge(f"At most {limit} bytes are taken here", extra={"limit": limit})
            return first
        parts, size = [first], len(first)
        while message.get("more_body", False):
            if size > limit:
                raise BodyTooLarge(f"At most {limit} bytes are taken here", extra={"limit": limit})
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft
            parts.append(message.get("body", b""))
            size += len(parts[-1])
        if size > limit:
            raise BodyTooLarge(f"At most {limit} bytes are taken here", extra={"limit": limit})
        return b"".join(parts)


def _trace(header: bytes | None) -> tuple[str, str]:
    """(traceparent, trace id): what the gateway sent when it is well formed, else the beginning of a new trace."""
    if header is not None and len(header) == 55:
        text = header.decode("latin-1")
        version, trace_id, span_id, flags = text[:2], text[3:35], text[36:52], text[53:]
        shaped = text[2] == text[35] == text[52] == "-" and version == "00"
        if shaped and _HEX.issuperset(trace_id + span_id + flags) and trace_id.strip("0") and span_id.strip("0"):
            return text, trace_id
    trace_id, span_id = secrets.token_hex(16), secrets.token_hex(8)
    return f"00-{trace_id}-{span_id}-00", trace_id

"""What a handler answers, and how it becomes bytes: once, by the serializer that knows the type."""

import datetime as dt
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from pydantic import BaseModel

from crm_kernel import Money

JSON = "application/json"
# Dataclasses go through `_plain`: orjson would show Money's inside.
_JSON = orjson.OPT_UTC_Z | orjson.OPT_PASSTHROUGH_DATACLASS
Headers = dict[str, str]


@dataclass(slots=True)
class Answer:
    """An answer as it goes out. headers: lower-case names; `content-type` and `content-length` come from the rest."""

    status: int
    body: bytes = b""
    media_type: str | None = JSON
    headers: Headers = field(default_factory=dict)


class Json(Answer):
    """A JSON answer with a status and headers of its own.

    content: a pydantic model, anything that orjson writes (dicts, lists, UUID, datetime, Money, models inside), or JSON bytes.
    etag: the record's version; becomes `ETag: "<version>"` (PL-7). location: URL of what was created.
    """

    def __init__(
        self,
        content: Any,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        etag: int | None = None,
        location: str | None = None,
    ) -> None:
        lowered = {name.lower(): value for name, value in headers.items()} if headers else {}
        if etag is not None:
            lowered["etag"] = f'"{etag}"'
        if location is not None:
            lowered["location"] = location
        super().__init__(status, to_json(content), JSON, lowered)


@dataclass(slots=True)
class Stream:
    """An answer that is produced while it is sent (exports, server-sent events).

    It starts after the handler's session is closed (and, for a write, committed): what it reads, it reads through a session of
    its own (`unit.database`). An error in it ends the connection: the status is already out.
    """

    chunks: AsyncIterator[bytes]
    media_type: str
    status: int = 200
    headers: Headers = field(default_factory=dict)
    seconds: float | None = None


def to_json(content: Any) -> bytes:
    """JSON bytes; instants as RFC 3339 UTC with `Z`. Raises TypeError for what has no JSON form."""
    if isinstance(content, BaseModel):
        return content.__pydantic_serializer__.to_json(content, by_alias=True)
    if isinstance(content, bytes):
        return content
    return orjson.dumps(content, default=_plain, option=_JSON)


def _plain(value: Any) -> Any:
    if isinstance(value, uuid.UUID):
        return str(value)  # The driver's own subclass; orjson writes only the plain class itself.
    if isinstance(value, BaseModel):
        return value.__pydantic_serializer__.to_python(value, mode="json", by_alias=True)
    if isinstance(value, uuid.UUID):
        return str(value)  # The database driver's own UUID type, which orjson leaves to us.
    if isinstance(value, Money):
        return {"amount": value.amount, "currency": value.currency}
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def answer_of(content: Any, status: int) -> Answer | Stream:
    """The answer for what a handler returned; None is an empty one (204 unless the route says another status)."""
    if isinstance(content, (Answer, Stream)):
        return content
    if content is None:
        return Answer(204 if status == 200 else status, b"", None)
    return Answer(status, to_json(content))

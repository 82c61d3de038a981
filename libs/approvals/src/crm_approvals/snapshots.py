"""The frozen snapshot (BI-15): plain JSON, and a digest that survives the database."""

import hashlib
import uuid
from collections.abc import Mapping
from typing import Any

import orjson

# A dataclass would show its inside (Money's, say): whoever freezes it says how it is written.
_STRICT = orjson.OPT_UTC_Z | orjson.OPT_PASSTHROUGH_DATACLASS


def frozen(content: Mapping[str, Any]) -> dict[str, Any]:
    """What was submitted as plain JSON values: UUIDs, dates and instants as text.

    TypeError for floats, and for what has no JSON form of its own: `jsonb` writes a float in another way, and amounts are text (PL-10).
    """
    _refuse_floats(content)
    plain: dict[str, Any] = orjson.loads(orjson.dumps(dict(content), default=_text, option=_STRICT))
    return plain


def digest_of(snapshot: Mapping[str, Any]) -> str:
    """SHA-256, hex, of the snapshot's JSON with sorted keys and no spaces: the same before it was stored and after."""
    return hashlib.sha256(orjson.dumps(snapshot, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _text(value: Any) -> str:
    if isinstance(value, uuid.UUID):
        return str(value)  # The driver's own subclass; orjson writes only the plain class itself.
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _refuse_floats(value: Any) -> None:
    if isinstance(value, float):
        raise TypeError("a snapshot has no floats: write amounts as text")
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    for part in parts:
        _refuse_floats(part)

"""JSON as a token may have it: one reading only. RFC 8259 leaves duplicate keys and NaN to the reader; we refuse them."""

import json
from typing import Any, NoReturn


class NotStrict(ValueError):
    """The text is no JSON object, or one that two readers could read differently."""


def parse_object(text: bytes) -> dict[str, Any]:
    """A JSON object, UTF-8. Raises NotStrict for anything else, duplicate keys at any depth, NaN and infinities."""
    try:
        value = json.loads(text.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise NotStrict(type(error).__name__) from error
    if not isinstance(value, dict):
        raise NotStrict("no object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotStrict("a key stands twice")
    return found


def _refuse(_: str) -> NoReturn:
    raise NotStrict("not a JSON number")

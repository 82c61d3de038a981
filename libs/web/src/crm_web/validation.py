"""What pydantic found wrong, as our field errors: JSON pointers and stable codes (PL-3)."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from crm_kernel import FieldError

# Matched in this order against pydantic's error type. Its own types are many and grow; ours are few and stay.
_CODES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), code)
    for pattern, code in (
        (r"missing$", "field.required"),
        (r"extra_forbidden$", "field.unknown"),
        (r"(string_|bytes_|url_)?too_long$", "field.too_long"),
        (r"(string_|bytes_)?too_short$", "field.too_short"),
        (r"(enum|literal_error|union_tag_invalid)$", "field.choice"),
        (r"union_tag_not_found$", "field.required"),
        (r"(less_than|less_than_equal|decimal_whole_digits|decimal_max_digits|int_parsing_size)$", "field.too_large"),
        (r"(greater_than|greater_than_equal)$", "field.too_small"),
        (r"decimal_max_places$", "field.too_precise"),
        (r"int_from_float$", "field.type"),
        (r"string_unicode$", "field.unreadable"),
        (
            r".*(_parsing|_from_\w+|_pattern_mismatch|_scheme|_inclusive|_past|_future|_aware|_naive|_version)$",
            "field.format",
        ),
        (r"(finite_number|multiple_of|timezone_\w+|uuid_\w+)$", "field.format"),
        (r".*_type$", "field.type"),
    )
)


def code_of(kind: str) -> str:
    """The stable code for a pydantic error type. A type with a dot is a code already: a validator of ours raised it."""
    if "." in kind:
        return kind
    for pattern, code in _CODES:
        if pattern.match(kind):
            return code
    return "field.invalid"


def body_errors(errors: Sequence[Mapping[str, Any]], document: Any) -> list[FieldError]:
    """Field errors with JSON pointers into `document`, the body as it was sent."""
    return [_field_error(error, pointer(error["loc"], document, error["type"])) for error in errors]


def parameter_errors(errors: Sequence[Mapping[str, Any]], places: Mapping[str, str]) -> list[FieldError]:
    """Field errors of query, path and header parameters. places: alias → `query`, `path` or `header`."""
    found = []
    for error in errors:
        location = [part for part in error["loc"] if isinstance(part, str)]
        first = location[0] if location else ""
        # A parameter that is a model of several query parameters reports the member's name behind its own.
        name = location[1] if first in places and places[first] == "query*" and len(location) > 1 else first
        found.append(_field_error(error, f"{places.get(first, 'query').rstrip('*')}:{name}"))
    return found


def _field_error(error: Mapping[str, Any], where: str) -> FieldError:
    detail = str(error["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return FieldError(where, code_of(error["type"]), detail)


def pointer(location: Sequence[int | str], document: Any, kind: str = "") -> str:
    """The JSON pointer (RFC 6901) of a pydantic location.

    pydantic's locations also name union members and validators; parts that the document doesn't have are left out, but for the
    last one of a member that is missing.
    """
    parts: list[str] = []
    present: Any = document
    for index, part in enumerate(location):
        found, inner = _step(present, part)
        if found:
            present = inner
        elif not (kind == "missing" and index == len(location) - 1):
            continue
        parts.append(str(part).replace("~", "~0").replace("/", "~1"))
    return "".join(f"/{part}" for part in parts)


def _step(present: Any, part: int | str) -> tuple[bool, Any]:
    """Whether a value has such a member or element, and which."""
    if isinstance(present, dict) and part in present:
        return True, present[part]
    if isinstance(present, list) and isinstance(part, int) and 0 <= part < len(present):
        return True, present[part]
    return False, None


def unreadable(value: Any, where: str = "") -> list[str]:
    """Pointers of all strings, keys included, that hold NUL or a lone surrogate: PostgreSQL can store neither."""
    if isinstance(value, str):
        return [where] if has_unreadable(value) else []
    found: list[str] = []
    if isinstance(value, dict):
        for key, item in value.items():
            inner = f"{where}/{str(key).replace('~', '~0').replace('/', '~1')}"
            found += [inner] if has_unreadable(key) else unreadable(item, inner)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += unreadable(item, f"{where}/{index}")
    return found


def has_unreadable(text: str) -> bool:
    """Whether a text holds NUL or a lone surrogate."""
    return "\x00" in text or any("\ud800" <= letter <= "\udfff" for letter in text)

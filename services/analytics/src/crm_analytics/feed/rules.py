"""Which types are asked for, and how an event is written. Pure."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from crm_kernel import FieldError, Invalid

#: Types and patterns that one question may name.
MAX_TYPES: Final = 50
_PATTERN: Final = re.compile(r"(?:\*|[a-z0-9-]+(?:\.[a-z0-9-]+)*(?:\.\*)?)", re.ASCII)
#: What is left out of a type to find it with LIKE; `_` and `%` can't be in a pattern.
_ANY: Final = "*"


class TypeUnknown(Invalid):
    """422: no event of the product has this type, or fits this pattern."""

    code = "events.type_unknown"
    title = "There are no events of that type"


def checked_types(asked: Sequence[str], known: Collection[str], pointer: str) -> tuple[str, ...]:
    """The types and patterns asked for, each once, in order; () is every type. Raises TypeUnknown.

    A pattern is a type's beginning up to a dot, and `*`. known: all types there are. pointer: of the member, `query:types` or `/types`.
    """
    wanted = tuple(sorted(set(asked)))
    for one in wanted:
        if not _PATTERN.fullmatch(one) or not any(fits(one, name) for name in known):
            detail = f"No event has the type {one[:200]!r}"
            raise TypeUnknown(detail, errors=[FieldError(pointer, TypeUnknown.code, detail)])
    return wanted


def fits(pattern: str, name: str) -> bool:
    """Whether a type is the one, or fits the pattern."""
    return name.startswith(pattern[:-1]) if pattern.endswith(_ANY) else name == pattern


def like(types: Iterable[str]) -> list[str]:
    """The same for SQL's LIKE; every type for ()."""
    return [f"{one[:-1]}%" if one.endswith(_ANY) else one for one in types] or ["%"]


def cloud_event(row: Mapping[str, Any]) -> dict[str, Any]:
    """An event of the log as CloudEvents 1.0 has it in JSON; `position` is its place in the log."""
    return {
        "specversion": "1.0",
        "id": row["id"],
        "type": row["type"],
        "source": row["source"],
        "subject": row["subject"],
        "time": row["time"],
        "datacontenttype": "application/json",
        "position": row["position"],
        "data": row["data"],
    }

"""From a path template to what Envoy compares, and which template is asked first."""

from __future__ import annotations

import re
from typing import Any

# One path parameter: the characters of RFC 3986's segment without ";" (so "..;" is no value) and without encoded
# control characters. It never matches a slash; encoded slashes are refused before any route is looked at.
SEGMENT = r"(?:[A-Za-z0-9._~!$&'()*+,=:@-]|%[2-9A-Fa-f][0-9A-Fa-f])+"


def path_match(path: str) -> dict[str, Any]:
    """Envoy's path condition for `path`: exact when it has no parameter, else one anchored regular expression."""
    if "{" not in path:
        return {"path": path}
    parts = (SEGMENT if part.startswith("{") else re.escape(part) for part in path.split("/"))
    return {"safe_regex": {"regex": "/".join(parts)}}


def precedence(path: str) -> tuple[tuple[bool, str], ...]:
    """Sort key that puts a literal segment before a parameter at the same place: `/a/search` is asked before `/a/{id}`."""
    return tuple((part.startswith("{"), part) for part in path.split("/"))


def stem_of(path: str) -> str:
    """The literal beginning by which routes are grouped: at most four segments (/api/customers/v1/customers)."""
    parts = path.split("/")[1:5]
    literal = [
        part for number, part in enumerate(parts) if not any(part.startswith("{") for part in parts[: number + 1])
    ]
    return "/" + "/".join(literal)


def may_begin_with(path: str, stem: str) -> bool:
    """Whether some request that the template `path` matches begins with the letters of `stem`.

    The stem's last segment may be cut short: /api/x/v1/mean begins with /api/x/v1/me.
    """
    parts, wanted = path.split("/"), stem.split("/")
    if len(parts) < len(wanted):
        return False
    *whole, last = zip(parts, wanted, strict=False)
    same = all(part.startswith("{") or part == segment for part, segment in whole)
    return same and (last[0].startswith("{") or last[0].startswith(last[1]))

"""From method and path to the operation, in time that doesn't grow with the number of operations.

FastAPI asks route after route, twice for included routers; with a hundred routes that costs more than a database read.
"""

import urllib.parse
from collections.abc import Iterable

from crm_kernel import FieldError, Malformed
from crm_web.problems import MethodNotAllowed, RouteUnknown
from crm_web.route import ServiceRoute
from crm_web.validation import has_unreadable


class _Node:
    __slots__ = ("literals", "methods", "parameter")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.parameter: _Node | None = None
        self.methods: dict[str, tuple[ServiceRoute, tuple[str, ...]]] = {}


class Dispatch:
    """All operations of a service. ValueError for two that answer the same requests."""

    def __init__(self, routes: Iterable[ServiceRoute]) -> None:
        self._root = _Node()
        for route in routes:
            self._add(route)

    def _add(self, route: ServiceRoute) -> None:
        node, names = self._root, []
        for segment in route.path.strip("/").split("/"):
            if segment.startswith("{"):
                names.append(segment.strip("{}"))
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.literals.setdefault(segment, _Node())
        for method in (route.method, *(("HEAD",) if route.method == "GET" else ())):
            if method in node.methods:
                taken = node.methods[method][0]
                raise ValueError(
                    f"{method} {route.path}: {route.unique_id} and {taken.unique_id} answer the same requests"
                )
            node.methods[method] = (route, tuple(names))

    def find(self, method: str, path: str) -> tuple[ServiceRoute, dict[str, str]]:
        """The operation and its path parameters, decoded. A literal segment goes before a parameter.

        path: as sent, not decoded, so that an encoded slash stays inside its segment. Raises RouteUnknown, MethodNotAllowed, and
        Malformed for a path that can't be read.
        """
        segments = path[1:].split("/")
        if "%" in path:
            segments = [_decoded(segment) for segment in segments]
        elif not path.isascii() or not path.isprintable():
            raise _unreadable()
        values: list[str] = []
        node = _walk(self._root, segments, 0, values)
        if node is None:
            raise RouteUnknown
        found = node.methods.get(method)
        if found is None:
            raise MethodNotAllowed(headers={"Allow": ", ".join(sorted(node.methods))})
        route, names = found
        return route, dict(zip(names, values, strict=True))


def _walk(node: _Node, segments: list[str], at: int, values: list[str]) -> _Node | None:
    if at == len(segments):
        return node if node.methods else None
    segment = segments[at]
    literal = node.literals.get(segment)
    if literal is not None:
        found = _walk(literal, segments, at + 1, values)
        if found is not None:
            return found
    if node.parameter is not None and segment:
        values.append(segment)
        found = _walk(node.parameter, segments, at + 1, values)
        if found is not None:
            return found
        values.pop()
    return None


def _decoded(segment: str) -> str:
    try:
        text = urllib.parse.unquote_to_bytes(segment).decode("utf-8")
    except UnicodeDecodeError:
        raise _unreadable() from None
    if has_unreadable(text):
        raise _unreadable()
    return text


def _unreadable() -> Malformed:
    detail = "The path has characters that can't be read"
    return Malformed(detail, errors=[FieldError("path:", "field.unreadable", detail)])

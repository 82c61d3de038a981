"""The route table: every way into the platform, one entry per operation.

The table is the one source of the gateway's configuration, of the scope matrix and of the merged OpenAPI document. The
services' code generates it as plain dicts (`crm_web` knows nothing of this package); here they become checked `Route`s.
What is not in the table cannot be reached through the gateway.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Access = Literal["public", "authenticated", "permission"]
Rate = Literal["default", "login", "bulk", "stream"]
Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

_NAME = r"[a-z][a-z0-9_]*"
_LITERAL = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._~-]+")
_PARAMETER = re.compile(r"\{" + _NAME + r"\}")


class RouteTableInvalid(Exception):
    """The table contradicts itself or names what does not exist; `problems` has one sentence for each fault."""

    code = "gateway.route_table_invalid"

    def __init__(self, problems: list[str]) -> None:
        super().__init__("The route table is refused:\n" + "\n".join(f"- {problem}" for problem in problems))
        self.problems = problems


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Limits(_Frozen):
    """What one request may cost: size of its body, time until the answer's end, and the bucket its caller draws from."""

    body_bytes: Annotated[int, Field(ge=0, le=10 * 1024**3)] = 1024 * 1024
    timeout_seconds: Annotated[int | float, Field(gt=0, le=600)] = 15
    rate: Rate = "default"


class Route(_Frozen):
    """One operation of one service.

    `module`: the token's holder must be allowed to enter it. `scope`: the token must carry data-scope claims for the
    service. `stream`: the answer is a WebSocket or server-sent events, so neither a body limit nor a timeout applies.
    """

    service: Annotated[str, Field(pattern=f"^{_NAME}$")]
    method: Method
    path: str
    operation_id: Annotated[str, Field(pattern=f"^{_NAME}$")]
    access: Access
    permission: Annotated[str, Field(pattern=rf"^{_NAME}(\.{_NAME})+:{_NAME}$")] | None = None
    module: Annotated[str, Field(pattern=f"^{_NAME}$")] | None = None
    scope: bool = False
    limits: Limits = Limits()
    stream: bool = False

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if not self.path.startswith("/") or not all(
            _LITERAL.fullmatch(segment) or _PARAMETER.fullmatch(segment) for segment in self.segments
        ):
            raise ValueError(f"path {self.path!r}: each segment is either a plain word or one whole {{parameter}}")
        if (self.access == "permission") != (self.permission is not None):
            raise ValueError("a permission is named exactly when access is 'permission'")
        if self.access == "public" and (self.module or self.scope):
            raise ValueError("a public route has no token that could carry a module or a scope")
        if self.stream and self.method != "GET":
            raise ValueError("a stream is opened by GET")
        return self

    @property
    def segments(self) -> tuple[str, ...]:
        """The path's parts, without slashes; parameters still in braces."""
        return tuple(self.path.removeprefix("/").split("/"))

    @property
    def template(self) -> str:
        """The path with its parameters' names left out: two routes with one template match the same paths."""
        return re.sub(r"\{[^}]*\}", "{}", self.path)

    @property
    def name(self) -> str:
        """How logs and traces call it, such as `customers.get_customer`."""
        return f"{self.service}.{self.operation_id}"


def parse_routes(entries: Iterable[Mapping[str, Any]], known_services: Collection[str] | None = None) -> list[Route]:
    """Check plain entries and return them as routes, in the table's order.

    Raises RouteTableInvalid with every fault found: malformed entries, duplicates, services that do not exist.
    """
    routes: list[Route] = []
    problems: list[str] = []
    for index, entry in enumerate(entries):
        try:
            routes.append(Route.model_validate(dict(entry)))
        except ValidationError as refused:
            where = f"entry {index} ({entry.get('method')} {entry.get('path')})"
            for fault in refused.errors():
                field = ".".join(str(part) for part in fault["loc"])
                problems.append(f"{where}: {field + ': ' if field else ''}{fault['msg']}")
    problems += contradictions(routes, known_services)
    if problems:
        raise RouteTableInvalid(problems)
    return routes


def contradictions(routes: Iterable[Route], known_services: Collection[str] | None = None) -> list[str]:
    """What is wrong between entries, one sentence each. `known_services` None leaves the services' names unchecked."""
    problems: list[str] = []
    operations: dict[str, Route] = {}
    calls: dict[tuple[str, str], Route] = {}
    owners: dict[str, Route] = {}
    for route in routes:
        said = f"{route.method} {route.path} ({route.name})"
        if known_services is not None and route.service not in known_services:
            problems.append(f"{said}: there is no service {route.service!r}")
        if (twin := operations.setdefault(route.name, route)) is not route:
            problems.append(f"{said}: the operation id is taken by {twin.method} {twin.path}")
        if (twin := calls.setdefault((route.method, route.template), route)) is not route:
            problems.append(f"{said}: matches the same requests as {twin.name} ({twin.path})")
        if (twin := owners.setdefault(route.template, route)).service != route.service:
            problems.append(f"{said}: the path belongs to the service {twin.service!r} ({twin.name})")
    return problems


def load_routes(file: Path, known_services: Collection[str] | None = None) -> list[Route]:
    """Read a table from its JSON file; see `parse_routes` for what is refused."""
    entries = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise RouteTableInvalid([f"{file.name}: a JSON list of objects is expected"])
    return parse_routes(entries, known_services)


def dump_routes(routes: Iterable[Route]) -> str:
    """The table as text in its one canonical form: sorted by service, path and method, every field written out."""
    ordered = sorted(routes, key=lambda route: (route.service, route.path, route.method))
    entries = ",\n".join(json.dumps(route.model_dump(), ensure_ascii=False) for route in ordered)
    return f"[\n{entries}\n]\n" if entries else "[]\n"

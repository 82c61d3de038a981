"""The Envoy routes: made from the route table, most particular path first, everything else refused."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from crm_stack.gateway.clusters import cluster_of
from crm_stack.gateway.headers import CREDENTIAL, caller_address
from crm_stack.gateway.limits import ROUTE_METADATA, body_of, collects_body, no_body_limit, rate_of
from crm_stack.gateway.paths import may_begin_with, path_match, precedence, stem_of
from crm_stack.gateway.routes import Route
from crm_stack.gateway.tokens import with_token, without_token

ROUTE_CONFIG = "crm"
HEALTH_PATH = "/healthz"

# A stream ends with its token at the latest (the service closes it); this is the net under that.
LONGEST_STREAM_SECONDS = 330
STREAM_IDLE_SECONDS = 120
# A service answers by its own limit, after up to five seconds for a rollback that nobody answers. The gateway's comes in only where it
# doesn't: were both the same, the service's 504 could be cut off in the middle by ours.
ENDING_SECONDS = 6
_REPEATABLE = ("GET", "HEAD", "PUT", "DELETE")


def route_configuration(routes: Sequence[Route]) -> dict[str, Any]:
    """The whole `RouteConfiguration`. A path of the table with another method gives 405, every other path 404."""
    ordered = sorted(routes, key=lambda route: (precedence(route.template), route.method))
    groups = [list(group) for _, group in groupby(ordered, key=lambda route: route.template)]
    first, last = [_malformed_credential()], [_refuse("route.unknown", {"prefix": "/"}, 404)]
    stems = {HEALTH_PATH: [*first, _health(), *last]}
    for stem in {stem_of(route.path) for route in routes}:
        under = [entry for group in groups if may_begin_with(group[0].path, stem) for entry in _of_one_path(group)]
        stems[stem] = [*first, *under, *last]
    return {
        "name": ROUTE_CONFIG,
        "virtual_hosts": [
            {
                "name": "crm",
                "domains": ["*"],
                "matcher": _by_stem(stems, otherwise=[*first, *last]),
                "request_headers_to_add": [caller_address()],
            }
        ],
    }


def _by_stem(stems: dict[str, list[dict[str, Any]]], otherwise: list[dict[str, Any]]) -> dict[str, Any]:
    """Finds the longest stem that a path begins with, then asks only that stem's routes, in their order.

    A plain list would try each expression of the whole table: at 300 routes that took longer than everything else.
    """

    def ask(routes: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "action": {
                "name": "routes",
                "typed_config": {"@type": "type.googleapis.com/envoy.config.route.v3.RouteList", "routes": routes},
            }
        }

    path = {
        "name": "path",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput",
            "header_name": ":path",
        },
    }
    by_prefix = {"map": {stem: ask(routes) for stem, routes in sorted(stems.items())}}
    return {"matcher_tree": {"input": path, "prefix_match_map": by_prefix}, "on_no_match": ask(otherwise)}


def _of_one_path(group: Sequence[Route]) -> list[dict[str, Any]]:
    return [*(entry for route in group for entry in _entries(route)), _other_methods(group)]


def _entries(route: Route) -> list[dict[str, Any]]:
    """The Envoy routes of one table entry: one, or three when the body's length has to be known beforehand."""
    if route.stream or collects_body(route):
        return [_forward(route)]
    within = {"name": "content-length", "range_match": {"start": 0, "end": route.limits.body_bytes + 1}}
    stated = {"name": "content-length", "present_match": True}
    return [
        _forward(route, within),
        _refuse(f"{route.name}.too_large", _match(route, stated), 413),
        _refuse(f"{route.name}.no_length", _match(route), 411),
    ]


def _match(route: Route, *headers: dict[str, Any]) -> dict[str, Any]:
    method = {"name": ":method", "string_match": {"exact": route.method}}
    return {**path_match(route.path), "headers": [method, *headers]}


def _forward(route: Route, *headers: dict[str, Any]) -> dict[str, Any]:
    action: dict[str, Any] = {"cluster": cluster_of(route.service)}
    if route.stream:
        action |= {
            "timeout": "0s",
            "idle_timeout": f"{STREAM_IDLE_SECONDS}s",
            "max_stream_duration": {"max_stream_duration": f"{LONGEST_STREAM_SECONDS}s"},
            "upgrade_configs": [{"upgrade_type": "websocket", "enabled": True}],
            # Envoy's second set of circuit breakers: open streams never use up the connections of short requests.
            "priority": "HIGH",
        }
    else:
        action["timeout"] = f"{route.limits.timeout_seconds + ENDING_SECONDS}s"
    if route.method in _REPEATABLE:
        action["retry_policy"] = {"retry_on": "connect-failure,refused-stream", "num_retries": 2}
    facts = {"operation": route.name, "module": route.module or "", "permission": route.permission or ""}
    facts |= rate_of(route)
    access = without_token() if route.access == "public" else with_token(route)
    return {
        "name": route.name,
        "match": _match(route, *headers),
        "route": action,
        "metadata": {"filter_metadata": {ROUTE_METADATA: facts}},
        "typed_per_filter_config": access | body_of(route),
    }


def _refuse(name: str, match: dict[str, Any], status: int, headers: dict[str, str] | None = None) -> dict[str, Any]:
    """An answer of the gateway itself; refusals.py gives it its body. It needs no token: it tells nothing."""
    refused: dict[str, Any] = {
        "name": name,
        "match": match,
        "direct_response": {"status": status},
        "typed_per_filter_config": without_token() | no_body_limit(),
    }
    if headers:
        refused["response_headers_to_add"] = [
            {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
            for key, value in headers.items()
        ]
    return refused


def _other_methods(group: Sequence[Route]) -> dict[str, Any]:
    allowed = ", ".join(sorted({route.method for route in group}))
    return _refuse(f"{group[0].template} method", path_match(group[0].path), 405, {"allow": allowed})


def _malformed_credential() -> dict[str, Any]:
    """Whoever sends credentials sends one, in one header, in one of the two known forms; else nobody looks further."""
    one_credential = {"name": "authorization", "string_match": {"safe_regex": {"regex": CREDENTIAL}}}
    match = {
        "prefix": "/",
        "headers": [
            {"name": "authorization", "present_match": True},
            one_credential | {"invert_match": True},
        ],
    }
    return _refuse("credential.malformed", match, 401)


def _health() -> dict[str, Any]:
    """The gateway answers for itself alone; each service has its own /livez and /readyz."""
    return {
        "name": "healthz",
        "match": {"path": HEALTH_PATH},
        "direct_response": {"status": 200, "body": {"inline_string": "ok\n"}},
        "typed_per_filter_config": without_token() | no_body_limit(),
    }

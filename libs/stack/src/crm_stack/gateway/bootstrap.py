"""The whole Envoy configuration, assembled from its parts: `render` is pure, nothing is read or written here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from crm_stack.gateway.clusters import Address, cluster_of, service_cluster, socket_address, traces_cluster
from crm_stack.gateway.headers import first_filter, strip_foreign
from crm_stack.gateway.limits import BUCKETS, Bucket, body_filter, rate_filter
from crm_stack.gateway.refusals import local_reply_config
from crm_stack.gateway.route_config import ROUTE_CONFIG, route_configuration
from crm_stack.gateway.routes import Rate, Route, RouteTableInvalid, contradictions
from crm_stack.gateway.telemetry import access_log, tracing
from crm_stack.gateway.tokens import KEYS_CLUSTER, TokenRules, entry_filter, kind_filter, token_filter

BOOTSTRAP_FILE = "envoy.json"
ROUTES_FILE = "routes.json"
_ROUTE_CONFIGURATION = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"


@dataclass(frozen=True)
class GatewaySettings:
    """What may differ between installations.

    `trusted_hops`: proxies of ours in front that append to X-Forwarded-For. `upstream_idle_seconds`: less than the
    services' keep-alive time (uvicorn: 5). `header_kib`: the most all request headers together may weigh.
    """

    tokens: TokenRules
    otlp_endpoint: str | None = None
    trusted_hops: int = 0
    buckets: Mapping[Rate, Bucket] = field(default_factory=lambda: BUCKETS)
    max_connections: int = 10_000
    header_kib: int = 32
    upstream_idle_seconds: float = 4


class GatewaySettingsInvalid(Exception):
    """The gateway would not be safe, or could not work, with these settings."""

    code = "gateway.settings_invalid"


def render_routes(routes: Sequence[Route]) -> dict[str, Any]:
    """The content of the watched routes file, in the form of a discovery response."""
    return {"resources": [{"@type": _ROUTE_CONFIGURATION, **route_configuration(routes)}]}


def render(
    *,
    folder: PurePath,
    listen: Address,
    admin: Address,
    routes: Sequence[Route],
    services: Mapping[str, Address],
    settings: GatewaySettings,
) -> dict[str, Any]:
    """The bootstrap. `folder` is where Envoy finds the watched files; `services` says where each service is.

    Raises RouteTableInvalid when a route's service has no address, GatewaySettingsInvalid when identity has none or the
    administration interface would be reachable from elsewhere.
    """
    if problems := contradictions(routes, services):
        raise RouteTableInvalid(problems)
    if "identity" not in services:
        raise GatewaySettingsInvalid("The gateway needs the address of identity, which publishes the tokens' keys.")
    if admin[0] not in ("127.0.0.1", "::1"):
        raise GatewaySettingsInvalid(f"The administration interface listens on loopback only, not on {admin[0]!r}.")
    idle = settings.upstream_idle_seconds
    clusters = [service_cluster(cluster_of(name), address, idle, folder) for name, address in sorted(services.items())]
    clusters.append(service_cluster(KEYS_CLUSTER, services["identity"], idle, folder))
    try:
        clusters.append(traces_cluster(settings.otlp_endpoint))
    except ValueError as refused:
        raise GatewaySettingsInvalid(str(refused)) from refused
    return {
        "node": {"id": "gateway", "cluster": "gateway"},
        "admin": {"address": socket_address(admin), "ignore_global_conn_limit": True},
        "static_resources": {"listeners": [_listener(folder, listen, settings)], "clusters": clusters},
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3."
                        "DownstreamConnectionsConfig",
                        "max_active_downstream_connections": settings.max_connections,
                    },
                }
            ]
        },
    }


def _listener(folder: PurePath, listen: Address, settings: GatewaySettings) -> dict[str, Any]:
    manager = {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3."
            "HttpConnectionManager",
            **_connection_manager(folder, settings),
        },
    }
    return {
        "name": "gateway",
        "address": socket_address(listen),
        "per_connection_buffer_limit_bytes": 256 * 1024,
        "filter_chains": [{"filters": [manager]}],
    }


def _connection_manager(folder: PurePath, settings: GatewaySettings) -> dict[str, Any]:
    return {
        "stat_prefix": "ingress",
        "rds": {
            "route_config_name": ROUTE_CONFIG,
            "config_source": {
                "path_config_source": {
                    "path": str(folder / ROUTES_FILE),
                    "watched_directory": {"path": str(folder)},
                },
                "resource_api_version": "V3",
            },
        },
        "http_filters": _filters(settings),
        "local_reply_config": local_reply_config(settings.tokens),
        "access_log": [access_log()],
        "tracing": tracing(settings.otlp_endpoint),
        **_hygiene(settings),
    }


def _filters(settings: GatewaySettings) -> list[dict[str, Any]]:
    """In the order a request meets them; answers meet them the other way round."""
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
            "suppress_envoy_headers": True,
        },
    }
    return [
        first_filter(),
        token_filter(settings.tokens),
        kind_filter(settings.tokens),
        rate_filter(settings.buckets),
        entry_filter(),
        body_filter(),
        router,
    ]


def _hygiene(settings: GatewaySettings) -> dict[str, Any]:
    """How requests are read: strictly, and never as coming from a privileged place."""
    return {
        "early_header_mutation_extensions": [strip_foreign(settings.trusted_hops)],
        "use_remote_address": True,
        "xff_num_trusted_hops": settings.trusted_hops,
        # The services read the caller's address from x-crm-address. Envoy would append here too, but writes the
        # machine's own address for callers on loopback.
        "skip_xff_append": True,
        # Nobody is internal: not even a caller on this machine may steer Envoy by its own headers. An empty list would
        # mean "all private networks", so it names an address that no packet comes from.
        "internal_address_config": {"cidr_ranges": [{"address_prefix": "255.255.255.255", "prefix_len": 32}]},
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "common_http_protocol_options": {
            "headers_with_underscores_action": "REJECT_REQUEST",
            "max_headers_count": 100,
            "idle_timeout": "300s",
        },
        "http2_protocol_options": {
            "max_concurrent_streams": 100,
            "initial_stream_window_size": 65536,
            "initial_connection_window_size": 1024 * 1024,
        },
        "max_request_headers_kb": settings.header_kib,
        "request_headers_timeout": "10s",
        "request_timeout": "600s",
        "stream_idle_timeout": "60s",
        "upgrade_configs": [{"upgrade_type": "websocket", "enabled": False}],
        "always_set_request_id_in_response": True,
        "server_name": "pelagic",
        "server_header_transformation": "OVERWRITE",
    }

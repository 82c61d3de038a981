"""Where the services are, and how the gateway protects them and itself when they are slow or away."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any
from urllib.parse import urlsplit

TRACES_CLUSTER = "traces"

Address = tuple[str, int]
_ASSIGNMENT = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"


def cluster_of(service: str) -> str:
    """The name of a service's cluster."""
    return f"service_{service}"


def is_ip(host: str) -> bool:
    """Whether `host` is an address and not a name to be resolved."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def socket_address(address: Address) -> dict[str, Any]:
    """Envoy's form of a host and port."""
    return {"socket_address": {"address": address[0], "port_value": address[1]}}


def addresses_file(name: str) -> str:
    """The watched file that says where the replicas of a cluster are; names need none, they are resolved again and again."""
    return f"addresses-{name}.json"


def render_addresses(name: str, addresses: Sequence[Address]) -> dict[str, Any]:
    """The content of that file, in the form of a discovery response."""
    endpoints = [{"endpoint": {"address": socket_address(address)}} for address in addresses]
    assignment = {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]}
    return {"resources": [{"@type": _ASSIGNMENT, **assignment}]}


def service_cluster(name: str, address: Address, idle_seconds: float, folder: PurePath) -> dict[str, Any]:
    """A cluster of one service: at addresses that stand in a watched file of `folder`, or a name that may resolve to many replicas.

    `idle_seconds` must be less than the service keeps idle connections open, or a request meets a closing one.
    """
    located = _in_file(name, folder) if is_ip(address[0]) else _located(name, address)
    return {
        **located,
        "connect_timeout": "1s",
        "circuit_breakers": {
            "thresholds": [
                {"priority": "DEFAULT", "max_connections": 512, "max_pending_requests": 1024, "max_requests": 2048},
                {"priority": "HIGH", "max_connections": 8192, "max_pending_requests": 1024, "max_requests": 8192},
            ]
        },
        # Leaves out a replica that cannot be reached; a service's own 500s are no reason, and one replica always stays.
        "outlier_detection": {
            "split_external_local_origin_errors": True,
            "consecutive_5xx": 0,
            "enforcing_consecutive_5xx": 0,
            "consecutive_gateway_failure": 5,
            "enforcing_consecutive_gateway_failure": 100,
            "consecutive_local_origin_failure": 3,
            "interval": "1s",
            "base_ejection_time": "2s",
            "max_ejection_time": "10s",
            "max_ejection_percent": 50,
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "common_http_protocol_options": {"idle_timeout": f"{idle_seconds}s"},
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
    }


def traces_cluster(endpoint: str | None) -> dict[str, Any]:
    """The collector's cluster; `endpoint` is the OTLP/HTTP base address, such as http://collector:4318, None for none.

    Raises ValueError when it is no such address.
    """
    if endpoint is None:
        return {"name": TRACES_CLUSTER, "type": "STATIC", "load_assignment": {"cluster_name": TRACES_CLUSTER}}
    parts = urlsplit(endpoint)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(f"The collector is reached by http inside the installation, not at {endpoint!r}")
    return {**_located(TRACES_CLUSTER, (parts.hostname, parts.port or 4318)), "connect_timeout": "1s"}


def _in_file(name: str, folder: PurePath) -> dict[str, Any]:
    source = {"path": str(folder / addresses_file(name)), "watched_directory": {"path": str(folder)}}
    return {
        "name": name,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": {"path_config_source": source, "resource_api_version": "V3"}},
    }


def _located(name: str, address: Address) -> dict[str, Any]:
    kind: dict[str, Any] = {"type": "STATIC"}
    if not is_ip(address[0]):
        # dns_lookup: both families, so that a name with only one kind of address works; re-read as replicas change.
        kind = {"type": "STRICT_DNS", "dns_lookup_family": "V4_PREFERRED", "dns_refresh_rate": "5s"}
    endpoint = {"endpoint": {"address": socket_address(address)}}
    return {
        "name": name,
        **kind,
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }

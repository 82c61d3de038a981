"""The gateway: Envoy's configuration, generated from the route table. No request passes through code of ours.

`write_config` and `envoy_command` are all that starting a gateway takes; `update_routes` exchanges the routes of a running
one; `validate` asks Envoy whether it would take a folder's configuration. deploy/gateway/README.md tells how it works.
"""

from crm_stack.gateway.bootstrap import GatewaySettings, GatewaySettingsInvalid, render, render_routes
from crm_stack.gateway.limits import BUCKETS, Bucket
from crm_stack.gateway.process import (
    GatewayConfigurationRefused,
    envoy_command,
    update_addresses,
    update_routes,
    validate,
    write_config,
)
from crm_stack.gateway.routes import Limits, Route, RouteTableInvalid, dump_routes, load_routes, parse_routes
from crm_stack.gateway.tokens import TokenRules

__all__ = [
    "BUCKETS",
    "Bucket",
    "GatewayConfigurationRefused",
    "GatewaySettings",
    "GatewaySettingsInvalid",
    "Limits",
    "Route",
    "RouteTableInvalid",
    "TokenRules",
    "dump_routes",
    "envoy_command",
    "load_routes",
    "parse_routes",
    "render",
    "render_routes",
    "update_addresses",
    "update_routes",
    "validate",
    "write_config",
]

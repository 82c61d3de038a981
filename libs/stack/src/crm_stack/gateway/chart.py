"""`python -m crm_stack.gateway.chart [--check]`: the gateway's configuration in the Helm chart, made from the route table.

Helm runs no code of ours, so the chart carries what the generator wrote, with marks where an installation's own addresses go; its
templates put them in. Four bootstraps, because proxies in front and a collector change more than a value each.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from crm_stack.gateway.bootstrap import GatewaySettings, render, render_routes
from crm_stack.gateway.check import CONTAINER_PORT, TABLE
from crm_stack.gateway.routes import Route, load_routes
from crm_stack.gateway.tokens import TokenRules

FOLDER = Path("deploy/kubernetes/pelagic/files")
"""Seen from the repository's root."""
PUBLIC_URL = "https://public-url.invalid"
HOPS = 4711
COLLECTOR = "http://collector.invalid:4711"
LISTEN = ("0.0.0.0", 8080)  # noqa: S104  (a pod's own address)
ADMIN = ("127.0.0.1", 9901)
ROUTES_FOLDER = PurePosixPath("/etc/pelagic/routes")
"""Where the pods see the watched routes."""


def host_mark(service: str) -> str:
    """What stands for the host name of a service."""
    return f"{service}.service.invalid"


def files(routes: Sequence[Route], services: Sequence[str]) -> dict[str, str]:
    """File name → content. One line for each bootstrap, one for each route."""
    made = {"routes.json": _lines(render_routes(routes)) + "\n"}
    for place, hops in (("direct", 0), ("behind-proxies", HOPS)):
        for traced, endpoint in (("", None), ("-traced", COLLECTOR)):
            bootstrap = render(
                folder=ROUTES_FOLDER,
                listen=LISTEN,
                admin=ADMIN,
                routes=routes,
                services={name: (host_mark(name), CONTAINER_PORT) for name in services},
                settings=GatewaySettings(
                    tokens=TokenRules(issuer=PUBLIC_URL), otlp_endpoint=endpoint, trusted_hops=hops
                ),
            )
            made[f"{place}{traced}.json"] = _compact(bootstrap) + "\n"
    return made


def _compact(content: Any) -> str:
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False)


def _lines(content: Any) -> str:
    """JSON with each route on a line of its own: a changed route shows as its own line."""
    if not isinstance(content, dict):
        return "[" + ",".join(map(_lines, content)) + "]" if isinstance(content, list) else _compact(content)
    members = []
    for key, value in content.items():
        text = "[\n" + ",\n".join(map(_compact, value)) + "\n]" if key == "routes" else _lines(value)
        members.append(f"{_compact(key)}:{text}")
    return "{" + ",".join(members) + "}"


def main(arguments: Sequence[str]) -> int:
    """Write the files, or with `--check` say whether they are current; run at the repository's root."""
    services = sorted(folder.name for folder in Path("services").iterdir() if folder.is_dir())
    made = files(load_routes(TABLE, services), services)
    if "--check" in arguments:
        present = {file.name: file.read_text(encoding="utf-8") for file in FOLDER.glob("*.json")}
        stale = sorted(name for name in made.keys() | present.keys() if made.get(name) != present.get(name))
        if stale:
            print(f"{FOLDER}: {', '.join(stale)} stale; run python -m crm_stack.gateway.chart", file=sys.stderr)  # noqa: T201
        return 1 if stale else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, content in made.items():
        (FOLDER / name).write_text(content, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""`python -m crm_stack.gateway.check [table]`: would Envoy take the route table, at local and at container addresses?

Part of CI. Also refuses a table that is not in its canonical form, so that a change shows as exactly its own lines.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from crm_stack.gateway.clusters import Address
from crm_stack.gateway.process import GatewayConfigurationRefused, validate, write_config
from crm_stack.gateway.routes import RouteTableInvalid, dump_routes, load_routes

TABLE = Path("deploy/gateway/routes.json")
CONTAINER_PORT = 8000


def main(arguments: Sequence[str]) -> int:
    """Check one table (default: the committed one, seen from the repository's root). 0 when it holds, else 1."""
    table = Path(arguments[0]) if arguments else TABLE
    services = sorted(folder.name for folder in (table.resolve().parents[2] / "services").iterdir() if folder.is_dir())
    try:
        routes = load_routes(table, services)
    except RouteTableInvalid as refused:
        return _failed(str(refused))
    if dump_routes(routes) != table.read_text(encoding="utf-8"):
        return _failed(f"{table} is not in its canonical form; write it with dump_routes.")
    places: dict[str, dict[str, Address]] = {
        "local": {name: ("127.0.0.1", 20000 + number) for number, name in enumerate(services)},
        "container": {name: (name, CONTAINER_PORT) for name in services},
    }
    for place, addresses in places.items():
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            write_config(
                folder,
                listen=("127.0.0.1", 8080),
                admin=("127.0.0.1", 9901),
                routes=routes,
                services=addresses,
                issuer="http://127.0.0.1:8080",
            )
            try:
                validate(folder)
            except GatewayConfigurationRefused as refused:
                return _failed(f"Envoy refuses the {place} configuration:\n{refused}")
    print(f"{len(routes)} routes of {len(services)} services: valid locally and in containers")  # noqa: T201
    return 0


def _failed(reason: str) -> int:
    print(reason, file=sys.stderr)  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

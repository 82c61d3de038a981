"""The route table: every operation of every service, for the gateway, the scope matrix and the merged documents.

    python -m crm_web.routes > deploy/gateway/routes.json
    python -m crm_web.routes --check deploy/gateway/routes.json

The entries are plain dicts in the form that crm_stack.gateway.routes reads; the text is its canonical one.
"""

import argparse
import importlib.util
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from crm_contracts.control import ALL as SERVICES
from crm_web.route import ServiceRoute
from crm_web.service import Service, load_service


def entry(route: ServiceRoute) -> dict[str, Any]:
    """One operation's entry."""
    declared = route.declared
    return {
        "service": declared.service,
        "method": route.method,
        "path": route.path,
        "operation_id": route.unique_id,
        "access": declared.access,
        "permission": declared.permission,
        "module": declared.module,
        "scope": declared.scoped,
        "limits": {
            "body_bytes": declared.limits.body_bytes,
            "timeout_seconds": float(declared.limits.timeout_seconds),
            "rate": declared.limits.rate,
        },
        "stream": declared.stream,
    }


def table(services: Iterable[Service]) -> list[dict[str, Any]]:
    """The entries of all services, sorted by service, path and method."""
    entries = [entry(route) for service in services for route in service.routes]
    return sorted(entries, key=lambda found: (found["service"], found["path"], found["method"]))


def text(entries: Iterable[dict[str, Any]]) -> str:
    """The table's file: one line for each entry."""
    lines = ",\n".join(json.dumps(found, ensure_ascii=False) for found in entries)
    return f"[\n{lines}\n]\n" if lines else "[]\n"


def installed() -> list[str]:
    """The services of the platform that are installed here."""
    return [name for name in SERVICES if importlib.util.find_spec(f"crm_{name}") is not None]


def main(arguments: list[str] | None = None) -> int:
    """Print the table, or compare it with a file: 1 when it differs."""
    parser = argparse.ArgumentParser(prog="python -m crm_web.routes", description="The route table of all services.")
    parser.add_argument("services", nargs="*", help="only these services; all that are installed when none is named")
    parser.add_argument("--check", type=Path, metavar="FILE", help="say whether FILE is up to date instead of printing")
    chosen = parser.parse_args(arguments)
    written = text(table(load_service(name) for name in chosen.services or installed()))
    if chosen.check is None:
        sys.stdout.write(written)
        return 0
    if chosen.check.exists() and chosen.check.read_text(encoding="utf-8") == written:
        return 0
    sys.stderr.write(f"{chosen.check} is not what the services declare: write it anew with python -m crm_web.routes\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())

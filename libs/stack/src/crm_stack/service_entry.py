"""What runs inside the processes that the nursery forks: the services' own entry points, called as the nursery calls.

Imported there only; nothing of a service is imported into the supervisor.
"""

from __future__ import annotations

import sys
from typing import Any


def run(service: str, parts: frozenset[str]) -> None:
    """Run a service's `app`, its `worker`, or both, until SIGTERM; ends the process with the service's exit code."""
    from crm_web.run import run as run_service

    sys.exit(run_service(service, app="app" in parts, worker="worker" in parts))


def bootstrap(dsn: str, **wanted: Any) -> bool | str:
    """Have identity create company and first administrator if there is none (ID-1).

    Whether it did, or in words why it refuses what a person gave (a password that is too short, an unknown time zone).
    """
    from crm_identity.bootstrap import bootstrap as create
    from crm_kernel import Refusal

    try:
        return create(dsn, **wanted).created
    except Refusal as refused:
        fields = "; ".join(f"{field.pointer.removeprefix('/')}: {field.detail}" for field in refused.errors)
        return fields or refused.detail

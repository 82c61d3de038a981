"""Services that reach their databases over a network of the tests' (`crm_testing.network`): what a stack runs instead of the product's own
entry. Imported by the processes of such a stack, by its bare name; nothing else of the tests is there.
"""

import json
import os
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from crm_stack.service_entry import run

#: Service → the port that leads to its database, as JSON.
PORTS = "DETOUR_PORTS"


def to_database(service: str, parts: frozenset[str]) -> None:
    """Run the service with another port in its database's address."""
    ports = json.loads(os.environ[PORTS])
    if service in ports:
        direct = urlsplit(Path(os.environ.pop("CRM_DATABASE_URL_FILE")).read_text(encoding="utf-8").strip())
        there = f"{direct.netloc.rpartition(':')[0]}:{ports[service]}"
        os.environ["CRM_DATABASE_URL"] = urlunsplit(direct._replace(netloc=there))
    run(service, parts)

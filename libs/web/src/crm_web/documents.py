"""The documents of the whole product, made from the code of all services: `python -m crm_web.documents FOLDER`.

openapi.json: every operation behind the gateway. asyncapi.json: every event. permissions.json: the catalogue of ID-11. Whoever starts or
packs the product makes them; identity shows them (CRM_DOCUMENTS_DIR). No service imports another for it.
"""

import os
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import orjson

from crm_contracts.asyncapi import asyncapi
from crm_web.openapi import merge, service_document
from crm_web.routes import installed
from crm_web.service import Service, load_service

TITLE = "Pelagic"


def product_version() -> str:
    """The version of the code, where it is installed as a package; else what the workspace is at."""
    try:
        return version("pelagic-web")
    except PackageNotFoundError:
        return "0.1.0"


def documents(services: Iterable[Service]) -> dict[str, bytes]:
    """File name → content."""
    found = list(services)
    number = product_version()
    merged = merge({service.name: service_document(service) for service in found}, title=TITLE, version=number)
    entries = {entry.code: dict(entry.names) for service in found for entry in service.permissions}
    return {
        "openapi.json": orjson.dumps(merged),
        "asyncapi.json": orjson.dumps(asyncapi(version=number)),
        "permissions.json": orjson.dumps([{"code": code, "names": names} for code, names in sorted(entries.items())]),
    }


def write(folder: str, *services: str) -> None:
    """Write the documents of these services, all installed ones when none is named; each file whole or not at all."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    for name, content in documents(load_service(name) for name in services or installed()).items():
        # Several stacks of a clone may start at once.
        beside = target / f".{name}.{os.getpid()}.new"
        beside.write_bytes(content)
        beside.replace(target / name)


if __name__ == "__main__":
    write(*sys.argv[1:])

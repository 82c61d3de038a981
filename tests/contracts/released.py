"""What clients of a release rely on, compared with what is there now.

A release puts its documents below `docs/released/<version>/`: openapi.json, and the events' schemas in `schemas/`. Operations may be
added, and what they accept may grow. They may not go, ask for more than before, or answer with less.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RELEASED = Path(__file__).resolve().parents[2] / "docs" / "released"
_VERSION = re.compile(r"\d+\.\d+\.\d+")


def last_release(folder: Path) -> Path | None:
    """The folder of the highest version; None when nothing was released."""
    found = [path for path in folder.glob("*") if _VERSION.fullmatch(path.name)]
    return max(found, key=lambda path: tuple(map(int, path.name.split("."))), default=None)


def no_longer_held(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What clients of the document `old` miss in `new`, in words."""
    found = []
    for path, methods in old["paths"].items():
        for method, before in methods.items():
            now = new["paths"].get(path, {}).get(method)
            told = ["is gone"] if now is None else _operation(before, now, old, new)
            found += [f"{method} {path}: {words}" for words in told]
    return found


def _operation(before: dict[str, Any], now: dict[str, Any], old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    known = {(p["in"], p["name"]): p for p in before.get("parameters", [])}
    present = {(p["in"], p["name"]): p for p in now.get("parameters", [])}
    for key in known.keys() - present.keys():
        yield f"parameter {key[1]} is gone"
    for key, parameter in present.items():
        if parameter.get("required") and not known.get(key, {}).get("required"):
            yield f"parameter {key[1]} is required now"
    asked, asks = _body(before.get("requestBody"), old), _body(now.get("requestBody"), new)
    for name in sorted(set(asks.get("required", [])) - set(asked.get("required", []))):
        yield f"body member {name} is required now"
    for name in sorted(asked.get("properties", {}).keys() - asks.get("properties", {}).keys()):
        yield f"body member {name} is not taken any more"
    for status, answer in before["responses"].items():
        if not status.startswith("2"):
            continue
        if status not in now["responses"]:
            yield f"answers {status} no more"
            continue
        told, tells = _body(answer, old), _body(now["responses"][status], new)
        for name in sorted(told.get("properties", {}).keys() - tells.get("properties", {}).keys()):
            yield f"{status}: member {name} is gone"
        for name in sorted(set(told.get("required", [])) - set(tells.get("required", []))):
            yield f"{status}: member {name} is promised no more"


def _body(part: dict[str, Any] | None, document: dict[str, Any]) -> dict[str, Any]:
    """The schema of a JSON body, its reference followed; empty when there is none."""
    found: dict[str, Any] = ((part or {}).get("content", {}).get("application/json") or {}).get("schema") or {}
    reference = found.get("$ref", "")
    if reference.startswith("#/components/schemas/"):
        found = document["components"]["schemas"][reference.removeprefix("#/components/schemas/")]
    return found

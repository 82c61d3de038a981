"""What clients of a release rely on, compared with what is there now. Pure.

Operations may be added, and what they accept may grow. They may not go, ask for more than before, or answer with less.
"""

from collections.abc import Iterator
from typing import Any

_SCHEMAS = "#/components/schemas/"


def promised(document: dict[str, Any]) -> dict[str, Any]:
    """What of an OpenAPI document a release has to keep: no words, no examples; compared like the whole."""
    paths = {
        path: {method: _operation_promised(operation) for method, operation in methods.items()}
        for path, methods in document["paths"].items()
    }
    named = document["components"]["schemas"]
    wanted = {name for methods in paths.values() for operation in methods.values() for name in _named(operation)}
    schemas = {
        name: {
            "properties": {key: {} for key in sorted(named[name].get("properties", {}))},
            "required": named[name].get("required", []),
        }
        for name in sorted(wanted)
    }
    return {"paths": paths, "components": {"schemas": schemas}}


def _operation_promised(operation: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "parameters" in operation:
        found["parameters"] = [
            {"in": one["in"], "name": one["name"], "required": one.get("required", False)}
            for one in operation["parameters"]
        ]
    if "requestBody" in operation:
        found["requestBody"] = _content(operation["requestBody"])
    found["responses"] = {
        status: _content(answer) for status, answer in operation["responses"].items() if status.startswith("2")
    }
    return found


def _content(part: dict[str, Any]) -> dict[str, Any]:
    """A JSON body: the reference to its schema, or the schema's members."""
    schema = (part.get("content", {}).get("application/json") or {}).get("schema")
    if schema is None:
        return {}
    if "$ref" not in schema:
        schema = {
            "properties": {key: {} for key in sorted(schema.get("properties", {}))},
            "required": schema.get("required", []),
        }
    return {"content": {"application/json": {"schema": schema}}}


def _named(operation: dict[str, Any]) -> Iterator[str]:
    for body in (operation.get("requestBody", {}), *operation["responses"].values()):
        reference = ((body.get("content") or {}).get("application/json") or {}).get("schema", {}).get("$ref", "")
        if reference.startswith(_SCHEMAS):
            yield reference.removeprefix(_SCHEMAS)


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
    if reference.startswith(_SCHEMAS):
        found = document["components"]["schemas"][reference.removeprefix(_SCHEMAS)]
    return found

"""What the documents say of an operation beyond its models: permission, refusals with an example each, an example answer."""

import http
import inspect
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse, Response

import crm_authz
from crm_authz import DirectoryBehind, TokenExpired, TokenStale
from crm_events import NotAppliedYet, TokenInvalid
from crm_kernel.errors import Forbidden, Invalid, Malformed, Refusal, Unauthenticated, Unavailable
from crm_web import problems
from crm_web.answers import Answer, Stream
from crm_web.cursors import CursorInvalid
from crm_web.idempotency import AnswerLost, KeyInvalid, KeyReused, KeyRunning
from crm_web.incoming import BodyTooLarge
from crm_web.security import TokenMissing
from crm_web.units import WriteUnit

if TYPE_CHECKING:
    from crm_web.route import Declared, Handler
    from crm_web.service import Service

_PROBLEM = {
    "title": "Problem",
    "description": "RFC 9457. `code` is stable; `errors` says field by field what is wrong with the input.",
    "type": "object",
    "required": ["type", "title", "status", "code", "detail", "trace_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "trace_id": {
            "type": ["string", "null"],
            "description": "Under it the operators' logs tell more. Null when the request could not even be read.",
        },
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "code", "detail"],
                "properties": {
                    "pointer": {
                        "type": "string",
                        "description": "JSON pointer into the body, or `query:`, `path:`, `header:` and a name",
                    },
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
    },
}
#: What operations may answer besides their own refusals: all of them, those that ask for a token, write, or take a body.
_EVERYWHERE: tuple[type[Refusal], ...] = (
    Malformed,
    Invalid,
    problems.HeadersTooLarge,
    TokenInvalid,
    NotAppliedYet,
    problems.Failed,
    Unavailable,
    problems.Busy,
    problems.TookTooLong,
)
_WITH_TOKEN: tuple[type[Refusal], ...] = (
    Unauthenticated,
    TokenMissing,
    crm_authz.TokenInvalid,
    TokenExpired,
    TokenStale,
    DirectoryBehind,
    Forbidden,
)
_WRITING: tuple[type[Refusal], ...] = (
    KeyInvalid,
    KeyReused,
    KeyRunning,
    AnswerLost,
    problems.NotUnique,
    problems.OutcomeUnknown,
)
_WITH_BODY: tuple[type[Refusal], ...] = (BodyTooLarge, problems.MediaTypeUnsupported)
_SCHEMAS = "#/components/schemas/"
_TOKEN = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


def service_document(service: "Service") -> dict[str, Any]:
    """The OpenAPI 3.1 document of one service."""
    document = get_openapi(title=service.title, version="1", openapi_version="3.1.0", routes=service.routes)
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    # FastAPI documents its own form of validation errors; ours is the problem document.
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"] = _PROBLEM
    components["securitySchemes"] = {"token": _TOKEN}
    return document


def documented(
    declared: "Declared",
    handler: "Handler",
    *,
    method: str,
    response: Any,
    status: int,
    also: Mapping[int, Any] | None = None,
) -> dict[str, Any]:
    """The options of `add_api_route` that document an operation."""
    hints = typing.get_type_hints(handler)
    more: list[type[Refusal]] = []
    if "cursor" in hints:
        more.append(CursorInvalid)
    if WriteUnit in hints.values():
        more += _WRITING
    if method in ("POST", "PUT", "PATCH"):
        more += _WITH_BODY
    answers = _refusals(declared, more)
    for other, answered in (also or {}).items():
        answers[other] = {"model": answered, "description": http.HTTPStatus(other).phrase}
    if declared.stream:
        answers[status] = {"content": {"text/event-stream": {"schema": {"type": "string"}}}}
    elif declared.example is not None:
        answers[status] = {"content": {"application/json": {"example": declared.example}}}
    extra: dict[str, Any] = {"x-access": declared.access}
    if declared.permission is not None:
        extra["x-permission"] = declared.permission
    if declared.module is not None:
        extra["x-module"] = declared.module
    if declared.scoped:
        extra["x-scope"] = declared.permission.partition(":")[0] if declared.permission else declared.service
    if declared.access != "public":
        extra["security"] = [{"token": []}]
    model = response
    if model is None:
        hinted = hints.get("return")
        is_answer = inspect.isclass(hinted) and issubclass(hinted, (Answer, Stream))
        model = None if hinted is None or hinted is type(None) or is_answer else hinted
    return {
        "responses": answers,
        "openapi_extra": extra,
        "response_model": model,
        # One without a media type of its own leaves the documents to what stands above.
        "response_class": Response if declared.stream else JSONResponse,
    }


def _refusals(declared: "Declared", more: Sequence[type[Refusal]]) -> dict[int | str, dict[str, Any]]:
    known = [*declared.errors, *_EVERYWHERE, *more]
    if declared.access != "public":
        known += _WITH_TOKEN
    by_status: dict[int, list[type[Refusal]]] = {}
    for refusal in known:
        by_status.setdefault(refusal.status, []).append(refusal)
    return {status: _answer(refusals) for status, refusals in sorted(by_status.items())}


def _answer(refusals: list[type[Refusal]]) -> dict[str, Any]:
    examples = {
        refusal.code: {"summary": refusal.title, "value": _example(refusal)} for refusal in dict.fromkeys(refusals)
    }
    return {
        "description": "; ".join(dict.fromkeys(refusal.title for refusal in refusals)),
        "content": {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}},
    }


def _example(refusal: type[Refusal]) -> dict[str, Any]:
    return {
        "type": problems.TYPE + refusal.code,
        "title": refusal.title,
        "status": refusal.status,
        "code": refusal.code,
        "detail": refusal.title,
        # What can't even be read has no trace.
        "trace_id": None if refusal is problems.HeadersTooLarge else "4bf92f3577b34da6a3ce929d0e0e4736",
    }


def merge(documents: Mapping[str, dict[str, Any]], *, title: str, version: str) -> dict[str, Any]:
    """One document of all services: service → its document.

    Operation ids get their service's name in front. A component that two services describe differently gets it too, at both.
    """
    clashing = _clashes(documents)
    merged: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "paths": {},
        "components": {"schemas": {}, "securitySchemes": {"token": _TOKEN}},
        "tags": [],
    }
    for service, document in sorted(documents.items()):
        renamed = {name: f"{service.capitalize()}{name}" for name in clashing}
        own = _with_names(document, renamed)
        for path, operations in own.get("paths", {}).items():
            for operation in operations.values():
                operation["operationId"] = f"{service}_{operation['operationId']}"
            if path in merged["paths"]:
                raise ValueError(f"{path} is an address of two services")
            merged["paths"][path] = operations
        for name, schema in own.get("components", {}).get("schemas", {}).items():
            merged["components"]["schemas"][renamed.get(name, name)] = schema
        merged["tags"].append({"name": service, "description": document.get("info", {}).get("title", service)})
    return merged


def _clashes(documents: Mapping[str, dict[str, Any]]) -> set[str]:
    """Names that don't mean the same everywhere: described differently, or through a name that is."""
    described: dict[str, list[Any]] = {}
    for document in documents.values():
        for name, schema in document.get("components", {}).get("schemas", {}).items():
            described.setdefault(name, []).append(schema)
    clashing = {name for name, schemas in described.items() if any(schema != schemas[0] for schema in schemas)}
    shared = {name for name, schemas in described.items() if len(schemas) > 1}
    while more := {name for name in shared - clashing if clashing & set(_references(described[name][0]))}:
        clashing |= more
    return clashing


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "$ref" and isinstance(item, str):
                yield item.removeprefix(_SCHEMAS)
            else:
                yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)


def _with_names(value: Any, renamed: Mapping[str, str]) -> Any:
    """A copy with references to renamed components; examples, which are data, are left as they are."""
    if isinstance(value, list):
        return [_with_names(item, renamed) for item in value]
    if not isinstance(value, dict):
        return value
    copied: dict[str, Any] = {}
    for key, item in value.items():
        if key == "$ref" and isinstance(item, str):
            name = item.removeprefix(_SCHEMAS)
            copied[key] = _SCHEMAS + renamed.get(name, name)
        elif key in ("example", "examples"):
            copied[key] = item
        elif key == "mapping" and isinstance(item, dict):
            copied[key] = {
                tag: _SCHEMAS + renamed.get(name, name)
                for tag, name in ((tag, str(at).removeprefix(_SCHEMAS)) for tag, at in item.items())
            }
        else:
            copied[key] = _with_names(item, renamed)
    return copied

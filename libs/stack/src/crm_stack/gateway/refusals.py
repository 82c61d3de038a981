"""The gateway's own refusals, each as one problem+json answer (RFC 9457) with a stable code.

Envoy asks the mappers in order and takes the first that fits, so particular causes stand before their status.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from crm_stack.gateway.headers import TRACE
from crm_stack.gateway.limits import ROUTE_METADATA
from crm_stack.gateway.tokens import CLAIMS, FAILURE, TokenRules, in_token, kind_conditions

PROBLEM_TYPE = "urn:pelagic:problem:"


@dataclass(frozen=True)
class Refusal:
    """One refusal. `code` and `status` are the interface; `detail` is for people and may use Envoy's format operators."""

    code: str
    status: int
    title: str
    detail: str
    headers: dict[str, str] = field(default_factory=dict)
    members: dict[str, str] = field(default_factory=dict)


_FAILURE_MESSAGE = f"%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:{FAILURE}:message)%"
_INVALID_TOKEN = {"www-authenticate": 'Bearer realm="crm", error="invalid_token"'}
_SOON = {"retry-after": "1"}

TOKEN_MISSING = Refusal(
    "token.missing",
    401,
    "An access token is needed",
    "Send the header Authorization: Bearer followed by an access token.",
    {"www-authenticate": 'Bearer realm="crm"'},
)
TOKEN_INVALID = Refusal(
    "token.invalid", 401, "The access token is not valid", f"It was refused: {_FAILURE_MESSAGE}.", _INVALID_TOKEN
)
TOKEN_OF_OTHER_KIND = Refusal(
    "token.invalid", 401, "The access token is not valid", "It is no access token of this platform.", _INVALID_TOKEN
)
CREDENTIAL_MALFORMED = Refusal(
    "token.invalid",
    401,
    "The access token is not valid",
    "Send exactly one Authorization header with exactly one token.",
    _INVALID_TOKEN,
)
KEYS_UNKNOWN = Refusal(
    "service.unavailable",
    503,
    "The service is not available",
    "The keys that verify access tokens are not known yet. Try again in a moment.",
    _SOON,
)
UPGRADE_REFUSED = Refusal(
    "upgrade.refused", 400, "The protocol cannot be changed here", "This address does not speak the protocol asked for."
)
MODULE_FORBIDDEN = Refusal(
    "permission.module",
    403,
    "You may not enter this part",
    "Your token does not open the module of this address, or has no data scope for its service.",
    members={
        "permission": f"%METADATA(ROUTE:{ROUTE_METADATA}:permission)%",
        "module": f"%METADATA(ROUTE:{ROUTE_METADATA}:module)%",
    },
)
BY_STATUS = (
    Refusal("request.malformed", 400, "The request is malformed", "The gateway could not read the request."),
    Refusal("route.unknown", 404, "There is nothing at this address", "No operation has this path."),
    Refusal("method.not_allowed", 405, "This address has other methods", "See the header Allow."),
    Refusal("request.timeout", 408, "The request took too long", "It did not arrive completely in time."),
    Refusal("length.required", 411, "The length must be said", "Send a Content-Length with a body of this kind."),
    Refusal("body.too_large", 413, "The body is too large", "It exceeds what this operation takes."),
    Refusal("rate.limited", 429, "Too many requests", "Wait for the time that Retry-After says.", _SOON),
    Refusal(
        "headers.too_large", 431, "The headers are too large", "Send fewer or shorter headers, or a shorter address."
    ),
    Refusal("service.failed", 502, "The service gave no usable answer", "Its answer could not be read."),
    Refusal("service.unavailable", 503, "The service is not available", "Try again in a moment.", _SOON),
    Refusal("service.timeout", 504, "The service took too long", "It did not answer in time."),
)
# Whatever else Envoy may refuse keeps its status under a general code.
OTHER_CLIENT_FAULT = Refusal("request.refused", 0, "The request was refused", "The gateway does not take it.")
OTHER_SERVER_FAULT = Refusal("service.failed", 0, "The service gave no usable answer", "The gateway could not go on.")


def local_reply_config(rules: TokenRules) -> dict[str, Any]:
    """Envoy's `local_reply_config`: which cause becomes which refusal."""
    away = {"exact": "Jwks remote fetch is failed"}
    keys_away = _metadata(in_token(FAILURE, "message", value={"string_match": away}))
    failed = _metadata(in_token(FAILURE, "message", value={"string_match": {"safe_regex": {"regex": ".+"}}}))
    verified = _metadata(in_token(CLAIMS, "iss", value={"present_match": True}))
    # This filter does not know `invert`, so what must not be there is asked for in a mapper of its own.
    conditions = kind_conditions(rules)
    access_token = [_metadata(matcher) for matcher in conditions if not matcher.get("invert")]
    excluded = [_metadata(matcher | {"invert": False}) for matcher in conditions if matcher.get("invert")]
    upgrade = {"header_filter": {"header": {"name": "upgrade", "present_match": True}}}
    no_credential = {
        "header_filter": {"header": {"name": "authorization", "present_match": True, "invert_match": True}}
    }
    mappers = [
        _mapper(KEYS_UNKNOWN, _status(401), keys_away),
        _mapper(TOKEN_MISSING, _status(401), no_credential),
        _mapper(TOKEN_INVALID, _status(401), failed),
        _mapper(CREDENTIAL_MALFORMED, _status(401)),
        _mapper(TOKEN_INVALID, _status(403), failed),  # a wrong audience
        *(_mapper(TOKEN_OF_OTHER_KIND, _status(403), fact) for fact in excluded),
        _mapper(MODULE_FORBIDDEN, _status(403), *access_token),
        _mapper(TOKEN_OF_OTHER_KIND, _status(403), verified),
        _mapper(UPGRADE_REFUSED, _status(403), upgrade),
        *(_mapper(refusal, _status(refusal.status)) for refusal in BY_STATUS),
        _mapper(OTHER_SERVER_FAULT, _status(500, "GE")),
        _mapper(OTHER_CLIENT_FAULT, _status(400, "GE")),
    ]
    return {"mappers": mappers}


def _status(status: int, comparison: str = "EQ") -> dict[str, Any]:
    value = {"default_value": status, "runtime_key": f"crm.refusal.{comparison.lower()}_{status}"}
    return {"status_code_filter": {"comparison": {"op": comparison, "value": value}}}


def _metadata(matcher: dict[str, Any]) -> dict[str, Any]:
    return {"metadata_filter": {"matcher": matcher, "match_if_key_not_found": False}}


def _mapper(refusal: Refusal, *conditions: dict[str, Any]) -> dict[str, Any]:
    body = {
        "type": PROBLEM_TYPE + refusal.code,
        "title": refusal.title,
        "status": "%RESPONSE_CODE%",
        "code": refusal.code,
        "detail": refusal.detail,
        "trace_id": f"%REQ({TRACE})%",
        **refusal.members,
    }
    mapper: dict[str, Any] = {
        "filter": conditions[0] if len(conditions) == 1 else {"and_filter": {"filters": list(conditions)}},
        "body_format_override": {"json_format": body, "content_type": "application/problem+json"},
        "headers_to_add": [
            {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
            for name, value in {"cache-control": "no-store", **refusal.headers}.items()
        ],
    }
    if refusal.status:
        mapper["status_code"] = refusal.status
    return mapper

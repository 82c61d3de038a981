"""Which headers may come from outside, and which ones the gateway itself writes for the services."""

from __future__ import annotations

from typing import Any

SUBJECT = "x-crm-subject"
SESSION = "x-crm-session"
CLIENT = "x-crm-client"
ADDRESS = "x-crm-address"
TRACE = "x-crm-trace-id"

# Verified claims that are copied into headers. Services must not trust them (they read the token): logs and limits do.
CLAIM_HEADERS = {SUBJECT: "sub", SESSION: "sid", CLIENT: "client_id"}

# Everything by which a caller might claim to be somebody, somewhere or something else, or steer Envoy itself.
FOREIGN_PREFIXES = ("x-crm-", "x-envoy-")
FOREIGN_HEADERS = (
    "forwarded",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-forwarded-client-cert",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-server",
    "x-http-method-override",
    "x-original-url",
    "x-real-ip",
    "x-rewrite-url",
)

# One credential in one header: two Authorization headers arrive here joined by a comma and match neither form.
CREDENTIAL = r"(?:Bearer [A-Za-z0-9._~+/-]+=*|Basic [A-Za-z0-9+/]+=*)"


def strip_foreign(trusted_hops: int) -> dict[str, Any]:
    """The earliest step of a request: remove foreign headers, before routing, tracing and every filter.

    With trusted proxies in front, X-Forwarded-For stays, because the caller's address is counted from its right end.
    """
    removed = [{"remove_on_match": {"key_matcher": {"prefix": prefix}}} for prefix in FOREIGN_PREFIXES]
    names = FOREIGN_HEADERS if trusted_hops else (*FOREIGN_HEADERS, "x-forwarded-for")
    return {
        "name": "crm.strip_foreign_headers",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
            "mutations": [*removed, *({"remove": name} for name in names)],
        },
    }


def caller_address() -> dict[str, Any]:
    """Write the caller's address, as the gateway sees it, into the one header the services read it from."""
    return {
        "header": {"key": ADDRESS, "value": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }


def first_filter() -> dict[str, Any]:
    """The filter that meets each request first and each answer last.

    It notes the trace id in a header, because Envoy's own answers can read headers but not the tracer; and it gives
    Envoy's `x-ratelimit-*` answer headers their standard names.
    """
    names = ("limit", "remaining", "reset")
    renamed = [_written(f"ratelimit-{name}", f"%RESP(x-ratelimit-{name})%") for name in names]
    return {
        "name": "crm.headers",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
            "mutations": {
                "request_mutations": [_written(TRACE, "%TRACE_ID%")],
                "response_mutations": [*renamed, *({"remove": f"x-ratelimit-{name}"} for name in names)],
            },
        },
    }


def _written(name: str, value: str) -> dict[str, Any]:
    """One header that gets `value`, whatever it was; an empty value writes no header."""
    return {"append": {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}

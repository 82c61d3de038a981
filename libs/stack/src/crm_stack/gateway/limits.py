"""How much one caller may ask for: requests per second, bytes per body."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crm_stack.gateway.headers import SUBJECT
from crm_stack.gateway.routes import Rate, Route

RATE_FILTER = "crm.rate_limit"
BODY_FILTER = "crm.body_limit"
ROUTE_METADATA = "crm"  # where a route's own facts stand: operation, service, module, permission, rate
BY_SUBJECT, BY_ADDRESS = "rate_by_subject", "rate_by_address"

# Up to this size a body is collected at the gateway before the service sees any of it. Larger ones (imports,
# attachments) flow through, and must say their length beforehand.
COLLECTED_BODY_BYTES = 8 * 1024 * 1024

_RATE_TYPE = "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
_BODY_TYPE = "type.googleapis.com/envoy.extensions.filters.http.buffer.v3."


@dataclass(frozen=True)
class Bucket:
    """A token bucket: at most `burst` requests at once, `per_second` new ones each second (at least 1)."""

    burst: int
    per_second: int


# Log-ins come from one address for a whole office (and for loaders and tests); guessing is identity's to stop (ID-25).
BUCKETS: Mapping[Rate, Bucket] = {
    "default": Bucket(burst=600, per_second=300),
    "login": Bucket(burst=50, per_second=5),
    "bulk": Bucket(burst=20, per_second=5),
    "stream": Bucket(burst=20, per_second=2),
}


def rate_filter(buckets: Mapping[Rate, Bucket], most_callers: int = 10_000) -> dict[str, Any]:
    """One bucket per kind of rate and caller, shared by all routes of that kind and by all of Envoy's threads.

    `most_callers`: how many buckets of one kind are remembered; with Envoy's default of 20 a limited caller is free
    again as soon as 20 others came by.
    """
    descriptors = [
        {
            "entries": [{"key": "rate", "value": rate}, {"key": caller}],  # no value: a bucket for each caller
            "token_bucket": {
                "max_tokens": bucket.burst,
                "tokens_per_fill": bucket.per_second,
                "fill_interval": "1s",
            },
        }
        for rate, bucket in buckets.items()
        for caller in ("subject", "remote_address")
    ]
    subject = {"request_headers": {"header_name": SUBJECT, "descriptor_key": "subject"}}
    everything = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    return {
        "name": RATE_FILTER,
        "typed_config": {
            "@type": _RATE_TYPE,
            "stat_prefix": "caller",
            "filter_enabled": everything,
            "filter_enforced": everything,
            "always_consume_default_token_bucket": False,
            "descriptors": descriptors,
            "max_dynamic_descriptors": most_callers,
            "rate_limits": [
                {"actions": [_rate_in_route(BY_SUBJECT), subject]},
                {"actions": [_rate_in_route(BY_ADDRESS), {"remote_address": {}}]},
            ],
            "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
        },
    }


def _rate_in_route(fact: str) -> dict[str, Any]:
    """Reads a route's rate out of its metadata; a route without that fact draws nothing from this kind of bucket."""
    return {
        "metadata": {
            "descriptor_key": "rate",
            "metadata_key": {"key": ROUTE_METADATA, "path": [{"key": fact}]},
            "source": "ROUTE_ENTRY",
        }
    }


def rate_of(route: Route) -> dict[str, str]:
    """Which bucket a request to `route` draws from: its caller's; without a token, and at log-in, its address's."""
    by_address = route.access == "public" or route.limits.rate == "login"
    return {BY_ADDRESS if by_address else BY_SUBJECT: route.limits.rate}


def body_filter() -> dict[str, Any]:
    """The filter that collects bodies; each route states its own size (`body_of`)."""
    return {
        "name": BODY_FILTER,
        "typed_config": {"@type": _BODY_TYPE + "Buffer", "max_request_bytes": COLLECTED_BODY_BYTES},
    }


def collects_body(route: Route) -> bool:
    """Whether the gateway holds the whole body before it passes it on."""
    return not route.stream and route.limits.body_bytes <= COLLECTED_BODY_BYTES


def no_body_limit() -> dict[str, Any]:
    """Per-route settings of a route that waits for no body."""
    return {BODY_FILTER: {"@type": _BODY_TYPE + "BufferPerRoute", "disabled": True}}


def body_of(route: Route) -> dict[str, Any]:
    """Per-route settings of the body limit."""
    if not collects_body(route):
        return no_body_limit()
    # Envoy wants at least one byte; a route that takes none then refuses the second.
    size = {"max_request_bytes": max(1, route.limits.body_bytes)}
    return {BODY_FILTER: {"@type": _BODY_TYPE + "BufferPerRoute", "buffer": size}}

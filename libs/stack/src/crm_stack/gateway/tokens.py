"""Who comes in: signature, times and kind of the access token, then the module and the data-scope claims of the route.

Both steps refuse by default. A route without settings of its own asks for a token (`crm.token`) and is then refused
(`crm.entry`), so a mistake in the generated routes closes a door, never opens one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from crm_stack.gateway.headers import CLAIM_HEADERS
from crm_stack.gateway.routes import Route

JWT = "envoy.filters.http.jwt_authn"
TOKEN_FILTER = "crm.token"
KIND_FILTER = "crm.token_kind"
ENTRY_FILTER = "crm.entry"
KEYS_CLUSTER = "identity_keys"
CLAIMS, HEADER, FAILURE = "claims", "header", "failure"

_JWT_TYPE = "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3."
_RBAC_TYPE = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3."


@dataclass(frozen=True)
class TokenRules:
    """What an access token must be. Times in seconds.

    `keys_refresh_seconds`: how often the public keys are read again; identity must publish a new key longer than this
    before it signs with it. `longest_life_seconds` is the most an access token may still have to live.
    """

    issuer: str
    audience: str = "crm-api"
    keys_path: str = "/oauth/jwks.json"
    keys_refresh_seconds: float = 30
    keys_retry_seconds: float = 0.5
    clock_skew_seconds: int = 5
    longest_life_seconds: int = 300


def token_filter(rules: TokenRules) -> dict[str, Any]:
    """Verify the token of every request whose route does not switch this off, and keep its content for later steps."""
    provider = {
        "issuer": rules.issuer,
        "audiences": [rules.audience],
        "max_lifetime": f"{rules.longest_life_seconds + rules.clock_skew_seconds}s",
        "clock_skew_seconds": rules.clock_skew_seconds,
        # Named, because otherwise Envoy also looks into the query string.
        "from_headers": [{"name": "Authorization", "value_prefix": "Bearer "}],
        "forward": True,
        "payload_in_metadata": CLAIMS,
        "header_in_metadata": HEADER,
        "failed_status_in_metadata": FAILURE,
        "claim_to_headers": [{"header_name": name, "claim_name": claim} for name, claim in CLAIM_HEADERS.items()],
        "jwt_cache_config": {"jwt_cache_size": 5000},
        "remote_jwks": {
            "http_uri": {"uri": f"http://identity{rules.keys_path}", "cluster": KEYS_CLUSTER, "timeout": "2s"},
            "cache_duration": f"{rules.keys_refresh_seconds}s",
            # The listener does not wait for the keys: until they are there, tokens get 503, not 401.
            "async_fetch": {"fast_listener": True, "failed_refetch_duration": f"{rules.keys_retry_seconds}s"},
            "retry_policy": {"num_retries": 1, "retry_back_off": {"base_interval": "0.1s", "max_interval": "0.5s"}},
        },
    }
    return {
        "name": TOKEN_FILTER,
        "typed_config": {
            "@type": _JWT_TYPE + "JwtAuthentication",
            "providers": {"identity": provider},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "identity"}}],
        },
    }


def in_token(*path: str, value: dict[str, Any]) -> dict[str, Any]:
    """Envoy's metadata matcher for one place in the verified token; `path` starts with CLAIMS, HEADER or FAILURE."""
    return {"filter": JWT, "path": [{"key": key} for key in path], "value": value}


def _equals(*path: str, text: str) -> dict[str, Any]:
    return in_token(*path, value={"string_match": {"exact": text}})


def kind_conditions(rules: TokenRules) -> list[dict[str, Any]]:
    """What makes a verified token an access token of ours, beyond what Envoy's own check looks at.

    Envoy looks at neither `typ` nor `crit`, takes a list for `aud` and forgives a scheme and a slash around it.
    """
    return [
        _equals(HEADER, "typ", text="at+jwt"),
        _equals(HEADER, "alg", text="ES256"),
        in_token(HEADER, "kid", value={"present_match": True}),
        in_token(HEADER, "crit", value={"present_match": True}) | {"invert": True},
        _equals(CLAIMS, "use", text="access"),
        _equals(CLAIMS, "aud", text=rules.audience),
        in_token(CLAIMS, "sub", value={"string_match": {"safe_regex": {"regex": ".+"}}}),
    ]


def kind_filter(rules: TokenRules) -> dict[str, Any]:
    """Refuse verified tokens that are not access tokens (refresh, identity, another product's)."""
    conditions = [{"sourced_metadata": {"metadata_matcher": matcher}} for matcher in kind_conditions(rules)]
    return _rbac(KIND_FILTER, _allow("access_token", {"and_ids": {"ids": conditions}}))


def entry_filter() -> dict[str, Any]:
    """Refuse every route that does not say who may enter it."""
    return _rbac(ENTRY_FILTER, {"action": "ALLOW", "policies": {}})


def _rbac(name: str, rules: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "typed_config": {"@type": _RBAC_TYPE + "RBAC", "rules": rules}}


def _allow(policy: str, principal: dict[str, Any]) -> dict[str, Any]:
    return {"action": "ALLOW", "policies": {policy: {"permissions": [{"any": True}], "principals": [principal]}}}


def without_token() -> dict[str, Any]:
    """Per-route settings of a route that anybody may use."""
    open_door = {"@type": _RBAC_TYPE + "RBACPerRoute"}
    return {
        TOKEN_FILTER: {"@type": _JWT_TYPE + "PerRouteConfig", "disabled": True},
        KIND_FILTER: open_door,
        ENTRY_FILTER: open_door,
    }


def with_token(route: Route) -> dict[str, Any]:
    """Per-route settings of a route behind a token: its module is in `mod`, its service has data-scope claims."""
    matchers = []
    if route.module:
        matchers.append(
            in_token(CLAIMS, "mod", value={"list_match": {"one_of": {"string_match": {"exact": route.module}}}})
        )
    if route.scope:
        # Envoy can ask for presence, and for more than null; what an empty scope allows (nothing) the service knows.
        matchers.append(in_token(CLAIMS, "scp", route.service, value={"present_match": True}))
        matchers.append(in_token(CLAIMS, "scp", route.service, value={"null_match": {}}) | {"invert": True})
    principal: dict[str, Any] = {"any": True}
    if matchers:
        principal = {"and_ids": {"ids": [{"sourced_metadata": {"metadata_matcher": matcher}} for matcher in matchers]}}
    rules = {"rules": _allow(route.name, principal)}
    return {ENTRY_FILTER: {"@type": _RBAC_TYPE + "RBACPerRoute", "rbac": rules}}

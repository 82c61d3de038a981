"""OAuth 2.0 over HTTP (ID-20): tokens, revocation, keys, discovery, logout. Standard clients work unmodified."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Form
from pydantic import BaseModel, ConfigDict, Field

from crm_authz import TokenExpired, TokenInvalid, TokenStale
from crm_identity.desk import context_of, desk_of, system_context
from crm_identity.session import actions, refreshing
from crm_identity.session.clients import client_of
from crm_identity.session.login import Attempt, Tokens, log_in
from crm_identity.session.rules import (
    BadRequest,
    InvalidClient,
    InvalidGrant,
    OAuthRefusal,
    TooManyAttempts,
    UnsupportedGrantType,
)
from crm_identity.signing_key import store as signing_keys
from crm_kernel import Refusal
from crm_web import Answer, Json, Limits, ReadUnit, Router, SessionlessUnit, Stream, WriteUnit
from crm_web.incoming import Incoming
from crm_web.route import Declared, Handler, ServiceRoute
from crm_web.runtime import Runtime

router = Router("identity", prefix="/oauth", tag="OAuth")
well_known = Router("identity", prefix="/.well-known", tag="OAuth")

_NOT_STORED = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_LIMITS = Limits(body_bytes=16 * 1024, rate="login")


_REFUSAL = {
    "title": "OAuthError",
    "description": "RFC 6749, section 5.2.",
    "type": "object",
    "required": ["error", "error_description"],
    "properties": {"error": {"type": "string"}, "error_description": {"type": "string"}},
}


class OAuthRoute(ServiceRoute):
    """Refuses as RFC 6749 says (section 5.2), not with problem documents: standard clients read `error`."""

    def __init__(self, path: str, endpoint: Handler, *, declared: Declared, **options: Any) -> None:
        options["responses"] = _documented(options.get("responses") or {})
        super().__init__(path, endpoint, declared=declared, **options)

    async def respond(self, runtime: Runtime, incoming: Incoming, path: Mapping[str, str]) -> Answer | Stream:
        try:
            return await super().respond(runtime, incoming, path)
        except Refusal as refusal:
            return refused(refusal)


def _documented(responses: Mapping[int | str, dict[str, Any]]) -> dict[int | str, dict[str, Any]]:
    """The answers as they are: refusals in OAuth's form; what is refused before it, or fails, may be a problem document."""
    found = dict(responses)
    # Bad input is 400 here, never 422; FastAPI would put that back unless the class of all of them is described.
    found["4XX"] = {**found.pop(422, {}), "description": "Refused"}
    for status, answer in found.items():
        if str(status) >= "400":
            # Before OAuth is reached (a body too large, say), and when we fail, a refusal is a problem document.
            kept = answer.get("content", {}) if str(status) >= "500" or str(status) in ("413", "4XX") else {}
            found[status] = {**answer, "content": {**kept, "application/json": {"schema": _REFUSAL}}}
    return found


def refused(refusal: Refusal) -> Answer:
    """What a client of OAuth is told."""
    if isinstance(refusal, OAuthRefusal):
        error = refusal.error
    else:
        error = "temporarily_unavailable" if refusal.status >= 500 else "invalid_request"
    content = {"error": error, "error_description": _described(refusal)}
    # What we call 422 elsewhere is a plain bad request there.
    status = 400 if refusal.status == 422 else refusal.status
    return Json(content, status=status, headers={**_NOT_STORED, **refusal.headers})


def _described(refusal: Refusal) -> str:
    """RFC 6749 allows printable ASCII without quotes and backslashes only."""
    text = refusal.errors[0].detail if refusal.errors else refusal.detail
    return "".join(c if " " <= c <= "~" and c not in '"\\' else "?" for c in text)


class _Form(BaseModel):
    # RFC 6749, 3.2: parameters that are not known are ignored.
    model_config = ConfigDict(extra="ignore")

    client_id: Annotated[str | None, Field(max_length=200)] = None
    client_secret: Annotated[str | None, Field(max_length=1000)] = None


class TokenRequest(_Form):
    """grant_type `password` needs username (e-mail or mobile number) and password; `refresh_token` needs refresh_token."""

    grant_type: Annotated[str | None, Field(max_length=100)] = None
    username: Annotated[str | None, Field(max_length=254)] = None
    password: Annotated[str | None, Field(max_length=1024)] = None
    refresh_token: Annotated[str | None, Field(max_length=500)] = None


class RevocationRequest(_Form):
    """RFC 7009. token: a refresh token, or an access token; its session ends."""

    token: Annotated[str | None, Field(max_length=8192)] = None
    token_type_hint: Annotated[str | None, Field(max_length=100)] = None


class TokenAnswer(BaseModel):
    """expires_in: seconds that the access token lives. The refresh token is good once."""

    access_token: str
    token_type: str
    expires_in: int
    refresh_token: str


@router.post(
    "/token",
    access="public",
    limits=_LIMITS,
    response=TokenAnswer,
    errors=[BadRequest, UnsupportedGrantType, InvalidGrant, InvalidClient, TooManyAttempts],
    example={"access_token": "eyJ…", "token_type": "Bearer", "expires_in": 300, "refresh_token": "q3V…"},
    route_class=OAuthRoute,
)
async def create_token(body: Annotated[TokenRequest, Form()], unit: SessionlessUnit) -> Json:
    """Log in, or refresh."""
    client = client_of(unit.incoming.header(b"authorization"), body.client_id, body.client_secret)
    desk = desk_of(unit).login
    await desk.keys.ensure(unit.database, system_context(unit))
    if body.grant_type == "password":
        if not body.username or body.password is None:
            raise BadRequest("username and password are needed")
        agent = unit.incoming.header(b"user-agent")
        attempt = Attempt(body.username, body.password, client, agent[:400] if agent else None)
        return _tokens(await log_in(desk, unit.database, attempt, context_of(unit)))
    if body.grant_type == "refresh_token":
        if not body.refresh_token:
            raise BadRequest("refresh_token is needed")
        return _tokens(await refreshing.refresh(desk, unit.database, body.refresh_token, client, context_of(unit)))
    if not body.grant_type:
        raise BadRequest("grant_type is needed")
    raise UnsupportedGrantType


def _tokens(tokens: Tokens) -> Json:
    content = TokenAnswer(
        access_token=tokens.access_token,
        token_type="Bearer",
        expires_in=tokens.expires_in,
        refresh_token=tokens.refresh_token,
    )
    return Json(content, headers=_NOT_STORED)


@router.post(
    "/revoke",
    access="public",
    limits=_LIMITS,
    errors=[BadRequest, InvalidClient],
    route_class=OAuthRoute,
    example={},
)
async def revoke_token(body: Annotated[RevocationRequest, Form()], unit: SessionlessUnit) -> dict[str, Any]:
    """End the session of a token (RFC 7009). A token that is not known is none that could be used: answered the same."""
    client = client_of(unit.incoming.header(b"authorization"), body.client_id, body.client_secret)
    if not body.token:
        raise BadRequest("token is needed")
    if body.token.count(".") == 2:
        try:
            caller, _ = await unit.runtime.security.admit(body.token, unit.database, unit.now)
        except (TokenInvalid, TokenExpired, TokenStale):
            return {}
        if caller.client_id == client:
            await actions.revoke_session(unit.database, caller.session_id, caller.user_id, context_of(unit))
        return {}
    await refreshing.revoke(unit.database, body.token, client, context_of(unit))
    return {}


@router.post("/logout", access="authenticated", status=204)
async def log_out(unit: WriteUnit) -> None:
    """End the session of the access token that is sent; from now on neither it nor its refresh token counts."""
    await actions.end_own(unit.session, unit.caller.session_id, unit.caller.user_id, "logout")


@router.get(
    "/jwks.json", access="public", example={"keys": [{"kty": "EC", "crv": "P-256", "kid": "…", "x": "…", "y": "…"}]}
)
async def get_keys(unit: SessionlessUnit) -> Json:
    """The public keys that access tokens are verified with (RFC 7517)."""
    await desk_of(unit).login.keys.ensure(unit.database, system_context(unit))
    async with unit.database.read() as session:
        rows = await signing_keys.published(session, unit.now)
    return Json({"keys": [row["jwk"] for row in rows]}, headers={"Cache-Control": "public, max-age=30"})


def _discovery(issuer: str) -> dict[str, Any]:
    return {
        "issuer": issuer,
        "token_endpoint": f"{issuer}/oauth/token",
        "jwks_uri": f"{issuer}/oauth/jwks.json",
        "revocation_endpoint": f"{issuer}/oauth/revoke",
        "grant_types_supported": ["password", "refresh_token"],
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": ["none", "client_secret_basic"],
        "revocation_endpoint_auth_methods_supported": ["none", "client_secret_basic"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "subject_types_supported": ["public"],
        "service_documentation": f"{issuer}/api/docs",
    }


@well_known.get("/oauth-authorization-server", access="public", example={"issuer": "https://crm.example"})
async def get_authorization_server(unit: ReadUnit) -> dict[str, Any]:
    """What the authorisation server offers (RFC 8414)."""
    return _discovery(unit.runtime.settings.public_url)


@well_known.get("/openid-configuration", access="public", example={"issuer": "https://crm.example"})
async def get_openid_configuration(unit: ReadUnit) -> dict[str, Any]:
    """The same, where clients of OpenID Connect look for it."""
    return _discovery(unit.runtime.settings.public_url)

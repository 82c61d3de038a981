"""Refusals and failures as `application/problem+json` (RFC 9457): the one place where this happens (PL-3)."""

import asyncio
from typing import Any

import asyncpg
import orjson
import structlog

from crm_kernel.errors import Conflict, Refusal, Unauthenticated, Unavailable
from crm_web import messages
from crm_web.answers import Answer

MEDIA_TYPE = "application/problem+json"
#: The same prefix as in the gateway's own refusals.
TYPE = "urn:pelagic:problem:"

_log = structlog.get_logger("crm_web")


class RouteUnknown(Refusal):
    """404: no operation has this path."""

    status = 404
    code = "route.unknown"
    title = "There is nothing at this address"


class MethodNotAllowed(Refusal):
    """405: the path has other methods; `Allow` says which."""

    status = 405
    code = "method.not_allowed"
    title = "This address has other methods"


class MediaTypeUnsupported(Refusal):
    """415: the body is not of the kind that the operation reads."""

    status = 415
    code = "body.media_type"
    title = "The body is not of the expected media type"


class HeadersTooLarge(Refusal):
    """431: the address and the headers are more than the gateway reads. It answers by itself, so no service raises this."""

    status = 431
    code = "headers.too_large"
    title = "The headers are too large"


class NotUnique(Conflict):
    """409: a value that must be unique is taken, seen only when both wrote at once."""

    code = "record.not_unique"
    title = "There is a record with this value already"


class Busy(Unavailable):
    """503: a lock or a connection was not to be had in time. Nothing was changed."""

    code = "service.busy"
    title = "The service is busy"


class StorageFull(Unavailable):
    """503: the database's disk is full. Nothing was changed; reading goes on."""

    code = "service.storage_full"
    title = "There is no room to store anything"


class TookTooLong(Refusal):
    """504: the operation's time limit passed. Nothing was changed."""

    status = 504
    code = "service.timeout"
    title = "The service took too long"


class OutcomeUnknown(Unavailable):
    """503: the connection broke while the change was being committed."""

    code = "service.outcome_unknown"
    title = "It is not known whether the change was made"

    def __init__(self) -> None:
        super().__init__("Look before you repeat it; with the same Idempotency-Key it can be repeated safely")


class Failed(Refusal):
    """500: a mistake of ours. The log has the rest, under the trace id."""

    status = 500
    code = "service.failed"
    title = "The service failed"

    def __init__(self) -> None:
        super().__init__("The failure was logged; name the trace id when you report it")


def refusal_for(error: BaseException) -> Refusal:
    """The refusal that an exception amounts to; Failed for what nobody foresaw. Never carries the driver's words."""
    if isinstance(error, Refusal):
        return error
    if isinstance(
        error,
        (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError, asyncpg.SerializationError),
    ):
        return Busy("Somebody else is changing the same data")
    if isinstance(error, asyncpg.UniqueViolationError):
        return NotUnique()
    if isinstance(error, asyncpg.QueryCanceledError):
        return TookTooLong()
    if isinstance(error, asyncpg.DiskFullError):
        return StorageFull()
    if isinstance(error, asyncpg.InsufficientResourcesError):
        return Busy("The database lacks memory or connections for this just now")
    if is_unreachable(error):
        return Unavailable("The database can't be reached")
    if isinstance(error, (TimeoutError, asyncio.TimeoutError)):
        return TookTooLong()
    return Failed()


def is_unreachable(error: BaseException) -> bool:
    """Whether the database was away; not so for the driver's complaints about how it was used, which are mistakes of ours."""
    misused = isinstance(error, ValueError) or (
        isinstance(error, asyncpg.InterfaceError) and "another operation" in str(error)
    )
    return isinstance(error, _AWAY) and not misused


# No connection to be had (DatabaseUnreachable is a ConnectionError), or lost in the middle.
_AWAY: tuple[type[BaseException], ...] = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    ConnectionError,
)


def problem(refusal: Refusal, *, trace_id: str, accept_language: str = "") -> Answer:
    """The problem document of a refusal."""
    language = messages.choose(accept_language) if accept_language else "en"
    title = messages.title(refusal.code, refusal.title, language)
    # A refusal without words of its own repeats its title; then so does the translation.
    detail = title if refusal.detail == refusal.title else refusal.detail
    document: dict[str, Any] = {
        "type": TYPE + refusal.code,
        "title": title,
        "status": refusal.status,
        "code": refusal.code,
        "detail": detail,
        "trace_id": trace_id,
    }
    if refusal.errors:
        document["errors"] = [
            {
                "pointer": error.pointer,
                "code": error.code,
                "detail": messages.field_detail(error.code, error.detail, language),
            }
            for error in refusal.errors
        ]
    for name, value in refusal.extra.items():
        document.setdefault(name, value)
    headers = {"cache-control": "no-store", "content-language": language}
    headers.update({name.lower(): value for name, value in refusal.headers.items()})
    if isinstance(refusal, Unauthenticated):
        headers.setdefault("www-authenticate", _challenge(refusal))
    # orjson refuses lone surrogates: whatever came in is shown, never the reason for a second failure.
    body = orjson.dumps(_printable(document), default=str, option=orjson.OPT_UTC_Z)
    return Answer(refusal.status, body, MEDIA_TYPE, headers)


def _challenge(refusal: Unauthenticated) -> str:
    return 'Bearer realm="crm"' if refusal.code == "token.missing" else 'Bearer realm="crm", error="invalid_token"'


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {_printable(key): _printable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_printable(item) for item in value]
    return value


def answer_failure(error: Exception, *, trace_id: str, accept_language: str, operation: str) -> Answer:
    """The problem for any exception of a request; logs what is ours to repair."""
    refusal = refusal_for(error)
    if refusal.status >= 500:
        if isinstance(refusal, Failed):
            _log.error("request failed", operation=operation, trace_id=trace_id, exc_info=error)
        else:
            _log.warning(
                "request not answered", operation=operation, trace_id=trace_id, code=refusal.code, cause=repr(error)
            )
    return problem(refusal, trace_id=trace_id, accept_language=accept_language)

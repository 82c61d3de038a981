"""Refusals: what the product answers when it does not do what it was asked (PL-3, RFC 9457).

A slice declares one class per refusal beside what raises it:

    class AlreadyClaimed(Conflict):
        code = "customer.already_claimed"
        title = "The customer was claimed by somebody else"

and raises it with a detail for people. One place (crm_web.problems) turns it into `application/problem+json`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class FieldError:
    """One thing wrong with the input.

    pointer: JSON pointer (RFC 6901) into the body (`/rows/3/name`), or `query:<name>` / `path:<name>` / `header:<name>`.
    code: stable, `field.required`, `field.too_long`, ….
    detail: a sentence for people.
    """

    pointer: str
    code: str
    detail: str


class Refusal(Exception):
    """A request that is not carried out: nothing was changed by it.

    detail: a sentence for people; never SQL, a stack trace, or data the caller may not see.
    errors: what is wrong, field by field, for bad input.
    extra: further members of the problem document, JSON-serialisable.
    headers: response headers (Retry-After, WWW-Authenticate).
    """

    status: ClassVar[int] = 400
    code: ClassVar[str] = "request.refused"
    title: ClassVar[str] = "The request was refused"

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: Sequence[FieldError] = (),
        extra: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.errors = tuple(errors)
        self.extra = dict(extra or {})
        self.headers = dict(headers or {})


class Malformed(Refusal):
    """400: not even readable (broken JSON, NUL, lone surrogates)."""

    status = 400
    code = "request.malformed"
    title = "The request can't be read"


class Unauthenticated(Refusal):
    """401: no valid token."""

    status = 401
    code = "token.invalid"
    title = "A valid access token is needed"


class Forbidden(Refusal):
    """403: the caller sees the record or route, but may not do this."""

    status = 403
    code = "permission.missing"
    title = "You may not do this"


class NotFound(Refusal):
    """404: there is no such thing, or the caller may not see it: the two can't be told apart."""

    status = 404
    code = "record.not_found"
    title = "There is no such record"


class Conflict(Refusal):
    """409: the present state does not allow it."""

    status = 409
    code = "record.conflict"
    title = "The record's present state does not allow this"


class Stale(Refusal):
    """412: the record changed since the caller read it (PL-7)."""

    status = 412
    code = "record.stale"
    title = "The record changed since you read it"


class TooLarge(Refusal):
    """413: more than the product takes in one request."""

    status = 413
    code = "body.too_large"
    title = "The request is too large"


class Invalid(Refusal):
    """422: readable, but not acceptable; `errors` says where and why."""

    status = 422
    code = "request.invalid"
    title = "The request is not valid"


class Unavailable(Refusal):
    """503: right, but not now; `Retry-After` says when."""

    status = 503
    code = "service.unavailable"
    title = "The service can't answer right now"

    def __init__(self, detail: str | None = None, *, retry_after: int = 1, **rest: Any) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after), **rest.pop("headers", {})}, **rest)

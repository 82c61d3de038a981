"""One operation of a service: what it declares, and the order in which its requests are handled.

Token → permission → Consistency-Token → body → session (for a write: transaction) → idempotency → handler → serialise → keep the
idempotent answer → commit → send. Nothing is sent before the commit (docs/decisions/0005).
"""

import asyncio
import datetime as dt
import inspect
import typing
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from fastapi.routing import APIRoute

from crm_authz import Directory, Principal
from crm_database import WriteContext, WriteSession
from crm_kernel.errors import FieldError, Invalid, Refusal
from crm_web.answers import Answer, Stream, answer_of
from crm_web.arguments import Body, Parameters, SignatureUnsupported
from crm_web.idempotency import Key
from crm_web.incoming import Incoming
from crm_web.limits import DEFAULT_LIMITS, Limits
from crm_web.problems import OutcomeUnknown, is_unreachable
from crm_web.security import TokenMissing
from crm_web.units import ReadUnit, SessionlessUnit, WriteUnit, missing

if TYPE_CHECKING:
    from crm_web.runtime import Runtime

Access = Literal["public", "authenticated", "permission"]
Handler = Callable[..., Awaitable[Any]]
_REFUSED = "\0refused"


@dataclass(frozen=True)
class Declared:
    """What a route says of itself beyond FastAPI: for the gateway, for the documents, for the order of its requests.

    permission: `customers.customer:read`, or None. scoped: the token must carry scope claims for the service. module: the module
    that the token must open. reads: no transaction, although the method is POST (searches). snapshot: all statements see one
    moment. stream: the answer is open-ended. errors: refusals of its own. example: an answer, for the documents.
    """

    service: str
    access: Access
    permission: str | None = None
    module: str | None = None
    scoped: bool = False
    reads: bool = False
    snapshot: bool = False
    stream: bool = False
    limits: Limits = DEFAULT_LIMITS
    errors: tuple[type[Refusal], ...] = ()
    example: Any = None


class _Undone(Exception):
    def __init__(self, answer: Answer) -> None:
        super().__init__("the handler answered with a refusal")
        self.answer = answer


class ServiceRoute(APIRoute):
    """A FastAPI route by declaration and documents; its requests run through `respond`."""

    def __init__(self, path: str, endpoint: Handler, *, declared: Declared, **options: Any) -> None:
        hints = typing.get_type_hints(endpoint, include_extras=True)
        signature = inspect.signature(endpoint)
        if not inspect.iscoroutinefunction(endpoint):
            raise SignatureUnsupported(f"{endpoint.__name__}: handlers are `async def`")
        self.handler = endpoint
        self.declared = declared
        self._unit: str | None = None
        self.writes = self._sessionless = False
        kept = []
        for name, parameter in signature.parameters.items():
            hint = hints.get(name)
            if hint in (ReadUnit, WriteUnit, SessionlessUnit):
                self._unit, self.writes, self._sessionless = name, hint is WriteUnit, hint is SessionlessUnit
            else:
                kept.append(parameter.replace(annotation=hints.get(name, parameter.annotation)))
        # FastAPI sees the signature without the unit: that one comes from us.
        described = _described(endpoint, signature.replace(parameters=kept, return_annotation=hints.get("return")))
        super().__init__(path, described, **options)
        if self.dependant.dependencies:
            raise SignatureUnsupported(f"{endpoint.__name__}: what it needs comes from its unit, not from Depends")
        self.method = min(self.methods or {"GET"})
        if self.method in ("GET", "HEAD") or declared.reads:
            if self.writes:
                raise SignatureUnsupported(f"{endpoint.__name__}: {self.method} reads: take a ReadUnit")
        elif self._unit is not None and not self.writes and not self._sessionless:
            raise SignatureUnsupported(
                f"{endpoint.__name__}: {self.method} changes: take a WriteUnit, or declare reads=True"
            )
        self.parameters = Parameters(self.dependant, endpoint.__name__)
        self.body = Body(self.dependant, endpoint.__name__)
        self._success = self.status_code or 200
        self._has_body = self.body.parameter is not None or self.method not in ("GET", "HEAD")

    async def respond(self, runtime: "Runtime", incoming: Incoming, path: Mapping[str, str]) -> Answer | Stream:
        """The answer; a write is committed when it is returned. Raises Refusal, and whatever else went wrong."""
        declared = self.declared
        incoming.refuse_repeated()
        async with asyncio.timeout(declared.limits.timeout_seconds) as timer:
            now = runtime.clock.now()
            principal: Principal | None = None
            directory: Directory | None = None
            token: str | None = None
            if declared.access != "public":
                token = incoming.token
                if token is None:
                    raise TokenMissing
                principal, directory = await runtime.security.admit(token, runtime.database, now)
                if declared.permission is not None and not principal.allows(declared.permission):
                    raise missing(declared.permission)
            awaited = incoming.headers.get(b"consistency-token")
            if awaited is not None and runtime.consistency is not None:
                await runtime.consistency.wait(awaited.decode("latin-1"), runtime.database)
                if token is not None:
                    # What was awaited may be people: the directory in memory is looked at again, too.
                    principal, directory = await runtime.security.admit(token, runtime.database, now, fresh=True)
            # Before a connection is taken: a slow sender must not hold one.
            raw = await incoming.body(declared.limits.body_bytes) if self._has_body else b""
            if not self.writes:
                arguments = self._arguments(incoming, path, raw)
                return await self._read(runtime, incoming, now, principal, directory, arguments)
            context = self._context(incoming, principal, now)
            key = self._key(incoming, principal, raw, runtime.settings.key)
            try:
                arguments = self._arguments(incoming, path, raw)
            except Refusal as refused:
                # Under a key the first answer comes again, even from a version of this code that refuses the request.
                if key is None:
                    raise
                arguments = {_REFUSED: refused}
            unit_of = partial(WriteUnit, runtime, incoming, self.unique_id, now, principal, directory)
            return await self._write(runtime, context, unit_of, arguments, key, timer)

    def _arguments(self, incoming: Incoming, path: Mapping[str, str], raw: bytes) -> dict[str, Any]:
        arguments = self.parameters.read(path, incoming)
        if self.body.parameter is not None:
            arguments[self.body.parameter] = self.body.read(raw, incoming.header(b"content-type"))
        elif raw and raw.strip() != b"{}":
            raise Invalid("This operation takes no body", errors=[FieldError("", "field.unknown", "No body is taken")])
        return arguments

    async def _read(
        self,
        runtime: "Runtime",
        incoming: Incoming,
        now: dt.datetime,
        principal: Principal | None,
        directory: Directory | None,
        arguments: dict[str, Any],
    ) -> Answer | Stream:
        if self._unit is None:
            return _until(answer_of(await self.handler(**arguments), self._success), principal, now)
        if self._sessionless:
            arguments[self._unit] = SessionlessUnit(runtime, incoming, self.unique_id, now, principal, directory, None)
            return _until(answer_of(await self.handler(**arguments), self._success), principal, now)
        database = runtime.database
        async with database.snapshot() if self.declared.snapshot else database.read() as session:
            arguments[self._unit] = ReadUnit(runtime, incoming, self.unique_id, now, principal, directory, session)
            return _until(answer_of(await self.handler(**arguments), self._success), principal, now)

    async def _write(
        self,
        runtime: "Runtime",
        context: WriteContext,
        unit_of: Callable[[WriteSession], WriteUnit],
        arguments: dict[str, Any],
        key: Key | None,
        timer: asyncio.Timeout,
    ) -> Answer | Stream:
        committing = False
        try:
            async with runtime.database.write(context) as session:
                answer = await self._carry_out(runtime, session, unit_of, arguments, key)
                # A commit is not interrupted by the operation's time limit: its outcome would be unknown.
                timer.reschedule(None)
                committing = True
        except _Undone as undone:
            return undone.answer
        except Exception as error:
            if committing and (is_unreachable(error) or isinstance(error, TimeoutError)):
                raise OutcomeUnknown from error
            raise
        return answer

    async def _carry_out(
        self,
        runtime: "Runtime",
        session: WriteSession,
        unit_of: Callable[[WriteSession], WriteUnit],
        arguments: dict[str, Any],
        key: Key | None,
    ) -> Answer | Stream:
        """What happens inside the transaction."""
        if key is not None:
            earlier = await key.earlier(session)
            if earlier is not None:
                return earlier
        if _REFUSED in arguments:
            raise arguments[_REFUSED]
        assert self._unit is not None  # noqa: S101  (writes is only true with a unit)
        arguments[self._unit] = unit_of(session)
        answer = answer_of(await self.handler(**arguments), self._success)
        if isinstance(answer, Stream):
            if key is not None:
                raise RuntimeError(f"{self.unique_id}: a stream can't be kept for an Idempotency-Key")
            return answer
        if answer.status >= 300:
            # Whoever answers "no" instead of raising it has changed nothing either.
            raise _Undone(answer)
        if runtime.consistency is not None:
            token = runtime.consistency.token(session)
            if token is not None:
                answer.headers["consistency-token"] = token
        if key is not None:
            await key.keep(session, answer, session.context.now)
        return answer

    def _key(self, incoming: Incoming, principal: Principal | None, raw: bytes, secret: bytes) -> Key | None:
        """The Idempotency-Key of a write by somebody known; None without one."""
        given = incoming.headers.get(b"idempotency-key")
        if given is None or principal is None:
            return None
        target = f"{incoming.path}?{incoming.query.decode('latin-1')}"
        caller = f"{principal.user_id}/{principal.client_id}"
        return Key(caller, given.decode("latin-1"), incoming.method, target, raw, secret=secret)

    def _context(self, incoming: Incoming, principal: Principal | None, now: dt.datetime) -> WriteContext:
        if principal is None:
            return WriteContext(now=now, channel="api", address=incoming.address, traceparent=incoming.traceparent)
        return WriteContext(
            now=now,
            actor_kind="user",
            actor_id=principal.user_id,
            channel="api",
            address=incoming.address,
            client=principal.client_id,
            traceparent=incoming.traceparent,
        )


def _until(answer: Answer | Stream, principal: Principal | None, now: dt.datetime) -> Answer | Stream:
    """A stream ends with the token that opened it."""
    if isinstance(answer, Stream) and principal is not None:
        answer.seconds = max(0.0, (principal.expires_at - now).total_seconds())
    return answer


def _described(endpoint: Handler, signature: inspect.Signature) -> Handler:
    """A stand-in with the handler's name and documentation and the signature that the outside sees."""

    async def described() -> None:
        raise RuntimeError("requests run through ServiceRoute.respond")

    described.__name__ = endpoint.__name__
    described.__qualname__ = endpoint.__qualname__
    described.__doc__ = endpoint.__doc__
    described.__module__ = endpoint.__module__
    described.__signature__ = signature  # type: ignore[attr-defined]
    return described

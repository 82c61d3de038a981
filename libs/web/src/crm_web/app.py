"""The API of a service as an ASGI application: `create_app(SERVICE, settings)`."""

import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import structlog
from fastapi import FastAPI

from crm_database import Database
from crm_kernel import Clock, CompanyCalendar, SystemClock
from crm_web import logs
from crm_web.answers import Answer, Stream, to_json
from crm_web.consistency import ConsistencyTokens
from crm_web.cursors import Cursors
from crm_web.dispatch import Dispatch
from crm_web.health import LIVE_PATH, READY_PATH, Health, Probe, migrations
from crm_web.incoming import ClientLeft, Incoming, Receive, Scope, Send
from crm_web.openapi import service_document
from crm_web.problems import answer_failure
from crm_web.runtime import Runtime
from crm_web.security import Security, directory_security
from crm_web.sending import send_answer, send_stream
from crm_web.service import Service
from crm_web.settings import Settings
from crm_web.telemetry import Telemetry
from crm_web.working import consistency_tokens, find_archive

_log = structlog.get_logger("crm_web")


class Application(FastAPI):
    """A FastAPI application whose requests go through one dispatcher.

    FastAPI declares and documents the operations; between the server and ServiceRoute.respond there is nothing else: no
    middleware that could hold a connection when a request is cancelled, no second look for the route.
    """

    def __init__(self, service: Service, settings: Settings, **options: Any) -> None:
        super().__init__(title=service.title, version="1", openapi_url=None, docs_url=None, redoc_url=None, **options)
        self.service = service
        self.settings = settings
        self.runtime: Runtime | None = None
        self.health: Health | None = None
        self.telemetry: Telemetry | None = None
        # Straight into the list: an included router would be a second tree to search, and is one for the documents.
        self.router.routes.extend(service.routes)
        self._dispatch = Dispatch(service.routes)

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI 3.1 document of this service."""
        if not self.openapi_schema:
            self.openapi_schema = service_document(self.service)
        return self.openapi_schema

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection of the server. Instead of FastAPI's own, which brings its middleware and its own spans."""
        if scope["type"] == "http":
            await self._request(scope, receive, send)
            return
        # Starlette hands the application to its lifespan by this.
        scope["app"] = self
        await self.router(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        incoming = Incoming(scope, receive)
        logs.current_trace.set(incoming.trace_id)
        operation, span, status = "unknown", None, 0
        try:
            answer: Answer | Stream | None
            try:
                answer = await self._own(incoming)
                if answer is None:
                    route, path = self._dispatch.find(incoming.method, incoming.path)
                    operation = route.unique_id
                    if self.telemetry is not None:
                        span = self.telemetry.begin(incoming, operation, route.path)
                    if self.runtime is None:
                        raise RuntimeError("the application was not started: its lifespan did not run")
                    answer = await route.respond(self.runtime, incoming, path)
            except ClientLeft:
                return
            except Exception as error:
                answer = answer_failure(
                    error, trace_id=incoming.trace_id, accept_language=incoming.language, operation=operation
                )
            status = answer.status
            if isinstance(answer, Stream):
                await send_stream(answer, receive, send, answer.seconds)
            else:
                await send_answer(answer, send)
        except BaseException:
            # Cancelled, or a stream that broke: nobody got a whole answer.
            status = 0
            raise
        finally:
            seconds = time.perf_counter() - started
            if span is not None:
                span.end(status, seconds)
            self._note(incoming, operation, status, seconds)

    async def _own(self, incoming: Incoming) -> Answer | None:
        """What every service answers itself, beside `/api`; the gateway lets nobody there."""
        if incoming.method not in ("GET", "HEAD"):
            return None
        if incoming.path == LIVE_PATH:
            return self.health.livez() if self.health else Answer(503, to_json({"status": "starting"}))
        if incoming.path == READY_PATH:
            return await self.health.readyz() if self.health else Answer(503, to_json({"status": "starting"}))
        if incoming.path == "/openapi.json":
            return Answer(200, to_json(self.openapi()))
        return None

    def _note(self, incoming: Incoming, operation: str, status: int, seconds: float) -> None:
        """One line for failures and slow requests, and for a sample of the rest."""
        sample = self.settings.access_log_sample
        slow = seconds > self.settings.slow_request_seconds
        if status >= 500 or slow or (sample and random.random() < sample):  # noqa: S311  (a sample, no secret)
            _log.info(
                "request",
                operation=operation,
                method=incoming.method,
                path=incoming.path,
                status=status,
                duration_ms=round(seconds * 1000, 1),
                trace_id=incoming.trace_id,
            )


def create_app(
    service: Service,
    settings: Settings,
    *,
    security: Security | None = None,
    consistency: ConsistencyTokens | None = None,
    clock: Clock | None = None,
    database: Database | None = None,
    telemetry: Telemetry | None = None,
    alive: Sequence[Probe] = (),
    warnings: Sequence[Probe] = (),
) -> Application:
    """The application; its lifespan opens what it needs. Parts given here are used as they are, and not closed.

    alive, warnings: probes of a worker in the same process, for `/livez` and `/readyz`.

    Start-up order is free: the database may come later; until then `/readyz` says no and requests get 503.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        assert isinstance(app, Application)  # noqa: S101  (it is the one below)
        async with AsyncExitStack() as stack:
            opened = database
            if opened is None:
                opened = await Database.open(settings.dsn, name=f"{service.name}-app", settings=settings.pool)
                stack.push_async_callback(opened.close)
            find_archive(settings, opened)
            app.telemetry = telemetry
            chosen_clock = clock or SystemClock()
            runtime = Runtime(
                settings=settings,
                database=opened,
                security=security or directory_security(settings, opened, chosen_clock),
                cursors=Cursors(settings.key),
                calendar=CompanyCalendar(settings.time_zone),
                consistency=consistency or consistency_tokens(service, settings, chosen_clock),
                clock=chosen_clock,
            )
            app.runtime = runtime
            if service.opened is not None:
                runtime.own = await stack.enter_async_context(service.opened(runtime))
            app.health = Health(
                opened,
                *migrations(service.name),
                alive=list(alive),
                warnings=list(warnings),
                people=lambda: runtime.security.health(runtime.database, runtime.clock.now()),
            )
            yield
            app.runtime = app.health = None

    return Application(service, settings, lifespan=lifespan)

"""The process of a service: its API, its worker, or both in one event loop.

    python -m crm_web.run customers                 both
    python -m crm_web.run customers --app           the API alone
    python -m crm_web.run customers --worker        relay, consumers and schedules alone

Without a name it runs the one that CRM_SERVICE names, as in a container. Wrong settings end it with status 2 and a line for each.

SIGTERM and SIGINT drain: no new requests, those under way are finished, the worker ends its batch. A part that fails, or a process
that stands still for 30 s (crm_web.liveness), ends with status 1: whoever started it starts it again.
"""

import argparse
import asyncio
import contextlib
import faulthandler
import os
import signal
import sys
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import structlog
import uvicorn
import uvloop

from crm_authz import keeper_of
from crm_database import Database
from crm_events import notify_others
from crm_web import logs
from crm_web.app import Application, create_app
from crm_web.health import Probe
from crm_web.liveness import LIFELESS_SECONDS, look_after
from crm_web.security import clock_complaint
from crm_web.service import Service, load_service
from crm_web.settings import Settings, SettingsInvalid, misspelt
from crm_web.telemetry import Telemetry
from crm_web.working import hear_itself, make_worker, owns_directory

#: What a part may take beyond its own drain before it is cancelled; seconds.
_LAST_SECONDS = 5.0
#: What closing may take after that, before the process ends without it.
_CLOSING_SECONDS = 15.0

_log = structlog.get_logger("crm_web")


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: it would end the process by the signal, in the middle of the worker's drain."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def server(app: Application, settings: Settings) -> uvicorn.Server:
    """The HTTP server of an application. Its own access log and headers are off: the gateway's and ours are there."""
    return _Server(
        uvicorn.Config(
            app,
            host=settings.http_host,
            port=settings.http_port,
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="on",
            access_log=False,
            log_config=None,
            server_header=False,
            # Only the gateway's own header says where a request came from (crm_web.incoming).
            proxy_headers=False,
            timeout_graceful_shutdown=int(settings.drain_seconds),
        )
    )


async def serve(
    service: Service,
    settings: Settings,
    *,
    app: bool = True,
    worker: bool = False,
    lifeless_seconds: float = LIFELESS_SECONDS,
) -> int:
    """Run the parts until a signal comes or one of them fails; the exit status.

    lifeless_seconds: how long the process may stand still before that counts as failing.
    A worker alone serves `/livez` and `/readyz` on the same port.
    """
    logs.configure(service.name, settings.log_level)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        # See look_after: the end is reached when everything is closed.
        stack.callback(faulthandler.cancel_dump_traceback_later)
        telemetry = Telemetry.start(service.name)
        if telemetry is not None:
            stack.callback(telemetry.close)
        database = await Database.open(settings.dsn, name=f"{service.name}-service", settings=settings.pool)
        stack.push_async_callback(database.close)
        parts: dict[str, Coroutine[Any, Any, None]] = {}
        alive: list[Probe] = []
        warnings: list[Probe] = []
        if app:
            # The requests' own keeper, which measures from here on.
            alive.append(partial(clock_complaint, keeper_of(database)))
        if worker:
            working = make_worker(service, settings, database)
            parts["worker"] = working.run(stop)
            alive.append(working.alive)
            warnings.append(working.warning)
        else:
            # Another process has the relay: it is told of commits here.
            parts["notifier"] = _until(stop, notify_others(database))
        if owns_directory(service):
            parts["hearing"] = hear_itself(database, stop)
        answering = service if app else replace(service, routers=())
        application = create_app(
            answering, settings, database=database, telemetry=telemetry, alive=alive, warnings=warnings
        )
        parts["http"] = _serve_http(server(application, settings), stop)
        last = settings.drain_seconds + _LAST_SECONDS + _CLOSING_SECONDS
        parts["liveness"] = look_after(alive, stop, seconds=lifeless_seconds, last_seconds=last)
        _log.info("started", app=app, worker=worker, host=settings.http_host, port=settings.http_port)
        failed = await _together(parts, stop, settings.drain_seconds)
        _log.info("stopped", failed=failed)
    return 1 if failed else 0


async def _together(parts: Mapping[str, Coroutine[Any, Any, None]], stop: asyncio.Event, drain: float) -> bool:
    """Run the parts until `stop`, then let them drain; a part that ends before that stops all. Whether anything failed."""
    tasks = {asyncio.create_task(part, name=name) for name, part in parts.items()}
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({stopping, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    failed = not stop.is_set()
    stop.set()
    _, late = await asyncio.wait(tasks, timeout=drain + _LAST_SECONDS)
    for task in late:
        _log.error("part did not end in time", part=task.get_name())
        task.cancel()
    for task, result in zip(tasks, await asyncio.gather(*tasks, return_exceptions=True), strict=True):
        if isinstance(result, BaseException):
            failed = True
            _log.error("part failed", part=task.get_name(), exc_info=result)
    return failed


async def _serve_http(http: uvicorn.Server, stop: asyncio.Event) -> None:
    async def end() -> None:
        await stop.wait()
        http.should_exit = True

    ending = asyncio.create_task(end())
    try:
        await http.serve()
    except SystemExit as left:
        # uvicorn leaves this way when its port is taken; the reason is in its log.
        raise RuntimeError("the HTTP server did not start") from left
    finally:
        ending.cancel()


async def _until(stop: asyncio.Event, endless: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(endless)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if task.done():
        await task
    task.cancel()


def run(name: str, *, app: bool = True, worker: bool = True) -> int:
    """Run a service by its name, with the settings of the environment; the exit status."""
    service = load_service(name)
    try:
        settings = service.settings.load(service=name)
    except SettingsInvalid as error:
        sys.stderr.writelines(f"{name}: {problem}\n" for problem in error.problems)
        return 2
    sys.stderr.writelines(f"{name}: warning: {line}\n" for line in misspelt(service.settings, os.environ))
    if worker and not settings.kafka_bootstrap:
        sys.stderr.write(f"{name}: CRM_KAFKA_BOOTSTRAP is not set: a worker needs the bus\n")
        return 2
    return uvloop.run(serve(service, settings, app=app, worker=worker))


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m crm_web.run", description="Run a service.")
    parser.add_argument("service", nargs="?", help="its name, such as customers; CRM_SERVICE when left out")
    parser.add_argument("--app", action="store_true", help="only the API")
    parser.add_argument("--worker", action="store_true", help="only relay, consumers and schedules")
    chosen = parser.parse_args(arguments)
    name = chosen.service or os.environ.get("CRM_SERVICE")
    if not name:
        parser.error("which service? Name it, or set CRM_SERVICE")
    both = chosen.app == chosen.worker
    return run(name, app=both or chosen.app, worker=both or chosen.worker)


if __name__ == "__main__":
    sys.exit(main())

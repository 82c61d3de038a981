"""What a service is made of: the one value that its `app.py` gives to the API and to the worker."""

import asyncio
import importlib
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from crm_database import Database
from crm_kernel import Clock
from crm_web.route import ServiceRoute
from crm_web.router import Router
from crm_web.settings import Settings

if TYPE_CHECKING:
    from crm_web.runtime import Runtime


class BackgroundJobs(Protocol):
    """What a worker needs of a service's jobs; crm_jobs.Jobs is it."""

    @property
    def kinds(self) -> Sequence[Any]: ...

    @property
    def schedules(self) -> Sequence[Any]: ...

    async def run(self, database: Database, clock: Clock, stop: asyncio.Event) -> None: ...


#: Something that goes on in a worker beside its consumers until the event is set, in any number of replicas at the same time.
Work = Callable[[Settings, Database, Clock, asyncio.Event], Coroutine[Any, Any, None]]


@dataclass(frozen=True)
class Service:
    """name: `customers`. title: for people. routers: the slices' operations. permissions: its part of the catalogue (ID-11).

    reactions, schedules: what its worker does (crm_events); jobs: and what it was asked for (crm_jobs); works: and what else goes
    on in it. settings: its own Settings class. opened: what the service holds for its life beyond the runtime's parts (a password
    hasher, a key); its value is `unit.runtime.own`.
    """

    name: str
    title: str
    routers: Sequence[Router] = ()
    permissions: Sequence[Any] = ()
    reactions: Sequence[Any] = ()
    schedules: Sequence[Any] = ()
    jobs: BackgroundJobs | None = None
    works: Sequence[Work] = ()
    settings: type[Settings] = Settings
    opened: "Callable[[Runtime], AbstractAsyncContextManager[Any]] | None" = None

    @property
    def routes(self) -> list[ServiceRoute]:
        """All operations."""
        return [route for router in self.routers for route in router.routes]


def load_service(name: str) -> Service:
    """The service that `crm_<name>.app` declares as SERVICE. Raises ImportError, or TypeError when there is none."""
    found = getattr(importlib.import_module(f"crm_{name}.app"), "SERVICE", None)
    if not isinstance(found, Service):
        raise TypeError(f"crm_{name}.app has no SERVICE")
    return found

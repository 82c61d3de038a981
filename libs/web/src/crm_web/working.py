"""What the worker of every service does besides the service's own: the directory's replica, identity's heartbeat, the purges."""

import asyncio
import datetime as dt
from collections.abc import Sequence
from functools import partial

import structlog

from crm_authz import DIRECTORY_TABLES, DIRECTORY_TOPICS, apply, forget_ended_sessions, heard
from crm_contracts.control import HEARTBEAT
from crm_database import DATABASE_ERRORS, Database, WriteContext
from crm_events import BusSettings, ConsistencyTokens, Held, Reaction, Schedule, Worker, every, groups_of
from crm_events.archive import Storage, keep_in
from crm_kernel import Clock, SystemClock
from crm_web.idempotency import PURGED_AT_ONCE, purge
from crm_web.service import Service, Work
from crm_web.settings import Settings, SettingsInvalid

#: Seconds between identity's notes to itself; a service is deaf after 30 s without one.
_SELF_HEARD = 5.0

_log = structlog.get_logger("crm_web")


def owns_directory(service: Service) -> bool:
    """Whether the service is identity, which writes its replica in its own transactions and needs no bus to hear itself."""
    return service.name == HEARTBEAT.producer


def all_reactions(service: Service) -> list[Reaction]:
    """The service's reactions, and the directory's."""
    return with_directory(service.name, service.reactions)


def with_directory(service: str, reactions: Sequence[Reaction]) -> list[Reaction]:
    """The reactions of a service of that name, and the directory's, which identity has none of."""
    if service == HEARTBEAT.producer:
        return list(reactions)
    # One at a time: a transaction that fails must not take another user's change with it.
    directory = Reaction(
        group=f"{service}.directory",
        topics=DIRECTORY_TOPICS,
        handle=apply,
        resync="state",
        # Nothing is forgotten: the processes of the API load what changed, and would not hear of a row that went.
        held=Held(DIRECTORY_TABLES),
    )
    return [directory, *reactions]


def consistency_tokens(service: Service, settings: Settings, clock: Clock) -> ConsistencyTokens:
    """The tokens of a service (PL-13)."""
    return ConsistencyTokens(service.name, settings.key, groups_of(all_reactions(service)), clock)


def make_worker(service: Service, settings: Settings, database: Database) -> Worker:
    """The worker of a service. Raises SettingsInvalid without a broker's address."""
    if not settings.kafka_bootstrap:
        raise SettingsInvalid("CRM_KAFKA_BOOTSTRAP is not set: a worker needs the bus")
    clock = SystemClock()
    find_archive(settings, database)

    async def note(sent_at: dt.datetime) -> None:
        async with database.write(WriteContext(now=clock.now())) as session:
            await heard(session, sent_at)

    jobs = service.jobs
    return Worker(
        BusSettings(
            service=service.name,
            bootstrap=settings.kafka_bootstrap,
            dsn=settings.dsn,
            idempotence=settings.kafka_idempotence,
            login=settings.kafka_login,
            expected_services=frozenset(settings.services.split(",")) if settings.services else None,
        ),
        database,
        reactions=all_reactions(service),
        schedules=[*_schedules(), *service.schedules, *(() if jobs is None else jobs.schedules)],
        works=[
            *(() if jobs is None else (lambda stop: jobs.run(database, clock, stop),)),
            *(partial(_at_work, work, settings, database, clock) for work in service.works),
        ],
        heard=None if owns_directory(service) else note,
        keep_months=settings.journal_keep_months,
    )


def find_archive(settings: Settings, database: Database) -> None:
    """Say where the archived months of the service's journal lie. Raises SettingsInvalid for an address that is none."""
    try:
        keep_in(database, Storage(settings.archive_url) if settings.archive_url else None)
    except ValueError as error:
        raise SettingsInvalid(f"CRM_ARCHIVE_URL: {error}") from error


async def _at_work(work: Work, settings: Settings, database: Database, clock: Clock, stop: asyncio.Event) -> None:
    await work(settings, database, clock, stop)


def _schedules() -> list[Schedule]:
    hourly = every(dt.timedelta(hours=1))
    return [
        Schedule("crm.idempotent_answers", hourly, _purge_answers),
        Schedule("crm.ended_sessions", hourly, _forget_sessions),
    ]


async def _purge_answers(database: Database, due: dt.datetime) -> None:
    while True:
        async with database.write(WriteContext(now=due)) as session:
            if await purge(session, due) < PURGED_AT_ONCE:
                return


async def _forget_sessions(database: Database, due: dt.datetime) -> None:
    async with database.write(WriteContext(now=due)) as session:
        await forget_ended_sessions(session)


async def hear_itself(database: Database, stop: asyncio.Event) -> None:
    """For identity: it is never deaf to itself, whether the bus is there or not. Until `stop`."""
    while not stop.is_set():
        try:
            async with database.write(WriteContext(now=dt.datetime.now(dt.UTC))) as session:
                await heard(session)
        except DATABASE_ERRORS as error:
            _log.warning("identity could not note that it hears itself", cause=repr(error))
        try:
            async with asyncio.timeout(_SELF_HEARD):
                await stop.wait()
        except TimeoutError:
            continue

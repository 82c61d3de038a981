"""The worker of the analytics service: what it does with events, and when. The directory's reactions come with crm_web.run."""

import asyncio
import datetime as dt
from typing import cast

from crm_analytics.access.catching_up import catch_up
from crm_analytics.facts import reactions as facts
from crm_analytics.facts.rules import TOPICS
from crm_analytics.facts.store import FACT_OF_TOPIC
from crm_analytics.log import reactions as log
from crm_analytics.log.months import make_log_months
from crm_analytics.log.tables import event_log
from crm_analytics.settings import AnalyticsSettings
from crm_analytics.webhook.delivering import Deliverer, purge_deliveries
from crm_analytics.webhook.observing import Observing
from crm_analytics.webhook.sealing import Seal
from crm_analytics.webhook.sending import Sender
from crm_contracts import registry
from crm_database import Database
from crm_events import Held, Reaction, Schedule, every
from crm_kernel import Clock
from crm_web import Settings

REACTIONS = (
    Reaction(
        group=log.GROUP,
        topics=tuple(topic.name for topic in registry.consumed_by("analytics")),
        handle_batch=log.keep,
        as_recorded=True,
        per_transaction=500,
        resync="journal",
        refill=log.refill,
        held=Held({}, log=event_log),
    ),
    Reaction(
        group=facts.GROUP,
        topics=TOPICS,
        handle_batch=facts.apply,
        per_transaction=500,
        resync="journal",
        refill=facts.refill,
        # What facts lack, the log may have: reconcile names it, and a rebuild or a resync mends it. Looking at each event costs more.
        held=Held(FACT_OF_TOPIC, notices=False),
    ),
)

SCHEDULES = (
    Schedule("analytics.log_months", every(dt.timedelta(hours=6)), make_log_months),
    Schedule("analytics.webhook_deliveries", every(dt.timedelta(hours=1)), purge_deliveries),
)


async def _know_owners(_: Settings, database: Database, clock: Clock, stop: asyncio.Event) -> None:
    await catch_up(database, clock, stop)


async def _deliver(settings: Settings, database: Database, clock: Clock, stop: asyncio.Event) -> None:
    own = cast(AnalyticsSettings, settings)
    # A side effect, not a reaction: neither a rebuild nor a resync sends anything again.
    await Deliverer(database, Seal(own.key), Sender(own.allowed_networks), clock).run(stop)


async def _observe(_: Settings, database: Database, __: Clock, stop: asyncio.Event) -> None:
    await Observing(database).run(stop)


WORKS = (_know_owners, _deliver, _observe)

"""The worker of the analytics service: what it does with events, and when. The directory's reactions come with crm_web.run."""

import datetime as dt

from crm_analytics.facts import reactions as facts
from crm_analytics.facts.rules import TOPICS
from crm_analytics.facts.store import FACT_OF_TOPIC
from crm_analytics.log import reactions as log
from crm_analytics.log.months import make_log_months
from crm_analytics.log.tables import event_log
from crm_contracts import registry
from crm_events import Held, Reaction, Schedule, every

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

SCHEDULES = (Schedule("analytics.log_months", every(dt.timedelta(hours=6)), make_log_months),)

"""Journal, outbox, relay, consumer, dead letters, tokens: docs/architecture/events.md."""

from crm_events import broken_connections as broken_connections  # Mends the client library; nobody calls it.
from crm_events import topics
from crm_events.login import Login
from crm_events.reaction import ConsumerGroup, GroupsDisagree, HandleBatch, Held, Reaction, groups_of
from crm_events.record import EventTooLarge, NotEmitted, NotHeld, Step, changes_between, record
from crm_events.schedule import Schedule, every
from crm_events.settings import BusSettings
from crm_events.token import ConsistencyTokens, NotAppliedYet, TokenInvalid
from crm_events.wake import notify_others
from crm_events.worker import Worker

__all__ = [
    "BusSettings",
    "ConsistencyTokens",
    "ConsumerGroup",
    "EventTooLarge",
    "GroupsDisagree",
    "HandleBatch",
    "Held",
    "Login",
    "NotAppliedYet",
    "NotEmitted",
    "NotHeld",
    "Reaction",
    "Schedule",
    "Step",
    "TokenInvalid",
    "Worker",
    "changes_between",
    "every",
    "groups_of",
    "notify_others",
    "record",
    "topics",
]

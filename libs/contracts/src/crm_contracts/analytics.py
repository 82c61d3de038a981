"""Events of the analytics service: webhooks, which carry events to systems outside, and what its operators did."""

import datetime as dt
import uuid
from typing import Literal

from pydantic import Field

from crm_contracts.events import Event, Part
from crm_contracts.examples import owned
from crm_contracts.operations import operation_events
from crm_contracts.registry import Topic, registry

ANALYTICS_OPERATIONS = operation_events("analytics")

WEBHOOK_TOPIC = registry.topic(
    Topic(
        name="crm.analytics.webhook",
        producer="analytics",
        consumers=("analytics",),
        description="Webhooks: who has events sent to which host, and when that ended.",
        partitions=1,
    )
)


class WebhookState(Part):
    """A webhook: whose it is and where it leads. Its secret is in no event, and neither is its address: paths often hold keys.

    types: event types, or patterns such as `crm.sales.opportunity.*`. reason: why it was disabled: `owner_inactive`, `not_allowed`,
    `receiver_gone`, `receiver_failing` or `secret_lost`; more may come. status_since: since when it has this status. secret_since:
    since when its newest secret is in use.
    """

    owner_id: uuid.UUID
    scheme: str
    host: str
    types: list[str] = Field(default_factory=list)
    description: str | None = None
    status: Literal["active", "paused", "disabled"]
    reason: str | None = None
    status_since: dt.datetime
    secret_since: dt.datetime
    deleted: bool = False


_webhook = {
    "owner_id": "01900000-0000-7000-8000-000000000002",
    "scheme": "https",
    "host": "receiver.example",
    "types": ["crm.sales.opportunity.*"],
    "description": "Won deals for the ERP",
    "status": "active",
    "reason": None,
    "status_since": "2026-03-01T09:00:00Z",
    "secret_since": "2026-03-01T09:00:00Z",
    "deleted": False,
}


@registry.event("crm.analytics.webhook.created.v1", WEBHOOK_TOPIC, example=owned(_webhook))
class WebhookCreated(Event[WebhookState]):
    """A webhook was made: from now on its owner's events go to its host."""


@registry.event(
    "crm.analytics.webhook.changed.v1",
    WEBHOOK_TOPIC,
    example=owned({**_webhook, "status": "paused"}, version=2, changes={"status": {"old": "active", "new": "paused"}}),
)
class WebhookChanged(Event[WebhookState]):
    """A webhook was changed, paused, made active again, got a new secret, or was asked to send again; `changes` says which.

    A changed address shows as `url` without values; `replayed_from` is the position in the log that it sends again from.
    """


@registry.event(
    "crm.analytics.webhook.disabled.v1",
    WEBHOOK_TOPIC,
    example=owned(
        {**_webhook, "status": "disabled", "reason": "receiver_failing"},
        version=3,
        changes={"status": {"old": "active", "new": "disabled"}},
    ),
)
class WebhookDisabled(Event[WebhookState]):
    """The product stopped sending: `state.reason` says why. What was not delivered is kept."""


@registry.event(
    "crm.analytics.webhook.deleted.v1", WEBHOOK_TOPIC, example=owned({**_webhook, "deleted": True}, version=4)
)
class WebhookDeleted(Event[WebhookState]):
    """A webhook was removed for good; nothing more is sent to it."""

"""A receiver, a representative who may have webhooks, and the worker's part."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from services.analytics.tests.history import Record
from services.analytics.tests.stories import SENDING, Story, employ
from services.analytics.tests.webhook.receiver import Receiver, receiving

from crm_analytics.webhook.delivering import Deliverer
from crm_analytics.webhook.sealing import Seal
from crm_analytics.webhook.sending import Sender
from crm_testing.service import SIGNING_KEY, Caller, Running

DEALS = "crm.sales.opportunity.*"


@dataclass
class World:
    """The representative `rep` with a webhook to the receiver, and deals that things happen with."""

    service: Running
    story: Story
    receiver: Receiver
    webhook: dict[str, Any]
    heard: int = 0
    pipeline: Record = field(init=False)

    def __post_init__(self) -> None:
        self.pipeline = self.story.pipeline("Sales", "First", "Second")

    @property
    def rep(self) -> Caller:
        """The representative, with a token of this moment."""
        return self.service.caller(self.service.people.rep, rights=SENDING)

    @property
    def path(self) -> str:
        return f"/webhooks/{self.webhook['id']}"

    @property
    def id(self) -> uuid.UUID:
        return uuid.UUID(self.webhook["id"])

    def deliverer(self, **options: Any) -> Deliverer:
        """A worker's part of its own, as another process has one."""
        from crm_analytics.settings import AnalyticsSettings

        settings = AnalyticsSettings.load(
            {},
            database_url=self.service.dsn,
            public_url="https://crm.example",
            signing_key=SIGNING_KEY,
            webhook_allowed_networks="127.0.0.0/8",
        )
        sender = Sender(settings.allowed_networks, **options)
        return Deliverer(self.service.database, Seal(settings.key), sender, self.service.clock)

    def deal(self, owner: uuid.UUID | None = None) -> Record:
        """A new deal, of the representative's unless said otherwise."""
        return self.story.deal(owner or self.service.people.rep.id, self.pipeline)

    async def hear(self) -> None:
        """The service hears what happened since."""
        told, self.heard = self.story.told[self.heard :], len(self.story.told)
        await self.service.hear(*told)

    async def work(self) -> int:
        """Everything that is due is sent."""
        return await self.deliverer().run_due()

    async def read(self) -> Any:
        return await self.rep.done("GET", self.path)

    async def deliveries(self, **params: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.rep.done("GET", f"{self.path}/deliveries", params=params))["items"]
        return found


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as found:
        yield found


@pytest.fixture
async def world(service: Running, receiver: Receiver) -> World:
    await employ(service, service.people.rep, SENDING.permissions, SENDING.scopes)
    rep = service.caller(service.people.rep, rights=SENDING)
    made = await rep.done("POST", "/webhooks", json={"url": receiver.url, "types": [DEALS]})
    return World(service, Story(service.clock), receiver, made)

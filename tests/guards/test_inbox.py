"""The inbox: under a new numbering (rule 12) every number begins anew, and only it knows what was applied already."""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from crm_contracts import Envelope
from crm_contracts.customers import CUSTOMER_TOPIC
from crm_database import WriteContext, WriteSession
from crm_events import Reaction, groups_of
from crm_events.consumer import store
from crm_events.consumer.apply import Applier
from crm_events.consumer.store import Place
from crm_kernel import new_id
from crm_sales.app import SERVICE
from crm_testing.servers import MakeDatabase, SharedPostgres
from crm_testing.service import NOW, Running, migrated, running


@pytest.fixture
def sales_dsn(make_database: MakeDatabase, postgres_server: SharedPostgres) -> str:
    return make_database(migrated("sales", postgres_server))


async def sent_again_under_a_new_numbering(service: Running) -> list[uuid.UUID]:
    """Three events, and the same three once more as a restored producer sends them; answers what the reaction was given."""
    given: list[uuid.UUID] = []

    async def note(session: WriteSession, envelope: Envelope) -> None:
        given.append(envelope.id)

    topic = CUSTOMER_TOPIC.name
    (group,) = groups_of([Reaction(group="sales.guard", topics=(topic,), handle=note)])
    place = Place(group.name, topic, 0)
    async with service.database.write(WriteContext(now=NOW)) as session:
        await store.begin(session, place)
    applier = Applier(group, service.database, service.clock, asyncio.Event())
    first = [
        Envelope(new_id(), f"{topic}.changed.v1", "/crm/customers", new_id(), NOW, b"{}", number, "a", topic=topic)
        for number in (1, 2, 3)
    ]
    await applier.settle(place, first)
    assert given == [event.id for event in first]
    await applier.settle(place, [replace(event, stream="b") for event in first])
    return given


@pytest.mark.requirement("PL-13")
async def test_what_was_applied_under_an_earlier_numbering_is_not_applied_again(sales_dsn: str) -> None:
    async with running(SERVICE, sales_dsn) as service:
        assert len(await sent_again_under_a_new_numbering(service)) == 3


async def test_guard_without_the_inbox_it_is_applied_twice(sales_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def all_fresh(session: Any, place: Any, events: Sequence[Envelope]) -> set[uuid.UUID]:
        return {event.id for event in events}

    monkeypatch.setattr(store, "into_inbox", all_fresh)
    async with running(SERVICE, sales_dsn) as service:
        assert len(await sent_again_under_a_new_numbering(service)) == 6

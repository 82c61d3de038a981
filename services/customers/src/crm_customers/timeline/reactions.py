"""The events of all services become entries of timelines."""

import uuid
from collections.abc import Sequence

from crm_contracts import Envelope
from crm_customers.timeline import store
from crm_customers.timeline.facts import entry_of
from crm_customers.timeline.sources_store import BY_TOPIC, CONTRACT, PAYMENT, Source
from crm_database import WriteSession
from crm_events import Held, Reaction


async def keep(session: WriteSession, envelopes: Sequence[Envelope]) -> None:
    """Take a batch of events of any of the topics into the timelines."""
    by_topic: dict[str, list[Envelope]] = {}
    for envelope in envelopes:
        by_topic.setdefault(envelope.topic, []).append(envelope)
    for topic, of_topic in sorted(by_topic.items()):
        await _keep(session, BY_TOPIC[topic], of_topic)


async def _keep(session: WriteSession, source: Source, envelopes: Sequence[Envelope]) -> None:
    if source in (CONTRACT, PAYMENT):
        # Before anything of either is read or written.
        await store.payments_meet_contracts(session)
    if source.replica is None:
        # Our own records stand in their tables, as they are now, before their events come round.
        changed = {envelope.subject for envelope in envelopes}
    else:
        changed = {one.id for one in await source.replica.keep(session, envelopes)}
    entries = [entry for envelope in envelopes if (entry := entry_of(envelope)) is not None]
    await store.enter(session, source, entries)
    await store.bring_along(session, source, changed)
    if source is CONTRACT:
        await store.bring_payments_along(session, changed)


async def forget(session: WriteSession, topic: str, ids: Sequence[uuid.UUID]) -> None:
    """Records that their owner doesn't know leave the timelines."""
    source = BY_TOPIC[topic]
    if source.replica is not None:
        await source.replica.forget(session, ids)
        await store.leave(session, source, ids)


REACTIONS = (
    Reaction(
        group="customers.timeline",
        topics=tuple(sorted(BY_TOPIC)),
        handle_batch=keep,
        # Each event may be an entry.
        resync="journal",
        held=Held({topic: s.replica.table for topic, s in BY_TOPIC.items() if s.replica is not None}, forget=forget),
    ),
)

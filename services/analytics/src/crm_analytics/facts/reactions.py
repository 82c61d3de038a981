"""Events of sales and customers become facts."""

from collections.abc import Sequence

from crm_analytics.facts import store
from crm_analytics.facts.rules import collect
from crm_analytics.progress import store as progress
from crm_contracts import Envelope
from crm_database import WriteSession

GROUP = "analytics.facts"


async def apply(session: WriteSession, envelopes: Sequence[Envelope]) -> None:
    """Take a batch into the facts. Raises Unfit, or a database error, when an event doesn't fit its contract."""
    await store.write(session, collect(envelopes))
    await progress.note(session, "facts", envelopes)


async def refill(session: WriteSession, envelopes: Sequence[Envelope]) -> None:
    """The same for what is told again; how far the consumer is, it doesn't say."""
    await store.write(session, collect(envelopes))

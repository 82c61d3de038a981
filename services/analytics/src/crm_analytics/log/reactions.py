"""Every event of the product goes into the log."""

from collections.abc import Sequence

from crm_analytics.access import store as access
from crm_analytics.log import store
from crm_analytics.progress import store as progress
from crm_contracts import Envelope
from crm_database import WriteSession

GROUP = "analytics.log"


async def keep(session: WriteSession, envelopes: Sequence[Envelope]) -> None:
    """Put a batch into the log, and note whose its records are now."""
    await progress.note(session, "log", envelopes)
    await access.keep(session, envelopes)
    before = await access.lock_log(session)
    await store.append(session, envelopes)
    await access.follow_log(session, before)


async def refill(session: WriteSession, envelopes: Sequence[Envelope]) -> None:
    """Put what is told again into the log, where it is lacking. How far the consumer is, it doesn't say."""
    await access.keep(session, envelopes)
    before = await access.lock_log(session)
    await store.refill(session, envelopes)
    await access.follow_log(session, before)

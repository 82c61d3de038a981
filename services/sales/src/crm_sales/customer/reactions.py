"""Customers' events become the replica."""

from collections.abc import Sequence

from crm_contracts import Envelope
from crm_contracts.customers import CUSTOMER_TOPIC
from crm_database import WriteSession
from crm_events import Reaction
from crm_sales.customer import store
from crm_sales.customer.rules import newest


async def keep_customers(session: WriteSession, envelopes: Sequence[Envelope]) -> None:
    """Take a batch into the replica, in whatever order and however often it comes."""
    await store.keep(session, newest(envelopes))


REACTIONS = (Reaction(group="sales.customers", topics=(CUSTOMER_TOPIC.name,), handle_batch=keep_customers),)

"""Tickets' events become the replica; activities about one that got another customer go along."""

from collections.abc import Sequence

from crm_contracts import Envelope
from crm_database import WriteSession
from crm_sales.activity.actions import keep_with_activities
from crm_sales.ticket.tables import TICKETS


async def heard(session: WriteSession, envelopes: Sequence[Envelope]) -> None:
    await keep_with_activities(session, TICKETS, envelopes)


REACTIONS = (TICKETS.reaction("sales.tickets", heard),)

"""Contacts' events become the replica; activities about one that got another customer go along."""

from collections.abc import Sequence

from crm_contracts import Envelope
from crm_database import WriteSession
from crm_sales.activity.actions import keep_with_activities
from crm_sales.contact.tables import CONTACTS


async def heard(session: WriteSession, envelopes: Sequence[Envelope]) -> None:
    await keep_with_activities(session, CONTACTS, envelopes)


REACTIONS = (CONTACTS.reaction("sales.contacts", heard),)

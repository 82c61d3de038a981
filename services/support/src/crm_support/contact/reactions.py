"""Contacts' events become the replica."""

from crm_support.contact.tables import CONTACTS

REACTIONS = (CONTACTS.reaction("support.contacts"),)

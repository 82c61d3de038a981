"""Contacts over HTTP: the standard operations."""

from crm_customers.contact.actions import CONTACT
from crm_records import record_router
from crm_web import Router

router: Router = record_router(CONTACT)

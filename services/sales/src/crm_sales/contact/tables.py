"""The replica of contacts: what is needed to say whether a caller may name one, and whose contact it is."""

from crm_contracts.customers import CONTACT_TOPIC
from crm_records.replica import Column, Replica
from crm_sales.metadata import metadata

CONTACTS = Replica(metadata, "customers.contact", CONTACT_TOPIC, (Column("customer_id", "id", required=True),))

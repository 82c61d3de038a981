"""The replica of contacts: whether a caller may name one, whose they are, how they are reached. Members stand in `record_member`."""

from crm_contracts.customers import CONTACT_TOPIC
from crm_records.replica import Column, Replica
from crm_support.metadata import metadata

CONTACTS = Replica(
    metadata,
    "customers.contact",
    CONTACT_TOPIC,
    (Column("customer_id", "id", required=True), Column("name", required=True), Column("email"), Column("phone")),
)

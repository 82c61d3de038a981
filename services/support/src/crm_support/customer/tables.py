"""The replica of customers: whether a caller may name one, and what it is called. Members stand in `record_member`."""

from crm_contracts.customers import CUSTOMER_TOPIC
from crm_records.replica import Column, Replica
from crm_support.metadata import metadata

CUSTOMERS = Replica(
    metadata,
    "customers.customer",
    CUSTOMER_TOPIC,
    (Column("number", required=True), Column("name", required=True)),
)

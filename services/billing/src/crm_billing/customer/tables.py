"""The replica of customers: what is needed to say whether a caller may name one, and what it is called."""

from crm_billing.metadata import metadata
from crm_contracts.customers import CUSTOMER_TOPIC
from crm_records.replica import Column, Replica

CUSTOMERS = Replica(
    metadata,
    "customers.customer",
    CUSTOMER_TOPIC,
    (Column("number", required=True), Column("name", required=True)),
)

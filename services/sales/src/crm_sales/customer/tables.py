"""The replica of customers: what is needed to say whether a caller may name one. Members stand in `record_member`."""

from crm_contracts.customers import CUSTOMER_TOPIC
from crm_records.replica import Column, Replica
from crm_sales.metadata import metadata

CUSTOMERS = Replica(
    metadata,
    "customers.customer",
    CUSTOMER_TOPIC,
    (Column("number", required=True), Column("name", required=True), Column("lifecycle", required=True)),
)
customer_replica = CUSTOMERS.table

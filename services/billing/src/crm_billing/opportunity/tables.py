"""The replica of opportunities: what a contract takes over from a won one (SA-8)."""

from crm_billing.metadata import metadata
from crm_contracts.sales import OPPORTUNITY_TOPIC
from crm_records.replica import Column, Replica

OPPORTUNITIES = Replica(
    metadata,
    "sales.opportunity",
    OPPORTUNITY_TOPIC,
    (
        Column("number", required=True),
        Column("name", required=True),
        Column("outcome", required=True),
        Column("customer_id", "id"),
        Column("value", "money"),
        Column("lines", "json", required=True),
        Column("totals", "json"),
    ),
)

"""The replica of contracts: what is needed to say whether a caller may name one, and whose contract it is."""

from crm_contracts.billing import CONTRACT_TOPIC
from crm_records.replica import Column, Replica
from crm_sales.metadata import metadata

CONTRACTS = Replica(metadata, "billing.contract", CONTRACT_TOPIC, (Column("customer_id", "id", required=True),))

"""The replica of products: what lines need to know of them."""

from crm_billing.metadata import metadata
from crm_contracts.sales import PRODUCT_TOPIC
from crm_records.replica import Column, Replica

PRODUCTS = Replica(
    metadata,
    "sales.product",
    PRODUCT_TOPIC,
    (
        Column("code", required=True),
        Column("name", required=True),
        Column("list_price", "money"),
        Column("on_sale", "boolean", required=True),
    ),
    scoped=False,
)

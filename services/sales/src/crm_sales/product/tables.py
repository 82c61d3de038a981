"""The product table and its fields."""

import sqlalchemy as sa

from crm_records import Checkbox, LongText, MoneyField, Text, record_table
from crm_sales.metadata import metadata

PRODUCT_FIELDS = (
    Text("code", required=True, max_length=60, searchable=True, indexed=True, example="GTX-PRO"),
    Text("name", required=True, max_length=200, searchable=True, indexed=True, example="GTX Pro"),
    Text(
        "category",
        max_length=200,
        description='Its place in the category tree: parts separated by "/"; filter by `starts_with` for a whole branch',
        example="Hardware/Servers",
    ),
    Text("unit", max_length=40, example="piece"),
    LongText("description"),
    MoneyField("list_price", minimum=0),
    Checkbox("on_sale", default=True, description="What is off sale can't be put on new lines"),
)

product = record_table(
    metadata,
    "product",
    PRODUCT_FIELDS,
    scoped=False,
    extra=(
        sa.Index(
            "uq_product_code", sa.text("lower(code)"), unique=True, postgresql_where=sa.text("deleted_at IS NULL")
        ),
    ),
)

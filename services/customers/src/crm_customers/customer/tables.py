"""The customer table and its fields."""

import sqlalchemy as sa

from crm_customers.metadata import metadata
from crm_records import (
    Checkbox,
    DateTime,
    Email,
    Integer,
    LongText,
    MoneyField,
    Phone,
    Reference,
    Select,
    Text,
    Url,
    record_table,
)

CUSTOMER_FIELDS = (
    Text("name", required=True, max_length=200, searchable=True, indexed=True, example="주식회사 예시"),
    Select("lifecycle", ("prospect", "customer"), read_only=True, default="prospect"),
    Select("kind", ("company", "person"), default="company"),
    Text("grade", max_length=40, example="VVIP"),
    Text("group", max_length=80),
    Phone("phone", searchable=True, example="+82 2 1234 5678"),
    Phone("fax"),
    Email("email", searchable=True),
    Url("website"),
    LongText("address"),
    Text("country", max_length=80),
    Text("industry", max_length=80),
    Text("source", max_length=80),
    Reference("parent_id", to="customers.customer", description="The customer that this one belongs to (CU-20)"),
    Text("tax_id", max_length=40),
    Integer("employees", minimum=0),
    Integer("founded_year", minimum=1000, maximum=2999),
    MoneyField("annual_revenue", minimum=0),
    LongText("description"),
    Checkbox("locked", read_only=True, description="A locked customer is never recycled (CU-13)"),
    DateTime("dealt_at", read_only=True, description="When the first deal was won"),
    Reference("pool_id", to="customers.pool", read_only=True, description="The public pool it waits in"),
    DateTime("pooled_at", read_only=True),
)

customer = record_table(
    metadata,
    "customer",
    CUSTOMER_FIELDS,
    extra=(
        # Who owned it when it was last given up: for the cool-down (CU-43).
        sa.Column("previous_owner_id", sa.Uuid),
        # The pool that it came from last: a member who is too late gets "already claimed", everybody else "not found".
        sa.Column("last_pool_id", sa.Uuid),
        sa.Index("ix_customer_parent_id", "parent_id", postgresql_where=sa.text("parent_id IS NOT NULL")),
        sa.Index("ix_customer_pool", "pool_id", "pooled_at", "id", postgresql_where=sa.text("pool_id IS NOT NULL")),
    ),
)

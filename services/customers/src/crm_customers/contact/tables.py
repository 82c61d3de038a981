"""The contact table and its fields."""

import sqlalchemy as sa

from crm_customers.metadata import metadata
from crm_records import Checkbox, Date, Email, LongText, Phone, Reference, Select, Text, record_table

CONTACT_FIELDS = (
    Reference("customer_id", to="customers.customer", required=True),
    Text("name", required=True, max_length=200, searchable=True, indexed=True, example="Анна Иванова"),
    Text("job_title", max_length=120),
    Select("decision_role", ("decides", "recommends", "influences", "uses", "blocks")),
    Phone("phone", searchable=True),
    Phone("mobile", searchable=True),
    Email("email", searchable=True),
    Text("messenger", max_length=120),
    Date("birthday"),
    Checkbox("is_primary"),
    Checkbox("do_not_call"),
    Checkbox("do_not_email"),
    LongText("description"),
)

contact = record_table(
    metadata,
    "contact",
    CONTACT_FIELDS,
    extra=(
        # Whether the contact goes where its customer goes: until it is given an owner of its own (CU-30).
        sa.Column("follows_customer", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Index("ix_contact_customer_id", "customer_id", "id"),
    ),
)

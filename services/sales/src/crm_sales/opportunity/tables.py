"""The opportunity table with its fields, and its lines."""

import sqlalchemy as sa

from crm_records import (
    Date,
    DateTime,
    IdList,
    Integer,
    LongText,
    MoneyField,
    Reference,
    Select,
    Text,
    record_table,
)
from crm_records.lines import line_table
from crm_sales.metadata import metadata

OPPORTUNITY_FIELDS = (
    Text("name", required=True, max_length=200, searchable=True, indexed=True, example="GTX Pro for Example"),
    Reference("customer_id", to="customers.customer"),
    IdList("contact_ids", to="customers.contact", max_items=50),
    Reference(
        "pipeline_id", to="sales.pipeline", description="Where it begins; the default pipeline unless given. It stays"
    ),
    Reference(
        "stage_id",
        to="sales.stage",
        description="Where it begins; the pipeline's first unless given. Advance changes it",
    ),
    DateTime("stage_entered_at", read_only=True),
    Select("outcome", ("open", "won", "lost", "on_hold"), read_only=True, default="open"),
    Text("outcome_reason", max_length=500, read_only=True),
    Date("opened_on", description="The day of creation unless given, which needs the permission to backdate"),
    Date("closed_on", read_only=True),
    Date("deadline", description="When a decision is expected"),
    Integer("probability", minimum=0, maximum=100, read_only=True, description="Percent: of the stage, or set by hand"),
    Integer(
        "probability_override",
        minimum=0,
        maximum=100,
        description="Percent set by hand for the present stage; empty: the stage's. The next stage has its own again",
    ),
    MoneyField("value", minimum=0, description="An estimate, or the sum of the lines, or what it was closed at"),
    MoneyField("weighted_value", read_only=True, description="Value times probability"),
    IdList("product_ids", to="sales.product", max_items=100, description="Products of interest"),
    Text("next_step", max_length=500),
    Text("source", max_length=80),
    LongText("description"),
)

opportunity = record_table(
    metadata,
    "opportunity",
    OPPORTUNITY_FIELDS,
    extra=(
        # Hooks fill these; the column types that the fields give would allow them to be empty.
        sa.CheckConstraint(
            "pipeline_id IS NOT NULL AND stage_id IS NOT NULL AND stage_entered_at IS NOT NULL "
            "AND opened_on IS NOT NULL AND probability IS NOT NULL",
            name="placed",
        ),
        sa.Index(
            "ix_opportunity_customer_id", "customer_id", "id", postgresql_where=sa.text("customer_id IS NOT NULL")
        ),
        sa.Index("ix_opportunity_stage_id", "stage_id"),
    ),
)

#: Lines; written with their opportunity, under its row lock.
opportunity_line = line_table(metadata, opportunity)

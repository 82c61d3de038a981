"""The contract table with its fields, its lines and its instalments."""

import sqlalchemy as sa

from crm_billing.metadata import metadata
from crm_records import Date, LongText, MoneyField, Reference, Select, Text, record_table
from crm_records.lines import line_table

CONTRACT_FIELDS = (
    Text("name", required=True, max_length=200, searchable=True, indexed=True, example="GTX Pro for Example"),
    Reference("customer_id", to="customers.customer", required=True),
    Reference(
        "opportunity_id",
        to="sales.opportunity",
        read_only=True,
        description="The won opportunity that it was drafted from",
    ),
    Select("status", ("draft", "in_approval", "active", "terminated", "void"), read_only=True, default="draft"),
    MoneyField("value", minimum=0, description="What the lines come to, taxes included; or as entered"),
    Date("signed_on"),
    Date("starts_on"),
    Date("ends_on"),
    Text("our_signatory", max_length=200),
    Text("their_signatory", max_length=200),
    LongText("payment_terms"),
    LongText("description"),
    Select(
        "last_decision",
        ("approved", "rejected", "withdrawn"),
        read_only=True,
        description="How its latest approval ended",
    ),
    Text("end_reason", max_length=500, read_only=True, description="Why it was terminated"),
)

contract = record_table(
    metadata,
    "contract",
    CONTRACT_FIELDS,
    extra=(
        sa.Index("ix_contract_customer_id", "customer_id", "id"),
        # A net below the check of `from-opportunity`: an opportunity has one contract that is not void.
        sa.Index(
            "uq_contract_opportunity_id",
            "opportunity_id",
            unique=True,
            postgresql_where=sa.text("opportunity_id IS NOT NULL AND status <> 'void' AND deleted_at IS NULL"),
        ),
    ),
)

#: Lines; written with their contract, under its row lock.
contract_line = line_table(metadata, contract)

#: Instalments; written under the contract's row lock, read after the contract was read through a scope.
contract_instalment = sa.Table(
    "contract_instalment",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("contract_id", sa.Uuid, sa.ForeignKey("contract.id"), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("amount_currency", sa.Text, nullable=False),
    sa.Column("amount_minor", sa.BigInteger, nullable=False),
    sa.Column("due_on", sa.Date, nullable=False),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("remind_days", sa.Integer, nullable=False),
    sa.CheckConstraint("amount_minor > 0", name="amount"),
    sa.Index("uq_contract_instalment_number", "contract_id", "number", unique=True),
)

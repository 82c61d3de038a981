"""The payment table with its fields, and what each payment is for."""

import sqlalchemy as sa

from crm_billing.metadata import metadata
from crm_records import Date, MoneyField, Reference, Select, Text, record_table

PAYMENT_FIELDS = (
    Reference("contract_id", to="billing.contract", required=True),
    MoneyField("amount", required=True, minimum=1, description="More than nothing, in the contract's currency"),
    Date("paid_on", required=True, description="When it came in; not in the future"),
    Select("method", ("bank_transfer", "card", "cash", "cheque", "direct_debit", "other"), default="bank_transfer"),
    Text("reference", max_length=200, searchable=True, description="What the bank or the customer calls it"),
    Select("status", ("pending", "approved", "rejected", "withdrawn"), read_only=True, default="pending"),
)

payment = record_table(
    metadata,
    "payment",
    PAYMENT_FIELDS,
    extra=(sa.Index("ix_payment_contract_id", "contract_id", "id"),),
)

#: Written once, with the payment; what is for which instalment never changes.
payment_allocation = sa.Table(
    "payment_allocation",
    metadata,
    sa.Column("payment_id", sa.Uuid, sa.ForeignKey("payment.id"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("instalment_id", sa.Uuid, nullable=False),
    sa.Column("amount_currency", sa.Text, nullable=False),
    sa.Column("amount_minor", sa.BigInteger, nullable=False),
    sa.CheckConstraint("amount_minor > 0", name="amount"),
)

"""The ledger's table. Rows are added and read; a trigger of the migration refuses everything else."""

import sqlalchemy as sa

from crm_billing.metadata import metadata
from crm_database import instant

ledger_entry = sa.Table(
    "ledger_entry",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("contract_id", sa.Uuid, sa.ForeignKey("contract.id"), nullable=False),
    # In which order they were made, within a contract: from 1 on, under the contract's row lock.
    sa.Column("position", sa.Integer, nullable=False),
    instant("at", nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("debit_account", sa.Text, nullable=False),
    sa.Column("credit_account", sa.Text, nullable=False),
    # No foreign keys: an instalment may leave the plan, what was said of it stays.
    sa.Column("instalment_id", sa.Uuid, nullable=False),
    sa.Column("payment_id", sa.Uuid),
    sa.Column("amount_minor", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("actor_id", sa.Uuid),
    sa.Column("write_id", sa.Uuid, nullable=False),
    sa.CheckConstraint("amount_minor > 0", name="amount"),
    sa.CheckConstraint(
        "(kind, debit_account, credit_account) IN (('planned', 'open', 'contracted'), ('unplanned', 'contracted', 'open'), "
        "('terminated', 'contracted', 'open'), ('paid', 'received', 'open'))",
        name="accounts",
    ),
    sa.CheckConstraint("(payment_id IS NOT NULL) = (kind = 'paid')", name="payment"),
    sa.Index("uq_ledger_entry_position", "contract_id", "position", unique=True),
)

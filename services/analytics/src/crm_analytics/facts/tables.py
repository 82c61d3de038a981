"""The tables of the facts.

Each row says what its record is now (the columns of its newest `version`), and what was at the moments that count for good: who is
credited for the opening, the closing, the creation (AN-6). A moment has a version of its own, the one of the event that told it,
so that events may come in any order and any number of times. No foreign keys: a reference may come before what it names.

Rows with an owner are SCOPED: a report reads them through the caller's scope. Those without (stage entries, products of an
opportunity, contract or payment) are read only joined to a scoped one.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_analytics.metadata import metadata
from crm_database import SCOPED, instant


def _moment(name: str, *, at: bool = True) -> list[sa.Column[Any]]:
    """Columns of a moment: when, and to whom it is credited. path: departments from the root down, as it was then."""
    return [
        sa.Column(f"{name}_version", sa.Integer),
        *([instant(f"{name}_at")] if at else []),
        sa.Column(f"{name}_user_id", sa.Uuid),
        sa.Column(f"{name}_department_id", sa.Uuid),
        sa.Column(f"{name}_path", ARRAY(sa.Uuid)),
    ]


#: opened_on, closed_on: the company's days, as the record says. closed_*: the newest winning or losing; it counts while the
#: outcome is won or lost. value_minor: minor units of `currency`.
opportunity_fact = sa.Table(
    "opportunity_fact",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("owner_id", sa.Uuid),
    sa.Column("customer_id", sa.Uuid),
    sa.Column("pipeline_id", sa.Uuid, nullable=False),
    sa.Column("stage_id", sa.Uuid, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("outcome_reason", sa.Text),
    sa.Column("opened_on", sa.Date, nullable=False),
    sa.Column("closed_on", sa.Date),
    sa.Column("value_minor", sa.BigInteger),
    sa.Column("currency", sa.Text),
    sa.Column("source", sa.Text),
    sa.Column("deleted", sa.Boolean, nullable=False),
    *_moment("opened"),
    *_moment("closed"),
    sa.Index("ix_opportunity_fact_opened_on", "opened_on"),
    sa.Index("ix_opportunity_fact_closed_on", "closed_on"),
    sa.Index("ix_opportunity_fact_owner_id", "owner_id"),
    info=dict(SCOPED),
)

#: The products of an opportunity with their part of its value; the parts add up to the value exactly.
opportunity_product = sa.Table(
    "opportunity_product",
    metadata,
    sa.Column("opportunity_id", sa.Uuid, primary_key=True),
    sa.Column("product_id", sa.Uuid, primary_key=True),
    sa.Column("value_minor", sa.BigInteger),
)

#: Each time an opportunity came to a stage. How long it stayed follows from what came next.
stage_entry = sa.Table(
    "stage_entry",
    metadata,
    sa.Column("opportunity_id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("pipeline_id", sa.Uuid, nullable=False),
    sa.Column("stage_id", sa.Uuid, nullable=False),
    instant("at", nullable=False),
    sa.Column("from_stage_id", sa.Uuid),
    sa.Column("regression", sa.Boolean, nullable=False),
    sa.Column("user_id", sa.Uuid),
    sa.Column("department_id", sa.Uuid),
    sa.Column("path", ARRAY(sa.Uuid)),
    sa.Index("ix_stage_entry_at", "at"),
)

customer_fact = sa.Table(
    "customer_fact",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("owner_id", sa.Uuid),
    sa.Column("lifecycle", sa.Text, nullable=False),
    sa.Column("source", sa.Text),
    sa.Column("industry", sa.Text),
    sa.Column("pool_id", sa.Uuid),
    sa.Column("deleted", sa.Boolean, nullable=False),
    *_moment("created"),
    *_moment("dealt"),
    # For labels; None of a customer that nothing was heard of since names are kept, until a rebuild.
    sa.Column("name", sa.Text),
    sa.Index("ix_customer_fact_created_at", "created_at"),
    sa.Index("ix_customer_fact_dealt_at", "dealt_at"),
    sa.Index("ix_customer_fact_owner_id", "owner_id"),
    info=dict(SCOPED),
)

contact_fact = sa.Table(
    "contact_fact",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("owner_id", sa.Uuid),
    sa.Column("customer_id", sa.Uuid, nullable=False),
    sa.Column("deleted", sa.Boolean, nullable=False),
    *_moment("created"),
    sa.Index("ix_contact_fact_created_at", "created_at"),
    sa.Index("ix_contact_fact_owner_id", "owner_id"),
    info=dict(SCOPED),
)

#: signed_on: the company's day, as the record says; approved_day: the day of its approval. It counts by the first, else by the second,
#: while `status` says that it is signed.
contract_fact = sa.Table(
    "contract_fact",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("owner_id", sa.Uuid),
    sa.Column("customer_id", sa.Uuid, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("signed_on", sa.Date),
    sa.Column("value_minor", sa.BigInteger),
    sa.Column("currency", sa.Text),
    sa.Column("deleted", sa.Boolean, nullable=False),
    *_moment("approved"),
    sa.Column("approved_day", sa.Date),
    sa.Index("ix_contract_fact_day", sa.text("coalesce(signed_on, approved_day)")),
    sa.Index("ix_contract_fact_owner_id", "owner_id"),
    info=dict(SCOPED),
)

#: The products of a contract with their part of its value; the parts add up to the value exactly.
contract_product = sa.Table(
    "contract_product",
    metadata,
    sa.Column("contract_id", sa.Uuid, primary_key=True),
    sa.Column("product_id", sa.Uuid, primary_key=True),
    sa.Column("value_minor", sa.BigInteger),
)

#: paid_on: the company's day, as the record says. approved_customer_id: of the contract that it is for.
payment_fact = sa.Table(
    "payment_fact",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("owner_id", sa.Uuid),
    sa.Column("contract_id", sa.Uuid, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("paid_on", sa.Date, nullable=False),
    sa.Column("value_minor", sa.BigInteger),
    sa.Column("currency", sa.Text),
    sa.Column("deleted", sa.Boolean, nullable=False),
    *_moment("approved"),
    sa.Column("approved_customer_id", sa.Uuid),
    sa.Index("ix_payment_fact_paid_on", "paid_on"),
    sa.Index("ix_payment_fact_owner_id", "owner_id"),
    info=dict(SCOPED),
)

#: The parts of a payment by the products of its contract, as the approval of that version tells them: those of
#: `payment_fact.approved_version` count.
payment_product = sa.Table(
    "payment_product",
    metadata,
    sa.Column("payment_id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("product_id", sa.Uuid, primary_key=True),
    sa.Column("value_minor", sa.BigInteger),
)

#: created_*: when it was noted, and whose it was then; it counts when it happened.
activity_fact = sa.Table(
    "activity_fact",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("owner_id", sa.Uuid),
    sa.Column("customer_id", sa.Uuid),
    sa.Column("kind", sa.Text, nullable=False),
    instant("happened_at", nullable=False),
    sa.Column("deleted", sa.Boolean, nullable=False),
    *_moment("created"),
    sa.Index("ix_activity_fact_happened_at", "happened_at"),
    sa.Index("ix_activity_fact_owner_id", "owner_id"),
    info=dict(SCOPED),
)

product = sa.Table(
    "product",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("category", sa.Text),
    sa.Column("deleted", sa.Boolean, nullable=False),
)

pipeline = sa.Table(
    "pipeline",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("is_default", sa.Boolean, nullable=False),
    sa.Column("deleted", sa.Boolean, nullable=False),
)

#: version: the pipeline's, when it last had this stage. A stage with a smaller one than its pipeline is no part of it any more.
pipeline_stage = sa.Table(
    "pipeline_stage",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("pipeline_id", sa.Uuid, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("probability", sa.Integer, nullable=False),
    sa.Column("retired", sa.Boolean, nullable=False),
)

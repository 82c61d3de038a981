"""The entries of all timelines, and the replicas of the other services' records that they are about."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from crm_contracts.billing import CONTRACT_TOPIC, PAYMENT_TOPIC
from crm_contracts.sales import ACTIVITY_TOPIC, OPPORTUNITY_TOPIC
from crm_contracts.support import TICKET_TOPIC
from crm_customers.metadata import metadata
from crm_database import instant
from crm_records.replica import Column, Replica

_NUMBER = Column("number", required=True)
_CUSTOMER = Column("customer_id", "id")

OPPORTUNITIES = Replica(
    metadata, "sales.opportunity", OPPORTUNITY_TOPIC, (_NUMBER, Column("name", required=True), _CUSTOMER)
)
ACTIVITIES = Replica(metadata, "sales.activity", ACTIVITY_TOPIC, (_NUMBER, Column("subject", required=True), _CUSTOMER))
CONTRACTS = Replica(
    metadata,
    "billing.contract",
    CONTRACT_TOPIC,
    (_NUMBER, Column("name", required=True), Column("customer_id", "id", required=True)),
)
#: A payment's customer is its contract's; which of the two is heard of first is nobody's to say.
PAYMENTS = Replica(
    metadata,
    "billing.payment",
    PAYMENT_TOPIC,
    (_NUMBER, Column("contract_id", "id", required=True)),
    extra=(sa.Index("ix_payment_replica_contract_id", "contract_id"),),
)
TICKETS = Replica(metadata, "support.ticket", TICKET_TOPIC, (_NUMBER, Column("subject", required=True), _CUSTOMER))

entry = sa.Table(
    "timeline_entry",
    metadata,
    # The event's; of an activity, which has one entry, its own.
    sa.Column("id", sa.Uuid, primary_key=True),
    # Whose timeline it stands in; empty while the record has no customer, or that isn't known yet.
    sa.Column("customer_id", sa.Uuid),
    sa.Column("record_type", sa.Text, nullable=False),
    sa.Column("record_id", sa.Uuid, nullable=False),
    # Of the record, as the entry tells it.
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    instant("at", nullable=False),
    instant("recorded_at", nullable=False),
    sa.Column("actor_id", sa.Uuid),
    sa.Column("summary", JSONB, nullable=False),
    # A page is read from this index: of one customer and one type of record, newest first.
    sa.Index(
        "ix_timeline_entry_page",
        "customer_id",
        "record_type",
        sa.text("at DESC"),
        sa.text("id DESC"),
        postgresql_where=sa.text("customer_id IS NOT NULL"),
    ),
    sa.Index("ix_timeline_entry_record_id", "record_id"),
)

"""The replica of customers: what is needed to say whether a caller may name one. Members stand in `record_member`."""

import sqlalchemy as sa

from crm_database import SCOPED
from crm_sales.metadata import metadata

#: The key under which scopes and memberships know customers.
CUSTOMER = "customers.customer"

customer_replica = sa.Table(
    "customer_replica",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("number", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("lifecycle", sa.Text, nullable=False),
    sa.Column("owner_id", sa.Uuid),
    sa.Column("deleted", sa.Boolean, nullable=False),
    info=dict(SCOPED),
)

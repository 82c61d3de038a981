"""The company: exactly one row once it is set up."""

import sqlalchemy as sa

from crm_database import instant
from crm_identity.metadata import metadata

company = sa.Table(
    "company",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("time_zone", sa.Text, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("locale", sa.Text, nullable=False),
    instant("created_at", nullable=False),
    instant("updated_at", nullable=False),
    sa.Index("uq_company_one", sa.text("(true)"), unique=True),
)

"""Signing keys. The private part is encrypted with the service's secret and never leaves this database."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from crm_database import instant
from crm_identity.metadata import metadata

#: private_pem: PKCS #8, encrypted. signs_from: when it begins to sign (published before, so that everybody knows it by then).
#: not_after: from then on nothing that it signed is accepted.
signing_key = sa.Table(
    "signing_key",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("kid", sa.Text, nullable=False, unique=True),
    sa.Column("jwk", JSONB, nullable=False),
    sa.Column("private_pem", sa.Text, nullable=False),
    instant("created_at", nullable=False),
    instant("signs_from", nullable=False),
    instant("not_after"),
)

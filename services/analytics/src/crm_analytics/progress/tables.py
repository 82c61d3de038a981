"""One row per consumer and partition."""

import sqlalchemy as sa

from crm_analytics.metadata import metadata
from crm_database import instant

#: consumer: `log` or `facts`. stream, number: the last one applied of a partition. time: when the newest event applied of it was
#: recorded.
progress = sa.Table(
    "progress",
    metadata,
    sa.Column("consumer", sa.Text, primary_key=True),
    sa.Column("topic", sa.Text, primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True),
    sa.Column("stream", sa.Text, nullable=False),
    sa.Column("number", sa.BigInteger, nullable=False),
    instant("time", nullable=False),
)

"""Pipelines and their stages."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_database import instant
from crm_sales.metadata import metadata

pipeline = sa.Table(
    "pipeline",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("is_default", sa.Boolean, nullable=False),
    instant("created_at", nullable=False),
    sa.Index("uq_pipeline_is_default", "is_default", unique=True, postgresql_where=sa.text("is_default")),
    sa.Index("uq_pipeline_name", sa.text("lower(name)"), unique=True),
)

#: A pipeline's stages; written by the pipeline's actions only, under the pipeline's row lock.
pipeline_stage = sa.Table(
    "pipeline_stage",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("pipeline_id", sa.Uuid, sa.ForeignKey("pipeline.id"), nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("probability", sa.Integer, nullable=False),
    sa.Column("allowed", ARRAY(sa.Uuid)),
    sa.Column("required_fields", ARRAY(sa.Text), nullable=False),
    sa.Column("dwell_days", sa.Integer),
    sa.Column("retired", sa.Boolean, nullable=False),
    sa.Index("ix_pipeline_stage_pipeline_id", "pipeline_id", "position"),
)
